set -eu
last() { printf '%s\n' "$1" | sed '/^ *$/d' | tail -n 1; }
fail() {
  echo "why $*"
  exit 1
}
if [ -n "$ARCHIVE" ]; then
  [ -f "$ARCHIVE" ] && [ -r "$ARCHIVE" ] || fail "there is no file $ARCHIVE on this node"
  said=$(docker load -i "$ARCHIVE" 2>&1 </dev/null) || fail "$ARCHIVE cannot be loaded: $(last "$said")"
  names=$(printf '%s\n' "$said" | sed -n 's/^Loaded image[^:]*: //p' | tr '\n' ' ')
  docker image inspect "$IMAGE" >/dev/null 2>&1 || fail "$ARCHIVE holds ${names:-nothing with a name}not $IMAGE"
else
  got=
  for source in $SOURCES; do
    echo "from $source"
    if docker pull "$source" </dev/null 2>&1; then
      got=$source
      break
    fi
  done
  [ -n "$got" ] || exit 1
  [ "$got" = "$IMAGE" ] || docker tag "$got" "$IMAGE"
fi
echo "arch $(uname -m)"
docker image inspect --format 'image {{.Id}} {{.Architecture}} {{.Size}} {{json .RepoDigests}}' "$IMAGE"
