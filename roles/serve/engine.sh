# The unit's own story, without a controller: wait for the turn, run the engine, watch it, and when it ends begin again together.
stopping= ready= watcher=
trap 'stopping=1; say "stopping as asked"; halt' TERM INT

# One life of the engine; `trouble` says how it ended.
live() {
  local deadline began=$SECONDS asked_at=0 looked=$SECONDS trimmed=$SECONDS kin= one
  ready= trouble= main=
  heard=() missed=() odd=()
  for one in $PEERS; do
    if [ "$RANK" != 0 ] && [ "${one#*=}" = "$HEAD" ]; then heard[${one%%=*}]=$SECONDS; fi # it has just invited this rank
  done
  rm -f "$folder/verdict"
  [ -z "$stopping" ] || return
  state preparing
  launch || { trouble="the engine could not be started (see journalctl -u $UNIT)"; return; }
  state starting
  note "rank $RANK started"
  deadline=$((SECONDS + READY))
  while lives; do
    if [ -n "$stopping" ]; then break; fi
    if [ -z "$ready" ]; then
      if [ $((SECONDS - asked_at)) -ge 2 ] && asked_at=$SECONDS && begun; then
        ready=$SECONDS kin=$(family)
        state serving
        note "rank $RANK serves after $((SECONDS - began)) s${since:+, $((SECONDS - since)) s after its end}"
        if [ "$RANK" = 0 ] && [ "$RESTART" = gang ]; then watch_alive & watcher=$!; fi
      elif [ "$SECONDS" -gt "$deadline" ]; then
        trouble="deadline: no answer of http://$HEAD:$API$HEALTH within $READY s, stopped"
      fi
    elif gone "$kin"; then
      nap 3 # an engine that notices ends by itself, and says more
      if lives; then trouble=$lost; fi
    elif [ -e "$folder/verdict" ]; then
      trouble=$(cat "$folder/verdict")
    fi
    if [ -z "$trouble" ] && [ -n "$GANG" ] && [ $((SECONDS - looked)) -ge 5 ]; then
      looked=$SECONDS
      broken || trouble=
    fi
    if [ -n "$trouble" ]; then break; fi
    if [ $((SECONDS - trimmed)) -ge 10 ]; then trimmed=$SECONDS; trim; fi
    nap 1
  done
  since=$SECONDS
  [ -z "$watcher" ] || kill "$watcher" 2>/dev/null
  watcher=
  if [ -z "$trouble" ] && [ -z "$stopping" ]; then
    how
    trouble="the engine ended with code $code"
  fi
  state stopping "$trouble"
  halt
}

# Rank 0 serves when it answers; after a restart, when every rank gave a token. The others serve when rank 0 says so.
begun() {
  if [ "$RANK" != 0 ] && [ -n "$GANG" ] && peer "$HEAD"; then
    [ "$their_state" = serving ] && [ "$their_generation" = "$generation" ]
    return
  fi
  serves || return 1
  [ "$RANK" = 0 ] && [ -z "$asked" ] || return 0
  if [ ${#LAUNCH[@]} -gt 0 ] && [ -z "$launched" ]; then
    inside "${LAUNCH[@]}" >/dev/null 2>&1 || return 1
    launched=1
  fi
  [ -z "$(all_answer)" ]
}

# Whether and when the whole replica begins again: twice as long each time, and not for ever.
again() {
  local count pause
  [ "$RESTART" = gang ] && [ -e "$folder/proven" ] || return 1
  if [ -n "$ready" ] && [ $((SECONDS - ready)) -ge "$STABLE" ]; then rm -f "$folder/restarts"; fi
  count=$(wc -l 2>/dev/null <"$folder/restarts" || echo 0)
  if [ "$count" -ge "$LIMIT" ]; then
    ended "given up after $count restarts in a row; the last one: $trouble"
    state given-up "$trouble"
    exit 77
  fi
  date -u +%Y-%m-%dT%H:%M:%SZ >>"$folder/restarts"
  pause=$((BACKOFF << (count < 6 ? count : 6)))
  [ "$pause" -le 600 ] || pause=600
  state down "$trouble"
  note "begins again in $pause s (restart $((count + 1)) of $LIMIT)"
  nap "$pause"
}

lead() {
  while :; do
    if [ -z "$asked" ]; then
      generation=$((generation + 1))
      number
      state gathering
      gather || exit 0
    fi
    live
    [ -z "$stopping" ] || exit 0
    ended "$trouble"
    keep
    again || exit 1
    fresh
  done
}

follow() {
  local last=0 gate=$((SECONDS + JOIN)) told=
  while :; do
    state waiting
    until invited && open_port "$HEAD" "$RPC"; do
      [ -z "$stopping" ] || exit 0
      if [ -n "$asked" ] && [ "$SECONDS" -ge "$gate" ]; then
        ended "gate: $HEAD:$RPC was not reached within $JOIN s, the engine was not started"
        exit 75
      fi
      if [ -z "$asked" ] && [ "$their_state" = given-up ]; then
        ended "given up, as rank 0 has: $their_why"
        state given-up "$their_why"
        exit 77
      fi
      if [ -z "$asked" ] && [ "$their_state" != "$told" ]; then told=$their_state; note "waits for rank 0, which is $told"; fi
      nap 1
    done
    say "gate: $HEAD:$RPC is open"
    generation=$their_generation last=$their_generation
    number
    live
    [ -z "$stopping" ] || exit 0
    ended "$trouble"
    keep
    state down "$trouble"
    [ "$RESTART" = gang ] && [ -e "$folder/proven" ] || exit 1
    fresh
  done
}
# Only a generation of this very plan that begins now, and never one this node was in before: a node that was replaced joins nobody.
invited() {
  peer "$HEAD"
  [ "$their_spec" = "$spec" ] && [ "$their_state" = starting ] && [ "$their_generation" -ge "$generation" ] && [ "$their_generation" -gt "$last" ]
}

fresh() {
  asked= launched=
  ls -1t "$folder/logs" | tail -n +9 | while IFS= read -r old; do rm -f "$folder/logs/$old"; done
  until usable; do
    [ -z "$stopping" ] || exit 0
    [ "$now" = without-docker ] || { state without-docker; note "waits for Docker"; }
    nap 2
  done
  keep # what a power cut, or a Docker that was down, left unkept
  prepare
}

since= asked= launched=
[ ! -e "$folder/asked" ] || asked=1
rm -f "$folder/asked"
if [ -f "$folder/history" ]; then tail -n 500 "$folder/history" >"$folder/history.new" && mv -f "$folder/history.new" "$folder/history"; fi
if [ -n "$asked" ]; then
  prepare
elif [ "$RESTART" = gang ] && [ -e "$folder/proven" ]; then
  note "begins by itself: the node or this unit was restarted"
  fresh
else
  say "nothing proven to start"
  exit 0
fi
if [ "$RANK" = 0 ]; then lead; else follow; fi
