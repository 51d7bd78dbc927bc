# The replica was proven: written where the next run looks for it, and its plan is kept as the one to go back to.
set -eu
folder=$STATE/$CLUSTER/$REPLICA
units=/etc/systemd/system
kept=$folder/proven.plan
if [ -d "$kept" ] && [ "$(cat "$kept/spec" 2>/dev/null)" != "$SPEC" ]; then
  rm -rf "$folder/previous.plan"
  mv "$kept" "$folder/previous.plan"
fi
rm -rf "$kept.new"
mkdir -p "$kept.new"
cp -p "$folder/plan.json" "$folder/spec" "$kept.new"
cp -p "$SCRIPT" "$kept.new/run"
cp -p "$units/$UNIT.service" "$kept.new/service"
if [ -n "$ENTRYPOINT" ]; then cp -p "$ENTRYPOINT" "$kept.new/entrypoint"; fi
if [ -n "$TELL" ]; then
  cp -p "$TELL" "$kept.new/tell"
  cp -p "$units/$UNIT.peers.socket" "$kept.new/peers.socket"
  cp -p "$units/$UNIT.peers@.service" "$kept.new/peers.service"
fi
rm -rf "$kept"
mv "$kept.new" "$kept"
printf '%s\n' "$TEXT" >"$folder/proven"
