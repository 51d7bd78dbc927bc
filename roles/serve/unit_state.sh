# What this node's unit does, as one word, and why it ended last.
systemctl is-active "$UNIT.service" 2>/dev/null
tail -n 1 "$STATE/$CLUSTER/$REPLICA/ended" 2>/dev/null
exit 0
