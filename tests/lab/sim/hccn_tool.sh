#!/bin/sh
# hccn_tool: what follows from the state alone is remembered beside it (see answers.py); a look asks some 70 times, and Python takes 60 ms to begin.
state=${LAB_STATE:-/lab/state.yaml}
case "${LAB_UID:-0} $*" in
  *-process* | *-s* | */*) ;;
  "0 "*) if [ -e "${LAB_DEV:-${LAB_ROOT:-}/dev}/davinci_manager" ] && [ -r "$state.answers/$*" ]; then exec cat "$state.answers/$*"; fi ;;
esac
main=$(dirname "$(readlink -f "$0")")/main.py
[ -e "$main" ] || main=${LAB_SIM:-/opt/lab/sim}/main.py
exec python3 "$main" hccn_tool "$@"
