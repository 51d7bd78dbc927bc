# Our unit and container on this node, and whether the endpoint answers.
http_status() {
  timeout 3 bash --norc -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$0" >&3 && IFS=" " read -r _ code _ <&3 && printf %s "$code"' "$1" "$2" "$3" 2>/dev/null
}
inspected() {
  timeout 10 docker inspect -f 'container={{.State.Status}}
id={{.Id}}
exit={{.State.ExitCode}}
oom={{.State.OOMKilled}}
started={{.State.StartedAt}}
image_id={{.Image}}
cluster={{index .Config.Labels "bringup.cluster"}}
spec={{index .Config.Labels "bringup.spec"}}
plan={{index .Config.Labels "bringup.plan"}}
generation={{index .Config.Labels "bringup.generation"}}' "$UNIT" 2>/dev/null
}
folder=$STATE/$CLUSTER/$REPLICA
unit="name=$UNIT
active=$(systemctl is-active "$UNIT.service" 2>/dev/null)
enabled=$(systemctl is-enabled "$UNIT.service" 2>/dev/null)
sub=$(systemctl show -p SubState --value "$UNIT.service" 2>/dev/null)
since=$(systemctl show -p ActiveEnterTimestamp --value "$UNIT.service" 2>/dev/null)
present=$([ -e "/etc/systemd/system/$UNIT.service" ] && echo yes)
generation=$(cat "$folder/generation" 2>/dev/null)
recorded_spec=$(cat "$folder/spec" 2>/dev/null)
proven=$(cat "$folder/proven" 2>/dev/null)
kept=$(cat "$folder/proven.plan/spec" 2>/dev/null)
previous=$(cat "$folder/previous.plan/spec" 2>/dev/null)
ended=$(tail -n 1 "$folder/ended" 2>/dev/null)
$(if [ "$RUNTIME" = docker ] && have docker; then inspected; fi)"
say unit 0 "$unit"
[ "$RANK" != 0 ] || say health 0 "$(http_status "$ADDRESS" "$API" "$HEALTH")"
[ ! -r "$folder/plan.json" ] || say recorded 0 "$(head -c 200000 "$folder/plan.json")"
# Containers and units of this cluster that are not this replica's: a plan that changed left them.
if have docker; then
  say ours.containers 0 "$(timeout 10 docker ps -a --filter "label=bringup.cluster=$CLUSTER" --format '{{.Names}} {{.State}}' 2>/dev/null)"
fi
say ours.units 0 "$(cd /etc/systemd/system 2>/dev/null && ls -d "bringup-$CLUSTER-"*.service "bringup-$CLUSTER-"*.socket 2>/dev/null)"
[ ! -r "$folder/forgotten" ] || say forgotten 0 "$(cat "$folder/forgotten")"
say gang 0 "$(cat "$folder/state" 2>/dev/null)"
say history 0 "$(tail -n 12 "$folder/history" 2>/dev/null)"
