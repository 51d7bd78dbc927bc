# Start, watch and stop the engine: in a container, or in a session of its own. `main` is its first process.
main=
WORK='(Decode|Prefill) batch|generation throughput: ([1-9]|0\.[0-9]*[1-9])' # engines without counters tell of work in their logs
if [ "$RUNTIME" = docker ]; then
  owner() { docker inspect -f '{{index .Config.Labels "bringup.cluster"}}/{{index .Config.Labels "bringup.replica"}}' "$UNIT" 2>/dev/null; }
  usable() { timeout 20 docker version >/dev/null 2>&1; }
  prepare() {
    local by
    by=$(owner) || return 0
    [ "$by" = "$CLUSTER/$REPLICA" ] || { ended "a container named $UNIT is not ours; it was left alone"; exit 78; }
    docker rm -f "$UNIT" >/dev/null
  }
  launch() {
    docker run -d --label "bringup.generation=$generation" "${ENGINE[@]:2}" >/dev/null || return 1
    main=$(docker inspect -f '{{.State.Pid}}' "$UNIT")
  }
  how() { code=$(docker inspect -f '{{.State.ExitCode}}{{if .State.OOMKilled}}, out of memory{{end}}' "$UNIT" 2>/dev/null) || code=unknown; }
  halt() { docker stop -t "$STOP" "$UNIT" >/dev/null 2>&1; }
  members() { docker top "$UNIT" -eo pid,comm 2>/dev/null; }
  inside() { docker exec "$UNIT" "$@"; }
  keep() {
    [ "$(owner)" = "$CLUSTER/$REPLICA" ] || return 0
    if docker logs --tail 20000 "$UNIT" >"$folder/logs/new" 2>&1; then mv -f "$folder/logs/new" "$folder/logs/$generation.log"; fi
    rm -f "$folder/logs/new"
  }
  trim() { :; } # Docker does
  worked() { docker logs --timestamps --tail 5000 "$UNIT" 2>&1 | grep -E "$WORK" | tail -n 1 | cut -c1-23 | tr -cd 0-9; }
else
  usable() { :; }
  prepare() { :; }
  launch() {
    (
      if [ -n "$SECRETS" ]; then while IFS= read -r line; do export "$line"; done <"$SECRETS"; fi
      exec setsid "${ENGINE[@]}"
    ) >>"$folder/engine.log" 2>&1 &
    main=$!
  }
  how() {
    wait "$main" 2>/dev/null
    code=$?
  }
  halt() {
    [ -n "$main" ] || return 0
    kill -TERM -- "-$main" 2>/dev/null || return 0
    for _ in $(seq "$STOP"); do kill -0 -- "-$main" 2>/dev/null || return 0; sleep 1; done
    kill -KILL -- "-$main" 2>/dev/null
  }
  members() { ps -eo pid=,comm=,pgid= | awk -v group="$main" '$3 == group { print $1, $2 }'; }
  inside() { "$@"; }
  keep() {
    [ -s "$folder/engine.log" ] || [ -s "$folder/engine.log.1" ] || return 0
    cat "$folder/engine.log.1" "$folder/engine.log" 2>/dev/null | tail -n 20000 >"$folder/logs/$generation.log"
    rm -f "$folder/engine.log" "$folder/engine.log.1"
  }
  trim() { # the engine appends: what it says meanwhile comes after
    [ "$(wc -c 2>/dev/null <"$folder/engine.log" || echo 0)" -gt "${LOG_BYTES:=67108864}" ] || return 0
    cp -f "$folder/engine.log" "$folder/engine.log.1" && : >"$folder/engine.log"
  }
  worked() { grep -cE "$WORK" "$folder/engine.log"; }
fi

lives() { [ -n "$main" ] && [ -d "/proc/$main" ]; }
# The engine's processes that have a name of their own: those that never come and go while it serves.
family() { members | awk '$2 ~ /^(VLLM|sglang)::/ { printf "%s:%s ", $1, $2 }'; }
# The first of them that is gone, or dead and not yet buried.
gone() {
  local one pages name
  for one in $1; do
    pages=0 name=
    { read -r pages _ <"/proc/${one%%:*}/statm" && IFS= read -r name <"/proc/${one%%:*}/comm"; } 2>/dev/null
    [ "${pages:-0}" != 0 ] && [ "$name" = "${one#*:}" ] || { lost="its process ${one#*:} (pid ${one%%:*}) is gone"; return 0; }
  done
  return 1
}
