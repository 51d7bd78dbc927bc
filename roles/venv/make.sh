# Makes the environment beside the old one and takes its place only when it is complete. Prints the digest of what is in it.
set -eu
folder=$STATE/$CLUSTER/venv
[ -z "$PROXY" ] || export HTTPS_PROXY="$PROXY" HTTP_PROXY="$PROXY"
uv=$(command -v uv || { [ -x "$STATE/bin/uv" ] && echo "$STATE/bin/uv"; } || :)
if [ -z "$uv" ]; then
  mkdir -p "$STATE/bin"
  uv=$STATE/bin/uv
  wheel=
  [ -z "$WHEELS" ] || wheel=$(ls "$WHEELS"/uv-[0-9]*.whl 2>/dev/null | tail -n 1)
  if [ -n "$wheel" ]; then
    echo "uv comes from $wheel"
    work=$(mktemp -d "$STATE/bin/uv.XXXXXX")
    { python3 -m zipfile -e "$wheel" "$work" || unzip -q "$wheel" -d "$work" || bsdtar -xf "$wheel" -C "$work"; } 2>/dev/null ||
      { rm -rf "$work"; echo "$wheel could not be unpacked: python3, unzip or bsdtar is needed"; exit 3; }
    install -m 755 "$work"/uv-*.data/scripts/uv "$uv"
    rm -rf "$work"
  else
    echo "uv comes from astral.sh"
    curl -fsSL --retry 3 https://astral.sh/uv/install.sh | env UV_INSTALL_DIR="$STATE/bin" UV_NO_MODIFY_PATH=1 sh >/dev/null 2>&1 ||
      { echo "uv could not be downloaded: set proxy, or wheels to a folder with its wheel"; exit 3; }
  fi
fi
rm -rf "$folder.old"
[ ! -d "$folder" ] || mv "$folder" "$folder.old"
back() { rm -rf "$folder"; [ ! -d "$folder.old" ] || mv "$folder.old" "$folder"; }
trap 'back' EXIT
trap 'exit 143' TERM INT
offline=
[ -z "$WHEELS" ] || offline="--offline --no-index --find-links $WHEELS"
export UV_CACHE_DIR="$STATE/cache/uv"
"$uv" venv -q ${WHEELS:+--offline} --python "$PYTHON" "$folder" 2>&1
eval "set -- $PACKAGES" # quoted by whoever wrote them
"$uv" pip install --python "$folder" $offline "$@" 2>&1
digest=$("$uv" pip freeze --python "$folder" 2>/dev/null | sort | sha256sum | cut -c1-24)
printf 'python=%s\npackages=%s\ndigest=%s\n' "$PYTHON" "$PACKAGES" "$digest" >"$folder/bringup.made"
trap - EXIT
rm -rf "$folder.old"
echo "made $digest"
