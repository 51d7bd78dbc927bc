# First, whatever files come next: what the last generation said, before its container is gone.
set -eu
folder=$STATE/$CLUSTER/$REPLICA
units=/etc/systemd/system
mkdir -p "$folder/logs"
if [ "$RUNTIME" = docker ] && docker inspect "$UNIT" >/dev/null 2>&1; then
  docker logs --tail 20000 "$UNIT" >"$folder/logs/$((GENERATION - 1)).log" 2>&1 || :
elif [ -s "$folder/engine.log" ]; then
  mv -f "$folder/engine.log" "$folder/logs/$((GENERATION - 1)).log"
fi
ls -1t "$folder/logs" | tail -n +9 | while IFS= read -r old; do rm -f "$folder/logs/$old"; done
