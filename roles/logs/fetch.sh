# The clock, then the log: with times where Docker keeps them. $LINES is a number or "all".
printf '\036clock %s\n' "$(date +%s.%N)"
follow=
[ -z "$FOLLOW" ] || follow=-f
if [ "$RUNTIME" = docker ]; then
  docker inspect "$UNIT" >/dev/null 2>&1 || { echo "no container $UNIT on this node"; exit 4; }
  docker logs -t $follow --tail "$LINES" "$UNIT" 2>&1
else
  file=$STATE/$CLUSTER/$REPLICA/engine.log
  [ -e "$file" ] || { echo "no log on this node"; exit 4; }
  [ "$LINES" != all ] || LINES=+1
  tail -n "$LINES" ${follow:+-F} "$file"
fi
