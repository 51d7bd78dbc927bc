set -eu
umask 022
# The parts of this script run in this order: our files, the packages, then the daemon; what does not work out is put back.
keep() { # PATH: its present self stays beside it until all went well
  rm -f "${1%/*}/.bringup-before"
  if [ -f "$1" ]; then cp -p "$1" "${1%/*}/.bringup-before"; fi
}
write() { # PATH TEXT
  mkdir -p "${1%/*}"
  keep "$1"
  if [ -n "$2" ]; then
    printf '%s' "$2" >"${1%/*}/.bringup-new"
    mv "${1%/*}/.bringup-new" "$1"
  else
    rm -f "$1"
  fi
}
put_back() {
  if [ -f "${1%/*}/.bringup-before" ]; then mv "${1%/*}/.bringup-before" "$1"; else rm -f "$1"; fi
}
all_back() {
  [ -z "$DAEMON_CHANGES" ] || put_back "$DAEMON_FILE"
  [ -z "$PROXY_CHANGES" ] || put_back "$PROXY_FILE"
  systemctl daemon-reload
}
last_words() { journalctl -u docker.service -t dockerd -n 40 -o cat --no-pager 2>/dev/null | grep -iE 'unable|failed to|error' | tail -n 1; }
fail() {
  echo "why $*"
  exit 1
}

[ -z "$DAEMON_CHANGES" ] || write "$DAEMON_FILE" "$DAEMON"
[ -z "$PROXY_CHANGES" ] || write "$PROXY_FILE" "$PROXY"

install_apt() {
  apt_lists
  # Without its tool, Docker does not start containers where the kernel has AppArmor; with containerd.io, docker.io conflicts.
  [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || PACKAGES="$PACKAGES apparmor"
  if dpkg-query -W -f '${Status}' containerd.io 2>/dev/null | grep -q 'ok installed'; then
    PACKAGES="docker-ce docker-ce-cli ca-certificates"
  fi
  # shellcheck disable=SC2086
  apt install --no-install-recommends $PACKAGES 2>&1
}
install_dnf() {
  if command -v dnf >/dev/null; then dnf=dnf have=--available; else dnf=yum have=available; fi
  for package in $PACKAGES; do
    if $dnf -q list $have "$package" >/dev/null 2>&1; then
      $dnf -y install --exclude=podman-docker "$package" </dev/null 2>&1
      return
    fi
  done
  fail "none of $PACKAGES is in a repository of this system; add one that has Docker"
}
if [ -n "$INSTALL" ]; then
  "install_$INSTALL" || fail "$INSTALL could not install Docker: $(printf '%s' "${update:-}" | grep '^E:' | tail -n 1)"
fi

systemctl daemon-reload
[ -z "$ENABLE" ] || systemctl enable -q docker.service
case $ACTION in
  reload) systemctl reload docker.service ;;
  start | restart)
    if ! systemctl "$ACTION" docker.service; then
      why=$(last_words)
      all_back
      systemctl reset-failed docker.service docker.socket 2>/dev/null || :
      systemctl start docker.service 2>/dev/null || :
      fail "Docker does not start with these settings, which are taken back: $why"
    fi
    ;;
esac
# The daemon itself must say what the inventory asked for.
tries=0
while :; do
  info=$(docker info --format '{{json .RegistryConfig}} {{.HTTPProxy}} {{.DockerRootDir}}' 2>&1) && code=0 || code=$?
  missing=
  for word in $EXPECT; do
    case $info in *"$word"*) ;; *) missing="$missing $word" ;; esac
  done
  if [ "$code" = 0 ] && [ -z "$missing" ]; then break; fi
  tries=$((tries + 1))
  if [ "$tries" -gt 20 ]; then
    if [ "$code" != 0 ]; then fail "Docker does not answer: $info"; fi
    why=$(last_words)
    all_back
    [ "$ACTION" != reload ] || systemctl reload docker.service
    fail "Docker did not take over$missing, and the files are as they were${why:+: $why}"
  fi
  sleep 0.5
done
rm -f "${DAEMON_FILE%/*}/.bringup-before" "${PROXY_FILE%/*}/.bringup-before"
