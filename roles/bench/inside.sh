# Beside the engine: its environment, the key from that environment, a folder of our own; the result is the last thing said.
set -u
here=$PWD tool= watch=
leave() {
  [ -z "$tool" ] || kill "$tool" 2>/dev/null
  [ -z "$watch" ] || kill "$watch" 2>/dev/null
  cd / && rm -rf "$FOLDER"
}
mkdir -m 700 "$FOLDER" || exit 73
trap leave EXIT
trap 'exit 143' TERM INT HUP

# An image's entrypoint may have set what the engine needs (CANN's does); `docker exec` does not go through it.
if [ -n "$ENGINE" ] && [ -r "/proc/$ENGINE/environ" ]; then
  while IFS= read -r line; do
    case $line in *=*) name=${line%%=*} ;; *) continue ;; esac
    case $name in '' | [0-9]* | *[!A-Za-z0-9_]* | PWD | OLDPWD | SHLVL) continue ;; esac
    export "$line"
  done <<END
$(tr '\000' '\n' <"/proc/$ENGINE/environ")
END
fi
if [ -n "$AUTH" ]; then
  eval "secret=\${$AUTH-}"
  [ -z "$secret" ] || export OPENAI_API_KEY="$secret"
  unset secret
fi
export NO_PROXY="$DIRECT" no_proxy="$DIRECT" PYTHONUNBUFFERED=1

if [ -n "$RELATIVE" ]; then # as the page writes it, from the image's own working directory
  first=$1 script=$here/$2
  shift 2
  set -- "$first" "$script" "$@"
fi
cd "$FOLDER"
exec 3<&0
"$@" </dev/null 3<&- 2>&1 &
tool=$!
if [ -n "$WATCHED" ]; then # when the input ends, nobody waits for the result any more
  (
    while IFS= read -r line; do :; done
    kill -TERM "$tool"
    sleep 5
    kill -KILL "$tool"
  ) <&3 >/dev/null 2>&1 &
  watch=$!
fi
exec 3<&-
wait "$tool"
code=$?
tool=
if [ -s "$FILE" ]; then
  printf '\n\036result '
  tail -n 1 "$FILE" | tr -d '\036'
  echo
fi
exit "$code"
