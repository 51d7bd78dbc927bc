# Ends processes named as PID:START in $PROCESSES, and containers named in $CONTAINERS. Start is read again before every signal.
set -f
left=0
same() { # same PID START: it is still that very process
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 1
  set -- "$2" ${stat##*) }
  [ "$1" = "${21}" ]
}
state() { awk '{ sub(/.*\) /, ""); print $1 }' "/proc/$1/stat" 2>/dev/null; }
signal() { # signal NAME: to all that are still there; prints how many
  count=0
  for one in $PROCESSES; do
    if same "${one%:*}" "${one#*:}" && [ "$(state "${one%:*}")" != Z ]; then kill "-$1" "${one%:*}" 2>/dev/null; count=$((count + 1)); fi
  done
  echo "$count"
}
alive() {
  for one in $PROCESSES; do same "${one%:*}" "${one#*:}" && [ "$(state "${one%:*}")" != Z ] && return 0; done
  return 1
}
wait_for() { # seconds
  n=$(($1 * 5))
  while [ "$n" -gt 0 ] && alive; do sleep 0.2; n=$((n - 1)); done
}
for name in $CONTAINERS; do
  docker stop -t 30 -- "$name" >/dev/null 2>&1 && continue
  echo "container $name was not stopped: $(docker inspect -f '{{.State.Status}}' -- "$name" 2>/dev/null | grep . || echo there is none of this name)"
  left=1
done
[ "$(signal TERM)" = 0 ] || wait_for 10
if alive; then signal KILL >/dev/null; wait_for 10; fi
for one in $PROCESSES; do
  pid=${one%:*}
  same "$pid" "${one#*:}" || continue
  case $(state "$pid") in
    D) echo "pid $pid is in state D (blocked in the kernel): only a reboot ends it"; left=1 ;;
    Z) parent=$(awk '{ sub(/.*\) /, ""); print $2 }' "/proc/$pid/stat"); echo "pid $pid is a zombie: its parent $parent must collect it, else reboot"; [ "$parent" = 1 ] || left=1 ;;
    *) echo "pid $pid is still there after KILL"; left=1 ;;
  esac
done
exit "$left"
