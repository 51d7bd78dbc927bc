# Writes one node's files and starts its unit. The secret, if any, is the first line of stdin.
set -eu
folder=$STATE/$CLUSTER/$REPLICA
put() {  # put PATH MODE TEXT: whole or not at all
  mkdir -p "${1%/*}"
  umask 077
  printf '%s' "$3" >"$1.bringup-new"
  chmod "$2" "$1.bringup-new"
  mv -f "$1.bringup-new" "$1"
}
mkdir -p "$folder/logs"
chmod 711 "$STATE" "$STATE/$CLUSTER"
IFS= read -r secret || secret=
if [ -n "$SECRETS" ] && [ -n "$secret" ]; then put "$SECRETS" 600 "$secret
"; fi
# What lay in shared memory before our first start: never taken for ours.
[ -e "$STATE/$CLUSTER/shm.before" ] || ls -1 /dev/shm >"$STATE/$CLUSTER/shm.before"
# What the last generation said, before its container is gone.
if [ "$RUNTIME" = docker ] && docker inspect "$UNIT" >/dev/null 2>&1; then
  docker logs --tail 20000 "$UNIT" >"$folder/logs/$((GENERATION - 1)).log" 2>&1 || :
elif [ -s "$folder/engine.log" ]; then
  mv -f "$folder/engine.log" "$folder/logs/$((GENERATION - 1)).log"
fi
ls -1t "$folder/logs" | tail -n +6 | while IFS= read -r old; do rm -f "$folder/logs/$old"; done
for path in $FOLDERS; do mkdir -p "$path"; done
[ -z "$ENTRYPOINT" ] || put "$ENTRYPOINT" 755 "$ENTRYPOINT_TEXT"
put "$SCRIPT" 755 "$SCRIPT_TEXT"
put "/etc/systemd/system/$UNIT.service" 644 "$UNIT_TEXT"
put "$folder/plan.json" 644 "$PLAN"
put "$folder/generation" 644 "$GENERATION"
put "$folder/spec" 644 "$SPEC"
rm -f "$folder/proven" "$folder/ended"
systemctl daemon-reload
systemctl reset-failed "$UNIT.service" 2>/dev/null || :
systemctl start "$UNIT.service"
