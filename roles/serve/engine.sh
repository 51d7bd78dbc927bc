# What follows the values: gate, engine, watch. Written by bringup; runs as the unit, with no controller.
set -u
folder=$STATE/$CLUSTER/$REPLICA
say() { echo "bringup: $*"; }
ended() { say "$*"; printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$folder/ended"; }
open_port() { timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; }
serves() {
  local code
  code=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$0" >&3 && IFS=" " read -r _ code _ <&3 && printf %s "$code"' "$HEAD" "$API" "$HEALTH" 2>/dev/null)
  [ "$code" = 200 ]
}

if [ "$RUNTIME" = docker ]; then
  owner() { docker inspect -f '{{index .Config.Labels "bringup.cluster"}}/{{index .Config.Labels "bringup.replica"}}' "$UNIT" 2>/dev/null; }
  prepare() {
    local by
    by=$(owner) || return 0
    [ "$by" = "$CLUSTER/$REPLICA" ] || { ended "a container named $UNIT is not ours; it was left alone"; exit 78; }
    docker rm -f "$UNIT" >/dev/null
  }
  launch() { docker run -d "${ENGINE[@]:2}" >/dev/null; }
  await() { docker wait "$UNIT" >"$folder/code" 2>/dev/null; }
  halt() { docker stop -t "$STOP" "$UNIT" >/dev/null 2>&1; }
else
  prepare() { :; }
  launch() {
    (
      if [ -n "$SECRETS" ]; then while IFS= read -r line; do export "$line"; done <"$SECRETS"; fi
      exec setsid "${ENGINE[@]}"
    ) >>"$folder/engine.log" 2>&1 &
    engine=$!
  }
  await() { wait "$engine"; echo $? >"$folder/code"; }
  halt() {
    kill -TERM -- "-$engine" 2>/dev/null || return 0
    for _ in $(seq "$STOP"); do kill -0 -- "-$engine" 2>/dev/null || return 0; sleep 1; done
    kill -KILL -- "-$engine" 2>/dev/null
  }
fi

stopping=
trap 'stopping=1; say "stopping as asked"; halt' TERM INT
rm -f "$folder/code"

if [ "$RANK" != 0 ]; then
  gate=$((SECONDS + JOIN))
  until open_port "$HEAD" "$RPC"; do
    [ -z "$stopping" ] || exit 0
    [ "$SECONDS" -lt "$gate" ] || { ended "gate: $HEAD:$RPC was not reached within $JOIN s, the engine was not started"; exit 75; }
    sleep 1 & wait $!
  done
  say "gate: $HEAD:$RPC is open"
fi

prepare
[ -z "$stopping" ] || exit 0
launch || { ended "the engine could not be started (see journalctl -u $UNIT)"; exit 70; }
say "started, generation $GENERATION"
if [ "$RUNTIME" = docker ]; then await & waiter=$!; else waiter=$engine; fi
deadline=$((SECONDS + READY)) ready= gone=0
while kill -0 "$waiter" 2>/dev/null; do
  if [ -n "$stopping" ]; then
    halt # again: the first one may have come before there was anything to stop
    break
  fi
  if [ -z "$ready" ]; then
    if serves; then
      ready=1
      say "the endpoint answers"
    elif [ "$SECONDS" -gt "$deadline" ]; then
      ended "deadline: no answer of http://$HEAD:$API$HEALTH within $READY s, stopped"
      halt
      exit 76
    fi
  elif [ "$RANK" != 0 ]; then
    if open_port "$HEAD" "$API"; then gone=0; else gone=$((gone + 1)); fi
    [ "$gone" -lt 6 ] || { ended "rank 0 at $HEAD:$API is gone, stopped"; halt; exit 77; }
  fi
  sleep 5 & nap=$!
  wait -n 2>/dev/null
  kill "$nap" 2>/dev/null
done
[ "$RUNTIME" = docker ] && wait "$waiter" || await
code=$(cat "$folder/code" 2>/dev/null)
[ -z "$stopping" ] || exit 0
ended "the engine ended with code ${code:-unknown}"
exit 1
