# The end of an engine's log.
if [ "$RUNTIME" = docker ]; then docker logs --tail 400 "$UNIT" 2>&1; else tail -n 400 "$STATE/$CLUSTER/$REPLICA/engine.log"; fi
