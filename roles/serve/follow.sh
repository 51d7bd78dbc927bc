# Streams the engine's log, and between its lines what the log does not tell: unit, health, signs of life.
folder=$STATE/$CLUSTER/$REPLICA
tell() { printf '\036%s\n' "$*"; }
if [ "$RUNTIME" = docker ]; then
  up() { [ "$(timeout 10 docker inspect -f '{{.State.Running}}' "$UNIT" 2>/dev/null)" = true ]; }
  lines() { docker logs -f "$UNIT" 2>&1; }
  pids() { timeout 5 docker top "$UNIT" -eo pid 2>/dev/null | tail -n +2; }
else
  up() { [ -s "$folder/engine.log" ]; }
  lines() { tail -n +1 -F "$folder/engine.log" 2>/dev/null; }
  pids() { cat "/sys/fs/cgroup/system.slice/$UNIT.service/cgroup.procs" 2>/dev/null || systemctl show -p MainPID --value "$UNIT.service"; }
fi
active() { case $(systemctl is-active "$UNIT.service" 2>/dev/null) in active | activating | deactivating) return 0 ;; esac; return 1; }
page=$(getconf PAGESIZE 2>/dev/null || echo 4096)
signs() { # an old mawk prints what is above 2^31 as 2.4e+09, unless it is told how
  read=0 memory=0
  for pid in $(pids); do
    n=$(awk '$1 == "rchar:" { print $2 }' "/proc/$pid/io" 2>/dev/null) && read=$((read + ${n:-0}))
    n=$(awk -v page="$page" '{ printf "%.0f\n", $2 * page }' "/proc/$pid/statm" 2>/dev/null) && memory=$((memory + ${n:-0}))
  done
  tell "alive $read $memory"
}
streaming=
turn=0
while :; do
  if [ -z "$streaming" ] && up; then
    tell container
    lines &
    streaming=$!
  fi
  if ! active; then
    if [ -z "$streaming" ]; then  # it ended before its log was open
      if [ "$RUNTIME" = docker ]; then docker logs --tail 60 "$UNIT" 2>&1; else tail -n 60 "$folder/engine.log" 2>/dev/null; fi
    fi
    sleep 0.5
    tell "ended $(tail -n 1 "$folder/ended" 2>/dev/null)"
    tell "journal $(journalctl -q -u "$UNIT.service" -n 12 -o cat --no-pager 2>/dev/null | grep -v '^bringup: ' | grep -Ev '^(Started|Starting|Stopped|Stopping) |bringup-.*(Main process exited|Failed with result|Deactivated|Consumed|Scheduled|Killing process)' | tail -n 3 | tr '\n' ' ')"
    break
  fi
  if [ "$RANK" = 0 ]; then
    code=$(timeout 3 bash --norc -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$0" >&3 && IFS=" " read -r _ code _ <&3 && printf %s "$code"' "$ADDRESS" "$API" "$HEALTH" 2>/dev/null)
    [ -z "$code" ] || tell "health $code"
  fi
  if [ $((turn % 10)) = 5 ]; then signs; else tell tick; fi
  turn=$((turn + 1))
  sleep 1
done
