# The host and its network. The clock comes first: its arrival is compared with the controller's.
say clock 0 "$(date +%s.%N)"
os() { sed -n "s/^$1=\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" /etc/os-release 2>/dev/null | head -n 1; }
kib() { awk -v k="$1:" '$1 == k { print $2 }' /proc/meminfo; }
say host 0 "uid=$(id -u)
user=$(id -un)
hostname=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)
os=$(os ID)
os_like=$(os ID_LIKE)
os_version=$(os VERSION_ID)
kernel=$(uname -r)
arch=$(uname -m)
boot=$(cat /proc/sys/kernel/random/boot_id)
cpus=$(grep -c '^processor' /proc/cpuinfo)
memory_kib=$(kib MemTotal)
available_kib=$(kib MemAvailable)
swap_kib=$(kib SwapTotal)
swap_free_kib=$(kib SwapFree)
nofile=$(ulimit -n)
memlock=$(ulimit -l)
bash=$(command -v bash)
systemd=$([ -d /run/systemd/system ] && echo yes)"
say resolve 0 "$(timeout 5 getent hosts "$(hostname 2>/dev/null)" 2>&1 | head -n 3)"
say lock 0 "$(cat "$STATE/$CLUSTER/lock/holder" 2>/dev/null)"
# The nearest folder that exists, so that a path not made yet is asked for too.
near() {
  near_path=$1
  while [ -n "$near_path" ] && [ ! -d "$near_path" ]; do near_path=${near_path%/*}; done
  printf '%s' "${near_path:-/}"
}
disks=
for path in "$STATE" /dev/shm; do # the weights' folder may be full or read-only: weights.space judges it
  disks="$disks$path $(timeout 5 df -P -B1 "$(near "$path")" 2>/dev/null | awk 'NR == 2 { print $2, $4, $6 }')
"
done
say disk 0 "$disks"

look net.addr 5 ip -o -4 addr show
look net.link 5 ip -o link show
nic=
for file in mtu speed operstate carrier; do
  nic="$nic$file=$(cat "/sys/class/net/$NIC/$file" 2>/dev/null)
"
done
[ -z "$NIC" ] || say net.nic 0 "$nic"

# Who listens on a port of the plan: port, pid, name, cgroup, command. A socket unit is systemd's, whichever child holds it for a moment.
listeners() {
  ss -Hltnp 2>/dev/null | awk -v want=" $PORTS $HCCL " '{
    n = split($4, at, ":"); port = at[n]
    if (index(want, " " port " ")) { pid = "-"; if (match($0, /pid=[0-9]+/)) pid = substr($0, RSTART + 4, RLENGTH - 4); if ($0 ~ /pid=1,/) pid = 1; print port, pid, $4 }
  }' | sort -u | while read -r port pid at; do
    name=- group=- command=
    if [ "$pid" != - ]; then
      name=$(cat "/proc/$pid/comm" 2>/dev/null | tr ' ' '_')
      group=$(sed 's/.*://; q' "/proc/$pid/cgroup" 2>/dev/null)
      command=$(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | cut -c1-120)
    fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$port" "$pid" "$at" "${name:--}" "${group:--}" "$command"
  done
}
have ss && say listen 0 "$(listeners)" || say listen 127 ""

# Is a peer's port open to us? Refused is an answer too: nothing listens there, and nothing filters it.
knock() {
  knock_out=$(timeout 3 bash --norc -c "exec 3<>/dev/tcp/$1/$2" 2>&1)
  printf '%sreach.%s.%s %s\n%s\n' "$mark" "$1" "$2" "$?" "$(printf '%s' "$knock_out" | tail -n 1)"
}
big_ping() {
  ping_out=$(ping -n -c 1 -W 2 -M do -s "$2" "$1" 2>&1)
  printf '%spath.%s.%s %s\n%s\n' "$mark" "$1" "$2" "$?" "$(printf '%s' "$ping_out" | sed -n '2,3p')"
}
mtu=$(cat "/sys/class/net/$NIC/mtu" 2>/dev/null)
for peer in $KNOCK; do
  look "route.$peer" 3 ip -4 -o route get "$peer"
  for port in $PORTS ${HCCL%% *}; do have bash && knock "$peer" "$port" & done
  if [ -n "$mtu" ] && have ping; then big_ping "$peer" $((mtu - 28)) & fi
done
wait
