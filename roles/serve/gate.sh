# Waits for a port: here (listen) or over there (reach). Ends at once when the unit of this node ended.
end=$(($(date +%s) + LIMIT))
while :; do
  if [ "$HOW" = listen ]; then
    ss -Hltn "sport = :$PORT" 2>/dev/null | awk '{ print $4 }' | grep -Eq "^(${AT}|\*|0\.0\.0\.0|\[::\]):$PORT\$" && exit 0
    case $(systemctl is-active "$UNIT.service") in active | activating) ;; *) exit 10 ;; esac
    # The port closes after the handshake: an engine that answers is past it.
    timeout 2 bash --norc -c 'exec 3<>"/dev/tcp/$0/$1"' "$AT" "$API" 2>/dev/null && exit 0
  else
    timeout 3 bash --norc -c 'exec 3<>"/dev/tcp/$0/$1"' "$AT" "$PORT" 2>/dev/null && exit 0
  fi
  [ "$(date +%s)" -lt "$end" ] || exit 11
  sleep 0.3
done
