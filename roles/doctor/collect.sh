# Everything the doctor reads of one node, in one run; nothing is changed and no file is made.
# ENGINE_BYTES, PLOG_BYTES: how much of the logs; PLOG: the folder with the engine's plog; QUICK: only what a failed start needs.
root=${BRINGUP_PROBE_ROOT:-}
folder=$STATE/$CLUSTER/$REPLICA
part() { printf '%s%s 0\n' "$mark" "$1"; }
clean() { tr -d '\036\000'; }
fact() { [ -z "$2" ] || printf '%s=%s\n' "$1" "$(printf '%s' "$2" | tr '\n' ' ')"; }
first() { sed -n "s/^$1=//p" "$2" 2>/dev/null | head -n 1; }
docked() { [ "$RUNTIME" = docker ] && have docker; }
shown() { timeout -k 1 10 docker inspect -f "$1" "$UNIT" 2>/dev/null; }

part clock
date +%s.%N

# The accelerators first: their TLS switches are a fact, too.
tls='' tls_cards=''
if [ "$VENDOR" = ascend ]; then
  tool=$root/usr/local/Ascend/driver/tools/hccn_tool
  [ -x "$tool" ] || tool=$(command -v hccn_tool)
  asked='link tls'
  [ -n "$QUICK" ] || asked='link tls stat'
  until=$(($(date +%s) + 60))
  for card in ${tool:+$NUMBERS}; do  # one after the other: a second call finds the tool busy
    for query in $asked; do
      out='the time for hccn_tool was up' try=0
      while [ "$(date +%s)" -lt "$until" ]; do
        out=$(timeout -k 1 10 "$tool" -i "$card" "-$query" -g 2>&1 </dev/null)
        try=$((try + 1))
        case $out in *'is busy'*) [ "$try" -lt 5 ] && sleep 0.2 && continue ;; esac
        break
      done
      say "hccn.$query.$card" 0 "$out"
      if [ "$query" = tls ]; then
        switch=$(printf '%s' "$out" | sed -n 's/.*tls switch\[\([0-9]\)\].*/\1/p' | head -n 1)
        [ -z "$switch" ] || { tls_cards="$tls_cards $card:$switch"; case " $tls " in *" $switch "*) ;; *) tls="${tls:+$tls }$switch" ;; esac; }
      fi
    done
  done
  look npu-smi.info 20 npu-smi info
  for card in $(printf '%s\n' "$look_out" | awk -F'|' '$2 ~ /^ *[0-9]+ +[^ ]/ && $3 ~ /^ *[A-Za-z]+ *$/ && $3 !~ /^ *OK *$/ { split($2, w, " "); print w[1] }' | sort -un); do
    look "npu-smi.health.$card" 10 npu-smi info -t health -i "$card"
  done
elif [ "$VENDOR" = nvidia ]; then
  look nvidia-smi.table 30 nvidia-smi
  [ -n "$QUICK" ] || look nvidia-smi.topology 30 nvidia-smi topo -m
elif [ "$VENDOR" = amd ]; then
  if have amd-smi; then look amd-smi.table 30 amd-smi; elif have rocm-smi; then look amd-smi.table 30 rocm-smi; fi
fi

driver='' firmware=''
case $VENDOR in
ascend)
  driver=$(first package_version "$root/usr/local/Ascend/driver/version.info")
  driver=${driver:-$(first Version "$root/usr/local/Ascend/driver/version.info")}
  firmware=$(first Version "$root/usr/local/Ascend/firmware/version.info")
  ;;
nvidia) driver=$(timeout -k 1 20 nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1) ;;
amd) driver=$(cat "$root/sys/module/amdgpu/version" 2>/dev/null) ;;
esac
image_id='' digest='' cann=''
if docked; then
  image_id=$(shown '{{.Image}}')
  image_id=${image_id:-$(timeout -k 1 10 docker image inspect -f '{{.Id}}' "$IMAGE" 2>/dev/null)}
  digest=$(timeout -k 1 10 docker image inspect -f '{{join .RepoDigests " "}}' "$IMAGE" 2>/dev/null)
  if [ "$VENDOR" = ascend ] && [ "$(shown '{{.State.Running}}')" = true ]; then
    cann=$(timeout -k 1 10 docker exec "$UNIT" sh -c 'sed -n "s/^version=//p" /usr/local/Ascend/ascend-toolkit/latest/*-linux/ascend_toolkit_install.info 2>/dev/null | head -n 1' 2>/dev/null)
  fi
fi
part facts
fact hostname "$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)"
fact kernel "$(uname -r)"
fact arch "$(uname -m)"
fact os "$(sed -n 's/^PRETTY_NAME="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' /etc/os-release 2>/dev/null)"
fact zone "$(date +%z)"
fact boot "$(awk '$1 == "btime" { print $2 }' /proc/stat)"
fact driver "$driver"
fact firmware "$firmware"
fact cann "$cann"
fact tls "$tls"
fact tls_cards "${tls_cards# }"
fact image_id "$image_id"
fact image_digest "$digest"
fact mtu "$(cat "/sys/class/net/$NIC/mtu" 2>/dev/null)"
fact generation "$(cat "$folder/generation" 2>/dev/null)"
fact generation_at "$(stat -c %Y "$folder/generation" 2>/dev/null)"
[ -z "$WEIGHTS" ] || fact weights "$(cat "$WEIGHTS/config.json" "$WEIGHTS/model.safetensors.index.json" 2>/dev/null | timeout 20 sha256sum 2>/dev/null | cut -c1-16)"

answers() {
  timeout 6 bash --norc -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$0" >&3 && IFS=" " read -r _ code _ <&3 && printf %s "$code"' "$ADDRESS" "$API" "$HEALTH" 2>/dev/null
}
part unit
timeout 10 systemctl show -p ActiveState,SubState,Result,ExecMainStatus,NRestarts "$UNIT.service" 2>/dev/null | clean
fact present "$([ -e "/etc/systemd/system/$UNIT.service" ] && echo yes)"
if docked; then
  shown 'container={{.State.Status}}
exit={{.State.ExitCode}}
oom={{.State.OOMKilled}}
started={{.State.StartedAt}}
finished={{.State.FinishedAt}}
error={{.State.Error}}' | clean
fi
[ "$RANK" != 0 ] || fact health "$(answers)"
fact proven "$(cat "$folder/proven" 2>/dev/null)"
part unit.ended
tail -n 5 "$folder/ended" 2>/dev/null | clean
part journal
timeout 20 journalctl -q -u "$UNIT.service" -n 400 -o short-unix --no-pager 2>/dev/null | clean
if docked; then
  look docker.answer 10 docker version -f '{{.Server.Version}}'
  part docker
  timeout 20 journalctl -q -u docker.service -p warning -n 200 -o short-unix --no-pager 2>/dev/null | clean
  part inspect
  shown '{{json .State}}
{{json .Config.Labels}}
{{json .Config.Cmd}}
{{json .Mounts}}' | clean
  part env
  shown '{{range .Config.Env}}{{println .}}{{end}}' | sed -E 's/^([^=]*(KEY|TOKEN|SECRET|PASSW|CREDENTIAL)[^=]*)=.*/\1=***/I' | clean
fi

part engine
if docked; then
  [ -z "$(shown '{{.Id}}')" ] || timeout 60 docker logs -t --tail 60000 "$UNIT" 2>&1 | tail -c "$ENGINE_BYTES" | clean
else
  tail -c "$ENGINE_BYTES" "$folder/engine.log" 2>/dev/null | clean
fi
# shellcheck disable=SC2012 # our own names, digits only
for old in $(ls -1t "$folder/logs" 2>/dev/null | head -n 2); do
  part "old.${old%.log}"
  tail -c $((ENGINE_BYTES / 4)) "$folder/logs/$old" 2>/dev/null | clean
done
# plog: what was written since the engine was started, errors first, newest first, within the limit.
if [ -n "$PLOG" ] && [ -d "$PLOG" ]; then
  newer=
  [ ! -e "$folder/generation" ] || newer="-newer $folder/generation"
  left=$PLOG_BYTES
  for kind in debug run; do
    # shellcheck disable=SC2086 # two words or none
    for file in $(timeout 20 find "$PLOG/$kind" -name '*.log' $newer -printf '%T@ %p\n' 2>/dev/null | sort -rn | head -n 64 | cut -d' ' -f2-); do
      [ "$left" -gt 0 ] || break
      size=$(stat -c %s "$file" 2>/dev/null || echo 0)
      [ "$size" -le 524288 ] || size=524288
      name=${file##*/}
      part "plog.$kind.${name%.log}"
      tail -c "$size" "$file" 2>/dev/null | clean
      left=$((left - size))
    done
  done
fi

part dmesg
timeout 10 dmesg 2>/dev/null | tail -n 3000 | tail -c 400000 | clean
part processes
timeout 10 ps -eo pid,ppid,stat,etimes,rss,args 2>/dev/null | grep -iE 'vllm|sglang|xinference' | grep -v grep | cut -c1-400 | head -n 200 | clean
look host.disk 10 df -P -h "$STATE" /dev/shm ${WEIGHTS:+"$WEIGHTS"} /
part host.memory
head -n 6 /proc/meminfo
grep -E '^(Shmem|HugePages_Total|HugePages_Free|SwapTotal|SwapFree|Committed_AS):' /proc/meminfo
[ -z "$NIC" ] || look host.link 5 ip -s link show "$NIC"
part host.ports
ss -Hltnp 2>/dev/null | head -n 300 | clean
say end 0 ''
