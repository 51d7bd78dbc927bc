# Starts the unit as the files say, from nothing: counted restarts and old verdicts are over.
rm -f "$folder/proven" "$folder/ended" "$folder/restarts" "$folder/verdict"
: >"$folder/asked"
systemctl daemon-reload
systemctl reset-failed "$UNIT.service" 2>/dev/null || :
if [ -e "$units/$UNIT.peers.socket" ]; then
  systemctl enable -q "$UNIT.peers.socket"
  systemctl restart "$UNIT.peers.socket"
fi
if [ "$RESTART" = gang ]; then systemctl enable -q "$UNIT.service"; else systemctl disable -q "$UNIT.service" 2>/dev/null || :; fi
systemctl start "$UNIT.service"
