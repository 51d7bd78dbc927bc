# What the accelerators say. Only the plan's vendor is asked; BRINGUP_PROBE_ROOT is for tests.
acc_root=${BRINGUP_PROBE_ROOT:-}

# acc_file SECTION PATH: a file, or whether it is missing or something else
acc_file() {
  if [ -d "$2" ]; then
    say "$1" 21 'a directory'
  elif [ ! -e "$2" ]; then
    say "$1" 127 'missing'
  else
    look "$1" 5 cat "$2"
  fi
}

# acc_devices PATH...: those that are there, with their kind
acc_devices() {
  for acc_path; do
    if [ -d "$acc_path" ]; then
      echo "d ${acc_path#"$acc_root"}"
    elif [ -c "$acc_path" ]; then
      echo "c ${acc_path#"$acc_root"}"
    elif [ -e "$acc_path" ]; then
      echo "f ${acc_path#"$acc_root"}"
    fi
  done
}

# acc_clock: seconds, without a process
acc_clock() {
  read -r acc_now acc_more </proc/uptime
  acc_now=${acc_now%%.*}
}

# acc_hccn SECTION WORDS...: one call of hccn_tool, again while it is busy, until the time for all of them is up
acc_hccn() {
  acc_section=$1 acc_try=0
  shift
  while :; do
    acc_clock
    if [ "$acc_now" -ge "$acc_until" ]; then
      acc_out='the time for hccn_tool was up' acc_code=124
      break
    fi
    acc_out=$(timeout -k 1 10 "$acc_tool" "$@" 2>&1 </dev/null)
    acc_code=$?
    case $acc_out in *'is busy'*) ;; *) break ;; esac
    acc_try=$((acc_try + 1))
    if [ "$acc_try" -ge "$acc_patience" ]; then
      acc_patience=1 # it is busy with something that lasts: the rest is asked once each
      break
    fi
    sleep 0.2
  done
  say "$acc_section" "$acc_code" "$acc_out"
}

# acc_holders PATTERN...: one line for each process that has one of these device files open:
# pid, start, parent, state, user, devices, cgroup, command, with tabs between. One `find` over all processes.
acc_holders() {
  acc_proc=$acc_root/proc
  acc_names=
  for acc_path; do acc_names="$acc_names -o -lname $acc_path"; done
  set -f
  set -- ${acc_names# -o}
  set +f
  timeout -k 1 20 find "$acc_proc"/[0-9]*/fd -maxdepth 1 -type l \( "$@" \) -printf '%h %l\n' 2>/dev/null </dev/null |
    awk -v root="$acc_root" '
      { n = split($1, part, "/"); pid = part[n - 1]; name = $2 }
      root != "" && index(name, root) == 1 { name = substr(name, length(root) + 1) }
      !((pid, name) in seen) { seen[pid, name]; list[pid] = list[pid] (pid in list && list[pid] != "" ? "," : "") name }
      END { for (pid in list) print pid, list[pid] }' |
    while read -r acc_pid acc_open; do
      read -r acc_stat 2>/dev/null <"$acc_proc/$acc_pid/stat" || continue
      acc_group=
      while IFS=: read -r acc_more acc_more acc_path; do
        [ "${#acc_path}" -gt "${#acc_group}" ] && acc_group=$acc_path
      done 2>/dev/null <"$acc_proc/$acc_pid/cgroup"
      acc_user=$(stat -c %U "$acc_proc/$acc_pid" 2>/dev/null)
      acc_words=$(tr '\000\t\n\036' '    ' 2>/dev/null <"$acc_proc/$acc_pid/cmdline")
      acc_comm=${acc_stat#*(}
      set -- ${acc_stat##*) }
      printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.300s\n' "$acc_pid" "${20}" "$2" "$1" "${acc_user:-?}" "$acc_open" "$acc_group" \
        "${acc_words:-[${acc_comm%)*}]}"
    done | sed -E 's/((api|auth|access|hub|hf)[-_]?(key|token)|password|secret)([= ]+)[^ ]+/\1\4***/Ig' | sort -n
}

acc_clock
acc_began=$acc_now
# acc_serving: whether our own engine runs here; its traffic is not disturbed
acc_serving() {
  case $(timeout -k 1 5 systemctl is-active "$UNIT.service" 2>/dev/null </dev/null) in active | activating) return 0 ;; esac
  [ -n "$(timeout -k 1 5 docker ps -q --filter "name=^/?$UNIT\$" 2>/dev/null </dev/null)" ]
}

case $VENDOR in
ascend)
  acc_file ascend.driver-version "$acc_root/usr/local/Ascend/driver/version.info"
  acc_file ascend.firmware-version "$acc_root/usr/local/Ascend/firmware/version.info"
  acc_file ascend.install-info "$acc_root/etc/ascend_install.info"
  acc_file ascend.hccn-conf "$acc_root/etc/hccn.conf"
  say devices 0 "$(acc_devices "$acc_root"/dev/davinci* "$acc_root/dev/devmm_svm" "$acc_root/dev/hisi_hdc")"
  look npu-smi.info 20 npu-smi info
  acc_ill=$(printf '%s\n' "$look_out" | awk -F'|' '$2 ~ /^ *[0-9]+ +[^ ]/ && $3 ~ /^ *[A-Za-z]+ *$/ && $3 !~ /^ *OK *$/ { split($2, w, " "); if (!(w[1] in n)) print w[1]; n[w[1]] }')
  for acc_card in $acc_ill; do look "npu-smi.health.$acc_card" 10 npu-smi info -t health -i "$acc_card"; done

  acc_tool=$acc_root/usr/local/Ascend/driver/tools/hccn_tool
  [ -x "$acc_tool" ] || acc_tool=$(command -v hccn_tool)
  acc_asked=process acc_patience=5
  [ -n "$PEERS" ] && acc_asked='link ip net_health tls lldp netdetect gateway process'
  # A light look, or one at a node that serves, leaves the ports alone.
  if [ "${LOOK:-full}" = light ] || acc_serving; then
    acc_asked=
    say hccn.asked 0 no
  fi
  case $acc_asked/$PEERS/$look_out in ?*/?*/*Phy-ID*)
    acc_asked="$acc_asked vnic" acc_first=${NUMBERS%% *}
    look npu-smi.spod 10 npu-smi info -t spod-info -i $((acc_first / 2)) -c $((acc_first % 2))
    ;;
  esac
  if [ -n "$acc_tool" ]; then
    acc_until=$((acc_began + 70))
    for acc_card in $NUMBERS; do
      for acc_query in $acc_asked; do acc_hccn "hccn.$acc_query.$acc_card" -i "$acc_card" "-$acc_query" -g; done
    done
  else
    say hccn 127 'hccn_tool: not found'
  fi
  set -- "$acc_root/dev/davinci*" "$acc_root/dev/devmm_svm*" "$acc_root/dev/hisi_hdc*"
  ;;
nvidia)
  say devices 0 "$(acc_devices "$acc_root"/dev/nvidia*)"
  look nvidia-smi.gpus 30 nvidia-smi --format=csv,nounits \
    --query-gpu=index,uuid,name,driver_version,memory.total,memory.used,persistence_mode,ecc.mode.current,ecc.errors.uncorrected.volatile.total
  look nvidia-smi.apps 30 nvidia-smi --query-compute-apps=gpu_uuid,pid,process_name,used_memory --format=csv,nounits
  look nvidia-smi.nvlink 30 nvidia-smi nvlink --status
  if [ "$RUNTIME" = docker ]; then
    say nvidia.toolkit 0 "$(for acc_tool in nvidia-ctk nvidia-container-runtime nvidia-container-runtime-hook; do have "$acc_tool" && echo "$acc_tool"; done)"
    have docker && look nvidia.runtimes 10 docker info --format '{{json .Runtimes}}'
  fi
  set -- "$acc_root/dev/nvidia*"
  ;;
amd)
  PATH="$PATH:$acc_root/opt/rocm/bin"
  say devices 0 "$(acc_devices "$acc_root/dev/kfd" "$acc_root"/dev/dri/renderD*)"
  look amd.groups 5 stat -c '%G %a %n' "$acc_root/dev/kfd" "$acc_root"/dev/dri/renderD*
  if have amd-smi; then
    look amd-smi.static 30 amd-smi static --asic --driver --json
    look amd-smi.metric 30 amd-smi metric --mem-usage --json
    look amd-smi.process 30 amd-smi process --json
  elif have rocm-smi; then
    look rocm-smi 30 rocm-smi --showproductname --showmeminfo vram --showdriverversion --json
  fi
  set -- "$acc_root/dev/kfd*" "$acc_root/dev/dri/renderD*"
  ;;
*) set -- ;;
esac
if [ $# -gt 0 ]; then
  acc_out=$(acc_holders "$@")
  say holders 0 "$acc_out"
  if [ -n "$acc_out" ] && have docker; then look holders.containers 5 docker ps -a --no-trunc --format '{{.ID}} {{.Names}}'; fi
fi
