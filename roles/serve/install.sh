# Writes one node's files. The secret, if any, is the first line of stdin.
put() {  # put PATH MODE TEXT: whole or not at all
  mkdir -p "${1%/*}"
  umask 077
  printf '%s' "$3" >"$1.bringup-new"
  chmod "$2" "$1.bringup-new"
  mv -f "$1.bringup-new" "$1"
}
chmod 711 "$STATE" "$STATE/$CLUSTER"
IFS= read -r secret || secret=
if [ -n "$SECRETS" ] && [ -n "$secret" ]; then put "$SECRETS" 600 "$secret
"; fi
# What lay in shared memory before our first start: never taken for ours.
[ -e "$STATE/$CLUSTER/shm.before" ] || ls -1 /dev/shm >"$STATE/$CLUSTER/shm.before"
for path in $FOLDERS; do mkdir -p "$path"; done
[ -z "$ENTRYPOINT" ] || put "$ENTRYPOINT" 755 "$ENTRYPOINT_TEXT"
put "$SCRIPT" 755 "$SCRIPT_TEXT"
put "$units/$UNIT.service" 644 "$UNIT_TEXT"
if [ -n "$TELL" ]; then
  put "$TELL" 755 "$TELL_SCRIPT"
  put "$units/$UNIT.peers.socket" 644 "$SOCKET_TEXT"
  put "$units/$UNIT.peers@.service" 644 "$TELL_TEXT"
fi
put "$folder/plan.json" 644 "$PLAN"
put "$folder/generation" 644 "$GENERATION"
put "$folder/spec" 644 "$SPEC"
rm -f "$folder/forgotten"
