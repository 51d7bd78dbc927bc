# One token from every rank, again and again, on rank 0's node: /health says 200 while an engine hangs.
request() {  # request METHOD PATH RANK BODY: the whole answer; the key comes from its file, and is in no argv
  local key=
  [ -z "$SECRETS" ] || IFS= read -r key <"$SECRETS"
  exec 3<>"/dev/tcp/$HEAD/$API" || return 1
  {
    printf '%s %s HTTP/1.0\r\nHost: %s:%s\r\nConnection: close\r\n' "$1" "$2" "$HEAD" "$API"
    [ -z "$key" ] || printf 'Authorization: Bearer %s\r\n' "${key#*=}"
    [ -z "$RANK_HEADER" ] || [ -z "$3" ] || printf '%s: %s\r\n' "$RANK_HEADER" "$3"
    [ -z "$4" ] || printf 'Content-Type: application/json\r\nContent-Length: %s\r\n' "${#4}"
    printf '\r\n%s' "$4"
  } >&3
  cat <&3
}
within() {  # within SECONDS METHOD PATH RANK BODY
  local limit=$1
  shift
  timeout "$limit" bash --norc -c "$(declare -p SECRETS HEAD API RANK_HEADER); $(declare -f request); request \"\$@\"" probe "$@" 2>/dev/null
}
serves() {
  local answer
  answer=$(within 5 GET "$HEALTH" '' '')
  [[ $answer =~ ^HTTP/[0-9.]+\ 200 ]]
}
answered() {  # answered RANK: says nothing when a token came in time, or the request was refused by an engine that lives
  local answer code
  answer=$(within "$DEADLINE" POST "$CHAT" "$1" "$QUESTION")
  code=$?
  [ $code != 124 ] || { echo "no token within $DEADLINE s"; return; }
  [[ $answer =~ ^HTTP/[0-9.]+\ ([0-9]+) ]] || { echo "no answer"; return; }
  case ${BASH_REMATCH[1]} in
    200) [[ $answer =~ \"completion_tokens\":\ *[1-9] ]] || echo "an answer without a token" ;;
    400 | 413 | 422 | 429) ;;
    401 | 403) : >"$folder/refused" ;; # it lives, and more cannot be known: to restart it would cure no wrong key
    *) echo "HTTP ${BASH_REMATCH[1]}" ;;
  esac
}
all_answer() {  # what each silent rank said, as lines RANK:WORDS
  local rank=0
  rm -f "$folder"/alive.*
  while [ "$rank" -lt "$RANKS" ]; do
    answered "$rank" >"$folder/alive.$rank" &
    rank=$((rank + 1))
    [ -n "$RANK_HEADER" ] || break
  done
  wait
  for file in "$folder"/alive.*; do
    [ ! -s "$file" ] || printf '%s:%s\n' "${file##*.}" "$(cat "$file")" 2>/dev/null  # who asked may be gone
  done
}
counters() {  # how much each rank has done since it began, as RANK=NUMBER words; where nothing counts, when its log last told of work
  local found
  found=$(counted)
  if [ -z "$found" ]; then found=$(worked); found=0=${found:-0}; fi
  printf '%s' "$found"
}
counted() {
  within 10 GET "$METRICS" '' '' | awk '
    /^(vllm|sglang):(prompt_tokens|generation_tokens|request_success)(_total)?[{ ]/ {
      rank = 0
      if (match($0, /engine="[0-9]+"/)) rank = substr($0, RSTART + 8, RLENGTH - 9)
      done[rank] += $NF
    }
    END { for (rank in done) printf "%s=%.0f ", rank, done[rank] }'
}
moved() {  # moved RANK BEFORE AFTER
  local old new
  [[ " $2" =~ \ $1=([0-9]+) ]] && old=${BASH_REMATCH[1]} || return 1
  [[ " $3" =~ \ $1=([0-9]+) ]] && new=${BASH_REMATCH[1]} || return 1
  [ "$new" -gt "$old" ]
}
# A rank that gives no token and whose counters stand still gets a strike; one that is only slow gets none.
watch_alive() {
  local strikes=0 slow= blind= before= after silent dead line rank
  trap - TERM INT
  while nap "$EVERY"; do
    [ "$strikes" -gt 0 ] || before=$(counters) # from the first strike on, all the time counts
    rm -f "$folder/refused"
    silent=$(all_answer)
    if [ -e "$folder/refused" ]; then
      [ -n "$blind" ] || note "probe: blind, the engine refuses the key that is kept here; serve sets it anew"
      blind=1
    fi
    if [ -z "$silent" ]; then
      [ "$strikes$slow" = 0 ] || note "probe: every rank answers in time again"
      strikes=0 slow=
      continue
    fi
    after=$(counters)
    dead=
    while IFS= read -r line; do
      rank=${line%%:*}
      moved "$rank" "$before" "$after" || dead="$dead, rank $rank: ${line#*:}"
    done <<<"$silent"
    if [ -z "$dead" ]; then
      [ -n "$slow" ] || note "probe: slow, not hung: $(echo "$silent" | tr '\n' ' ')while its counters move (${before}-> ${after})"
      strikes=0 slow=1
      continue
    fi
    strikes=$((strikes + 1))
    note "probe: strike $strikes of $STRIKES: ${dead#, }; counters ${before:-none }-> ${after:-none}"
    if [ "$strikes" -ge "$STRIKES" ]; then
      printf 'hung: %s, %s times in a row while its counters stood still\n' "${dead#, }" "$strikes" >"$folder/verdict.new"
      mv -f "$folder/verdict.new" "$folder/verdict"
      return
    fi
  done
}
