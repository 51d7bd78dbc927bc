# Tuning: what the kernel's knobs say, what is reserved, and our own files with the record of what was there before.
tuning_knobs() {
  for tuning_file in "$@"; do
    [ -r "$tuning_file" ] && printf '%s=%s\n' "$tuning_file" "$(head -c 65536 "$tuning_file" 2>/dev/null)"
  done
}
tuning_governors=$(ls -d /sys/devices/system/cpu/cpufreq/policy*/scaling_governor 2>/dev/null)
[ -n "$tuning_governors" ] || tuning_governors=$(ls -d /sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor 2>/dev/null)
# shellcheck disable=SC2086
say tuning.knobs 0 "$(tuning_knobs /proc/sys/vm/swappiness /proc/sys/kernel/numa_balancing /proc/sys/kernel/sched_migration_cost_ns \
  /sys/kernel/debug/sched/migration_cost_ns /proc/sys/net/ipv4/ip_local_reserved_ports /proc/sys/net/ipv4/ip_local_port_range \
  $tuning_governors)"
# Which governors a policy offers; without the file of them, all are taken to be there.
say tuning.offered 0 "$(for tuning_file in $tuning_governors; do
  tuning_offered=$(cat "${tuning_file%/*}/scaling_available_governors" 2>/dev/null) && printf '%s=%s\n' "$tuning_file" "$tuning_offered"
done)"
tuning_file() { if [ -f "$2" ]; then say "tuning.$1" 0 "$(cat "$2")"; else say "tuning.$1" 1 ''; fi; }
tuning_file sysctl /etc/sysctl.d/90-bringup.conf
tuning_file limits /etc/security/limits.d/90-bringup.conf
tuning_file script /etc/bringup/tuning.sh
tuning_file unit /etc/systemd/system/bringup-tuning.service
tuning_file before "$STATE/tuning/before"
tuning_file refused "$STATE/tuning/refused"
# Whether a session may have these limits at all: on some systems a file that asks for more than there is shuts every login out.
tuning_may() { if (ulimit "$1" "$2") 2>/dev/null; then echo yes; else echo no; fi; }
say tuning.host 0 "kernel=$(uname -r)
systemd=$([ -d /run/systemd/system ] && echo yes)
boot=$(systemctl is-enabled bringup-tuning.service 2>/dev/null)
pam=$([ -d /etc/security/limits.d ] && echo yes)
memlock=$(tuning_may -l unlimited)
nofile=$(tuning_may -n 1048576)"
