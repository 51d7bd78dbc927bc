# Weights: what lies in the folders of the checkpoint and of its draft head. A few processes, however many files there are.
weights_look() { # weights_look NAME FOLDER
  [ -n "$2" ] || return 0
  # The nearest folder that exists says what would be true of one made there.
  look "weights.$1.place" 15 sh -c '
    d=$1
    while [ ! -e "$d" ]; do d=$(dirname "$d"); done
    if [ -d "$1" ]; then echo kind=folder; elif [ -e "$1" ]; then echo kind=file; else echo kind=missing; fi
    if [ -w "$d" ]; then echo writable=yes; else echo writable=no; fi
    stat -L -c "mode=%a %u %g" "$d"
    df -B1 --output=avail,fstype,source "$d" | sed -n "2s/^ */room=/p"' sh "$2"
  [ -d "$2" ] || return 0
  look "weights.$1.files" 30 sh -c \
    'find -L "$1" -maxdepth 5 -type f -printf "%s %T@ %m %U %G %P\n" | head -n 5000; find "$1/" -maxdepth 5 -type l -printf "-> %P\t%l\n" | head -n 1000' \
    sh "$2"
  look "weights.$1.config" 10 sh -c 'head -c 524288 -- "$1/config.json"' sh "$2"
  look "weights.$1.digests" 10 sh -c 'cd "$1" && ls config.json *.index.json 2>/dev/null | xargs -r sha256sum --' sh "$2"
  # An index of 20 MB, of which 130 names and one number count: awk takes a tenth of a second, grep and sort a second and a half.
  look "weights.$1.index" 20 sh -c '
    cd "$1" || exit 1
    for i in *.index.json; do
      [ -f "$i" ] || continue
      echo "index $i"
      awk -v RS=, -F\" "
        /\"total_size\"/ { t = \$0; sub(/.*\"total_size\"[^0-9]*/, \"\", t); sub(/[^0-9].*/, \"\", t); print \"total \" t }
        NF > 1 { n = \$(NF - 1) }
        n ~ /\.(safetensors|bin)\$/ && !seen[n]++ { print \"file \" n }" "./$i"
    done' sh "$2"
  # A safetensors file begins with the length of its header: all of them by one head and one od.
  look "weights.$1.heads" 20 sh -c '
    cd "$1" || exit 1
    names=$(find -L . -maxdepth 1 -type f -name "*.safetensors" -size +7c -printf "%P\n" | sort)
    [ -n "$names" ] || exit 0
    printf "%s\n" "$names"
    printf "%s\n" "$names" | tr "\n" "\0" | xargs -0 head -q -c 8 -- | od -An -v -tu8 -w8 | sed "s/^ */= /"' sh "$2"
  # Only when the shards do not hold what the index says in all: where the last tensor of each shard ends. Five processes a shard.
  look "weights.$1.ends" 60 sh -c '
    cd "$1" || exit 1
    data=$(find -L . -maxdepth 1 -type f -name "*.safetensors" -size +7c -printf "%s\n" | awk "{ s += \$1 - 8 } END { printf \"%.0f\", s }")
    heads=$(find -L . -maxdepth 1 -type f -name "*.safetensors" -size +7c -print0 | xargs -0 -r head -q -c 8 -- | od -An -v -tu8 -w8 |
      awk "{ s += \$1 } END { printf \"%.0f\", s }")
    total=$(cat ./*.index.json 2>/dev/null | grep -m 1 -o "\"total_size\"[^,}]*" | grep -oE "[0-9]+" | head -n 1)
    [ "${total:-none}" != "$(awk "BEGIN { printf \"%.0f\", $data - $heads }")" ] || exit 0
    for f in *.safetensors; do
      n=$(head -c 8 -- "$f" 2>/dev/null | od -An -tu8 | tr -d " ")
      [ "${#n}" -gt 0 ] && [ "${#n}" -lt 10 ] || continue
      head -c "$((n + 8))" -- "$f" | tail -c +9 | grep -oaE "\"data_offsets\" ?: ?\[ ?[0-9]+ ?, ?[0-9]+" | grep -oE "[0-9]+$" |
        awk -v n="$n" -v f="$f" "\$1 > m { m = \$1 } END { printf \"%.0f %s\n\", n + 8 + m, f }"
    done' sh "$2"
  case $2 in
    "$STATE"/models/*) look "weights.$1.manifest" 5 cat "$2.manifest" ;;
    *) look "weights.$1.manifest" 5 cat "$STATE/$CLUSTER/manifests/$(printf %s "$2" | sha256sum | cut -c1-16)" ;;
  esac
}
if [ "$VENDOR" != apple ]; then
  weights_look main "$WEIGHTS"
  weights_look draft "$DRAFT"
  if [ -n "$WEIGHTS$DRAFT" ] && [ -n "$IMAGE" ] && have docker; then look weights.user 10 docker image inspect -f 'user={{.Config.User}}' "$IMAGE"; fi
fi
