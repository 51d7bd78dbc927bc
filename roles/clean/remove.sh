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
fi
for name in $LEFTOVERS; do
  cat /proc/[0-9]*/maps 2>/dev/null | grep -Fq "/dev/shm/$name" || rm -f "/dev/shm/$name"
done
rm -rf "${CONFIG:?}/$CLUSTER"
find "$folder" -mindepth 1 -maxdepth 1 ! -name lock -exec rm -rf {} + 2>/dev/null
rmdir "$CONFIG" 2>/dev/null
# What others may use comes last, and only it: nothing of ours, and no key, stays behind when it is refused.
left=0
weights_user() { # whoever mounts the folder, one in it, or ours above it; else a record of another cluster that names it
  docker ps -q 2>/dev/null | while read -r id; do docker inspect -f '{{.Name}}{{range .Mounts}} {{.Source}}{{end}}' "$id" 2>/dev/null; done |
    awk -v w="$REMOVE_WEIGHTS" -v ours="$STATE" '
      function within(a, b) { return index(a "/", b "/") == 1 }
      { for (i = 2; i <= NF; i++) if (within($i, w) || (within(w, $i) && within($i, ours))) { sub("/", "", $1); print "container " $1; exit } }'
  named=$(printf '%s' "$REMOVE_WEIGHTS" | sed 's/[][\.*^$]/\\&/g')
  grep -lE "$named([^A-Za-z0-9._-]|\$)" "$STATE"/*/*/plan.json 2>/dev/null | head -n 1
}
if [ -n "$REMOVE_WEIGHTS" ]; then
  user=$(weights_user | head -n 1)
  if [ -n "$user" ]; then
    echo "weights $REMOVE_WEIGHTS were left: $user uses them"
    left=1
  else
    rm -rf -- "$REMOVE_WEIGHTS" "$REMOVE_WEIGHTS.manifest" "$REMOVE_WEIGHTS.manifest.part"
  fi
fi
if [ -n "$REMOVE_IMAGE" ] && command -v docker >/dev/null 2>&1; then
  docker image rm "$REMOVE_IMAGE" >/dev/null || { echo "image $REMOVE_IMAGE was not removed"; left=1; }
fi
exit "$left"
