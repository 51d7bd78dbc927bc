# Ends this replica's unit and container on this node, and says what is left of it.
folder=$STATE/$CLUSTER/$REPLICA
if [ -e "/etc/systemd/system/$UNIT.service" ]; then
  systemctl disable -q "$UNIT.service" 2>/dev/null # a reboot does not begin what was stopped
  systemctl stop "$UNIT.service" 2>&1
fi
if [ "$RUNTIME" = docker ] && command -v docker >/dev/null 2>&1; then
  by=$(docker inspect -f '{{index .Config.Labels "bringup.cluster"}}/{{index .Config.Labels "bringup.replica"}} {{.State.Running}}' "$UNIT" 2>/dev/null)
  case $by in
    "$CLUSTER/$REPLICA true") docker stop -t "$STOP" "$UNIT" >/dev/null 2>&1 ;;
  esac
  [ "$(docker inspect -f '{{.State.Running}}' "$UNIT" 2>/dev/null)" != true ] || { echo "container $UNIT still runs"; exit 1; }
fi
active=$(systemctl is-active "$UNIT.service" 2>/dev/null)
case $active in
  active | activating | deactivating) echo "unit $UNIT.service is still $active"; exit 1 ;;
esac
if [ -e "/etc/systemd/system/$UNIT.peers.socket" ]; then
  systemctl disable -q "$UNIT.peers.socket" 2>/dev/null
  systemctl stop "$UNIT.peers.socket" 2>&1
fi
systemctl reset-failed "$UNIT.service" 2>/dev/null
rm -f "$folder/proven"
exit 0
