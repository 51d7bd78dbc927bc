# Installs nginx where it is missing, writes our files, and has the proxy run with them. Texts of secret files come by stdin.
set -eu
umask 022
fail() {
  echo "why $*"
  exit 1
}
if [ -n "$REMOVE" ]; then
  systemctl disable -q --now "$UNIT.service" 2>/dev/null || :
  rm -f "$UNIT_FILE"
  # shellcheck disable=SC2086 # our own names
  rm -f $REMOVE
  systemctl daemon-reload
  rmdir "${CONF%/*}" 2>/dev/null || :
  exit 0
fi

install_apt() {
  # The package starts a site of its own on port 80. Masked until the next boot at most, should this script not come to its end.
  systemctl mask -q --runtime nginx.service || return 1
  trap 'systemctl unmask -q --runtime nginx.service || :' EXIT
  apt_lists
  apt install --no-install-recommends nginx 2>&1 || return 1
  systemctl unmask -q --runtime nginx.service
  systemctl disable -q nginx.service 2>&1 || :
}
install_dnf() { "$INSTALL" -y install nginx </dev/null 2>&1; }
case $INSTALL in
  '') ;;
  apt-get) install_apt || fail "apt-get could not install nginx" ;;
  *) install_dnf || fail "$INSTALL could not install nginx" ;;
esac
[ -x "$NGINX" ] || fail "nginx was installed and is not at $NGINX"

put() { # put PATH MODE: stdin, whole or not at all
  mkdir -p "${1%/*}"
  (umask 077 && cat >"$1.bringup-new")
  chmod "$2" "$1.bringup-new"
  mv -f "$1.bringup-new" "$1"
}
for one in $FILES; do head -c "${one##*:}" | put "${one%:*}" 600; done
printf '%s' "$CONF_TEXT" | put "$CONF" 644
before=$(cat "$UNIT_FILE" 2>/dev/null || :)
printf '%s' "$UNIT_TEXT" | put "$UNIT_FILE" 644
# shellcheck disable=SC2086 # our own names
[ -z "$STALE" ] || rm -f $STALE
systemctl daemon-reload
systemctl enable -q "$UNIT.service"
systemctl reset-failed "$UNIT.service" 2>/dev/null || :
action=start
if systemctl -q is-active "$UNIT.service"; then
  # A reload lets running answers come to their end.
  action=reload
  [ "$before" = "$(cat "$UNIT_FILE")" ] || action=restart
fi
last_words() { journalctl -q -u "$UNIT.service" -n 20 -o cat --no-pager 2>/dev/null | grep -F '[emerg]' | tail -n 1 | sed 's/.*\[emerg\] //'; }
systemctl "$action" "$UNIT.service" || fail "nginx does not $action: $(last_words)"
tries=0
until timeout 2 bash --norc -c "exec 3<>/dev/tcp/127.0.0.1/$PORT" 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 20 ] || fail "nginx does not listen on port $PORT: $(last_words)"
  sleep 0.25
done
