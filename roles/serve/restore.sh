# Puts the files of a kept plan back where they were.
from=$folder/$KEPT
[ -s "$from/spec" ] || { echo "no plan is kept in $from"; exit 4; }
back() {  # back NAME PATH: as it was then, or not there at all
  if [ -e "$from/$1" ]; then cp -p "$from/$1" "$2.bringup-new" && mv -f "$2.bringup-new" "$2"; else rm -f "$2"; fi
}
back run "$SCRIPT"
back service "$units/$UNIT.service"
back entrypoint "${SCRIPT%.run}.entrypoint.sh"
back tell "${SCRIPT%.run}.tell"
back peers.socket "$units/$UNIT.peers.socket"
back peers.service "$units/$UNIT.peers@.service"
back plan.json "$folder/plan.json"
back spec "$folder/spec"
printf '%s' "$GENERATION" >"$folder/generation.new"
mv -f "$folder/generation.new" "$folder/generation"
