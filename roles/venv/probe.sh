# The environment of a plan without a container: what it was made of, and how uv would be had.
if [ "$RUNTIME" = venv ]; then
  venv_folder=$STATE/$CLUSTER/venv
  say venv.made 0 "$(cat "$venv_folder/bringup.made" 2>/dev/null)"
  venv_uv=$(command -v uv || { [ -x "$STATE/bin/uv" ] && echo "$STATE/bin/uv"; })
  venv_wheel=
  [ -z "$WHEELS" ] || venv_wheel=$(ls "$WHEELS"/uv-[0-9]*.whl 2>/dev/null | tail -n 1)
  say venv.host 0 "uv=$venv_uv
wheel=$venv_wheel
wheels=$([ -z "$WHEELS" ] || ls "$WHEELS" 2>/dev/null | grep -c '\.whl$')
unpack=$(command -v python3 || command -v unzip || command -v bsdtar)
curl=$(command -v curl)
free=$(timeout 5 df -P -B1 "$(ls -d "$STATE" 2>/dev/null || echo /var)" 2>/dev/null | awk 'NR == 2 { print $4 }')"
fi
