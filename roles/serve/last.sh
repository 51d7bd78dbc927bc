# The end of what an engine said.
if [ "$RUNTIME" = docker ]; then docker logs --tail 5000 "$UNIT" 2>&1; else tail -n 5000 "$STATE/$CLUSTER/$REPLICA/engine.log" 2>/dev/null; fi
