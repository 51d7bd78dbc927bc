# Engine-like processes with their ancestors: pid, parent, start, state, user, cgroup, command, with tabs between.
engine_like='(^| )VLLM::|vllm serve|vllm\.entrypoints|sglang[.:]|multiprocessing\.(spawn|forkserver)|xinference|xinf-api-|^Model: [^ ]+-rep[0-9]+'
listening() {
  ss -Hltnp 2>/dev/null | awk -v want=" $PORTS $HCCL " '{ n = split($4, at, ":"); if (index(want, " " at[n] " ")) while (match($0, /pid=[0-9]+/)) {
    print substr($0, RSTART + 4, RLENGTH - 4); $0 = substr($0, RSTART + RLENGTH) } }' | sort -u | tr '\n' ' '
}
processes() {
  ps -ww -eo pid=,ppid=,stat=,user:32=,args= 2>/dev/null | awk -v like="$engine_like" -v self=$$ -v also=" $(listening)" '
    { pid = $1; parent[pid] = $2; state[pid] = $3; user[pid] = $4; $1 = $2 = $3 = $4 = ""; sub(/^ +/, ""); args[pid] = substr($0, 1, 200) }
    index(also, " " pid " ") { wanted[pid] = 1 }
    $0 ~ like && $0 !~ /bringup-probe|docker (run|exec|logs|wait)/ && pid != self { wanted[pid] = 1 }
    END {
      for (pid in wanted) for (up = pid; up > 1 && (up in parent) && !(up in told); up = parent[up]) {
        told[up] = 1
        print up "\t" parent[up] "\t" state[up] "\t" user[up] "\t" args[up]
      }
    }' | while IFS="	" read -r pid parent state user args; do
    read -r stat 2>/dev/null <"/proc/$pid/stat" || continue
    set -- ${stat##*) }
    group=$(awk -F: '{ if (length($3) > length(g)) g = $3 } END { print g }' "/proc/$pid/cgroup" 2>/dev/null)
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$pid" "$parent" "${20}" "$state" "$user" "${group:--}" "$args"
  done | sed -E 's/((api|auth|access|hub|hf)[-_]?(key|token)|password|secret)([= ]+)[^ ]+/\1\4***/Ig'
}
say processes 0 "$(processes)"
say boot 0 "$(awk '$1 == "btime" { print $2 }' /proc/stat) $(getconf CLK_TCK)"
folder=$STATE/$CLUSTER
# Files in shared memory that our engine may have left: made since our first start, there was no such file before, nobody maps them.
leftovers() {
  [ -e "$folder/shm.before" ] || return 0
  find /dev/shm -maxdepth 1 -type f -user "$(id -un)" -newer "$folder/shm.before" \
    \( -name 'psm_*' -o -name 'sem.mp-*' -o -name 'VLLM_OBJECT_STORAGE_SHM_BUFFER*' -o -name 'vllm_dist_*' \) -printf '%f\n' 2>/dev/null |
    grep -Fxv -f "$folder/shm.before" | while IFS= read -r name; do
    cat /proc/[0-9]*/maps 2>/dev/null | grep -Fq "/dev/shm/$name" || echo "$name"
  done
}
say leftovers 0 "$(leftovers)"
say ours.files 0 "$(ls -d "$CONFIG/$CLUSTER" "$folder"/* 2>/dev/null | grep -Fxv "$folder/lock")"
