set -eu
umask 022
if [ -n "$REMOVE" ]; then
  ! nft list table inet "$TABLE" >/dev/null 2>&1 || nft delete table inet "$TABLE"
  # The file may hold another cluster's rules by now.
  if grep -qsx "table inet $TABLE" "$RULES_FILE"; then
    systemctl disable -q --now bringup-firewall.service 2>/dev/null || :
    rm -f "$UNIT_FILE" "$RULES_FILE"
    systemctl daemon-reload
    rmdir "${RULES_FILE%/*}" 2>/dev/null || :
  fi
  exit 0
fi
write() {
  mkdir -p "${1%/*}"
  printf '%s' "$2" >"${1%/*}/.bringup-new"
  mv "${1%/*}/.bringup-new" "$1"
}
# Read whole and checked before anything is replaced.
printf '%s' "$RULES" | nft -c -f - || exit 1
write "$RULES_FILE" "$RULES"
write "$UNIT_FILE" "$UNIT"
systemctl daemon-reload
systemctl enable -q bringup-firewall.service
# Not by a restart: that would take the table away first.
nft -f "$RULES_FILE"
systemctl start bringup-firewall.service
