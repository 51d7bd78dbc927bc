# On the node: into the engine's container, or beside the engine that has none. The tool's words are "$@".
if [ "$RUNTIME" = docker ]; then
  exec docker exec -i "$UNIT" sh -c "$INSIDE" bringup-bench "$@"
fi
if [ -n "$SECRETS" ] && [ -r "$SECRETS" ]; then
  while IFS= read -r line; do export "$line"; done <"$SECRETS"
fi
PATH=$VENV/bin:$PATH
export PATH
exec sh -c "$INSIDE" bringup-bench "$@"
