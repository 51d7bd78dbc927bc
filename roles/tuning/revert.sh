set -eu
if [ -e "$UNIT_FILE" ]; then
  systemctl disable -q --now bringup-tuning.service 2>/dev/null || :
fi
rm -f "$UNIT_FILE" "$SCRIPT_FILE" "$SYSCTL_FILE" "$LIMITS_FILE"
[ ! -d /run/systemd/system ] || systemctl daemon-reload
printf '%s' "$KNOBS" | while IFS= read -r line; do
  knob=${line%%=*} value=${line#*=}
  (printf '%s\n' "$value" >"$knob") 2>/dev/null || :
  now=$(cat "$knob" 2>/dev/null) || now=
  [ "$now" = "$value" ] || echo "refused $knob=$value (it says ${now:-nothing})"
done
rm -rf "$RECORD_FOLDER"
rmdir "${SCRIPT_FILE%/*}" "${RECORD_FOLDER%/*}" 2>/dev/null || :
