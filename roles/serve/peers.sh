# What this node does, told to the others through a socket unit, and what the others say. Read only, one line each way.
generation=$(cat "$folder/generation" 2>/dev/null) spec=$(cat "$folder/spec" 2>/dev/null)
now=new
say() { echo "bringup: $*"; }
note() {
  say "$*"
  printf '%s g%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$generation" "$*" >>"$folder/history"
}
ended() {
  note "$*"
  printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$folder/ended"
}
nap() {
  sleep "$1" &
  wait $!
}
state() {  # state WORD [WHY]
  now=$1
  printf 'spec=%s generation=%s state=%s why=%s\n' "$spec" "$generation" "$1" "${2:-}" >"$folder/state.new" && mv -f "$folder/state.new" "$folder/state"
}
number() { printf '%s' "$generation" >"$folder/generation.new" && mv -f "$folder/generation.new" "$folder/generation"; } # never half of it
open_port() { timeout 3 bash --norc -c 'exec 3<>"/dev/tcp/$0/$1"' "$1" "$2" 2>/dev/null; }

peer() {  # peer ADDRESS: what its unit does, in their_spec, their_state, their_generation, their_why
  local line
  their_state=silent their_generation=0 their_why= their_spec=
  line=$(timeout 3 bash --norc -c 'exec 3<>"/dev/tcp/$0/$1" && head -c 1000 <&3' "$1" "$GANG" 2>/dev/null)
  [[ $line =~ ^active=([a-z]+)\ spec=([0-9a-f]*)\ generation=([0-9]+)\ state=([a-z-]+)\ why=(.*)$ ]] || return 1
  their_spec=${BASH_REMATCH[2]} their_generation=${BASH_REMATCH[3]} their_state=${BASH_REMATCH[4]} their_why=${BASH_REMATCH[5]}
  case ${BASH_REMATCH[1]} in
    active | activating | deactivating) ;;
    *) [ "$their_state" = given-up ] || their_state=absent ;;
  esac
}

# Nothing of an older gang may live when a new one begins: every other rank says that it runs no engine.
gather() {
  local one missing told=
  while [ -z "$stopping" ]; do
    missing=
    for one in $PEERS; do
      peer "${one#*=}"
      case $their_state in waiting | down) ;; *) missing="$missing, ${one%%=*} is $their_state" ;; esac
    done
    [ -n "$missing" ] || return 0
    if [ "$missing" != "$told" ]; then
      told=$missing
      state gathering "${missing#, }"
      note "waits for the others: ${missing#, }"
    fi
    nap 2
  done
  return 1
}

declare -A heard=() missed=() odd=()
# Whether another rank is out of this gang, seen from here: twice in a row, or silent for half a minute after it was heard.
broken() {
  local one name
  for one in $PEERS; do
    name=${one%%=*}
    [ "$RANK" = 0 ] || [ "${one#*=}" = "$HEAD" ] || continue # the others look at rank 0, and rank 0 at all
    if peer "${one#*=}"; then
      heard[$name]=$SECONDS missed[$name]=0
      if [ "$their_generation" = "$generation" ]; then
        case $their_state in starting | serving) odd[$name]=0; continue ;; esac
        case $their_state in
          down | given-up | absent) ;;
          waiting) [ -n "$ready" ] || [ -z "$asked" ] || continue ;; # serve told it this generation: it still waits; else it was in and left
          *) [ -n "$ready" ] || continue ;;
        esac
      elif [ -z "$ready" ] && [ "$RANK" = 0 ]; then
        continue # it has not heard of this generation yet
      fi
      odd[$name]=$((${odd[$name]:-0} + 1))
      [ "${odd[$name]}" -lt 2 ] || { trouble="$name is $their_state (generation $their_generation)${their_why:+: $their_why}"; return 0; }
    elif [ -n "${heard[$name]:-}" ]; then
      missed[$name]=$((${missed[$name]:-0} + 1))
      [ "${missed[$name]}" -lt 3 ] || [ $((SECONDS - heard[$name])) -lt 30 ] || { trouble="$name has not been heard of for half a minute"; return 0; }
    fi
  done
  return 1
}
