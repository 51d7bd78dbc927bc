# Removes what is ours on this node: containers and units of this cluster, files, leftovers in shared memory.
set -u
folder=$STATE/$CLUSTER
cd /etc/systemd/system && for file in "bringup-$CLUSTER-"*.socket "bringup-$CLUSTER-"*.service; do
  [ -e "$file" ] || continue
  case $file in
    *@.service) ;; # a template: its instances live for a moment
    *) systemctl stop "$file" && systemctl disable -q "$file" 2>/dev/null ;;
  esac
  rm -f "/etc/systemd/system/$file"
done
systemctl daemon-reload
systemctl reset-failed "bringup-$CLUSTER-*" 2>/dev/null
if command -v docker >/dev/null 2>&1; then
  for id in $(docker ps -aq --filter "label=bringup.cluster=$CLUSTER"); do
    docker stop -t "$STOP" "$id" >/dev/null 2>&1
    docker rm -v "$id" >/dev/null || { echo "container $id was not removed"; exit 1; }
  done
  if [ -n "$REMOVE_IMAGE" ]; then docker image rm "$REMOVE_IMAGE" >/dev/null || { echo "image $REMOVE_IMAGE was not removed"; exit 1; }; fi
fi
for name in $LEFTOVERS; do
  cat /proc/[0-9]*/maps 2>/dev/null | grep -Fq "/dev/shm/$name" || rm -f "/dev/shm/$name"
done
rm -rf "${CONFIG:?}/$CLUSTER"
find "$folder" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} + 2>/dev/null
if [ -n "$REMOVE_WEIGHTS" ]; then rm -rf -- "$REMOVE_WEIGHTS" "$REMOVE_WEIGHTS.manifest" "$REMOVE_WEIGHTS.manifest.part"; fi
rmdir "$CONFIG" 2>/dev/null
exit 0
