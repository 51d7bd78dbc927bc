set -eu
umask 022
mkdir -p "$RECORD_FOLDER"
touch "$RECORD_FOLDER/before"
# What a knob said before us is written down before it is touched, and never again.
printf '%s' "$RECORD" | while IFS= read -r line; do
  grep -qF -- "${line%%=*}=" "$RECORD_FOLDER/before" || printf '%s\n' "$line" >>"$RECORD_FOLDER/before"
done
sync "$RECORD_FOLDER/before" 2>/dev/null || :

write() { # PATH TEXT
  [ -n "$2" ] || return 0
  mkdir -p "${1%/*}"
  printf '%s' "$2" >"${1%/*}/.bringup.$$"
  mv "${1%/*}/.bringup.$$" "$1"
}
write "$SYSCTL_FILE" "$SYSCTL"
write "$SCRIPT_FILE" "$SCRIPT"
write "$UNIT_FILE" "$UNIT"
if [ -n "$LIMITS" ]; then
  limits_before=$(cat "$LIMITS_FILE" 2>/dev/null || :)
  write "$LIMITS_FILE" "$LIMITS"
  # Some releases of PAM refuse a session that cannot have these limits, and then nobody logs in.
  if command -v runuser >/dev/null && ! runuser -s /bin/sh root -c true </dev/null >/dev/null 2>&1; then
    if [ -n "$limits_before" ]; then write "$LIMITS_FILE" "$limits_before
"; else rm -f "$LIMITS_FILE"; fi
    echo "note a session with these limits does not open here: $LIMITS_FILE is as it was"
  fi
fi

kernel=$(uname -r)
printf '%s' "$KNOBS" | while IFS= read -r line; do
  knob=${line%%=*} value=${line#*=}
  (printf '%s\n' "$value" >"$knob") 2>/dev/null || :
  now=$(cat "$knob" 2>/dev/null) || now=
  if [ "$now" != "$value" ]; then
    echo "refused $knob=$value (it says ${now:-nothing})"
    printf '%s\n' "$line@$kernel" >>"$RECORD_FOLDER/refused"
  fi
done
if [ -n "$BOOT" ]; then
  systemctl daemon-reload
  systemctl enable -q bringup-tuning.service
  systemctl restart bringup-tuning.service
fi
