# Firewalls: our own table and file, and whoever else filters what comes in.
firewall_file() { if [ -f "$2" ]; then say "firewall.$1" 0 "$(cat "$2")"; else say "firewall.$1" 1 ''; fi; }
firewall_file rules /etc/bringup/firewall.nft
firewall_file unit /etc/systemd/system/bringup-firewall.service
# sshd's ports: where it listens, and where this very connection came in; with socket activation the listener is systemd.
firewall_ssh=$({
  ss -Hltnp 2>/dev/null | awk '/"sshd"/ { n = split($4, at, ":"); print at[n] }'
  printf '%s\n' "${SSH_CONNECTION:-}" | awk '{ print $4 }'
  systemctl show -p Listen ssh.socket sshd.socket 2>/dev/null | sed -n 's/.*:\([0-9]*\) (Stream).*/\1/p'
} | sort -un | tr '\n' ' ')
say firewall.host 0 "look=${LOOK:-full}
nft=$(command -v nft)
systemd=$([ -d /run/systemd/system ] && echo yes)
enabled=$(systemctl is-enabled bringup-firewall.service 2>/dev/null)
live=$(nft list table inet "bringup_$CLUSTER" >/dev/null 2>&1 && echo yes)
ssh=$firewall_ssh"
if [ -n "$PEERS" ] && [ "${LOOK:-full}" != light ]; then
  ! have iptables || look firewall.iptables 5 iptables -w 2 -S
  # Where iptables works through nft, its own tables are seen above.
  ! have nft || look firewall.nft 5 sh -c 'nft -nn list ruleset | head -c 200000'
  if have firewall-cmd && [ "$(timeout 5 firewall-cmd --state 2>/dev/null)" = running ]; then
    firewall_zone=$(timeout 5 firewall-cmd --get-zone-of-interface="${NIC:-lo}" 2>/dev/null || timeout 5 firewall-cmd --get-default-zone 2>/dev/null)
    say firewall.firewalld 0 "zone=$firewall_zone
target=$(timeout 5 firewall-cmd --permanent --zone="$firewall_zone" --get-target 2>/dev/null)
trusted=$(timeout 5 firewall-cmd --zone=trusted --list-sources 2>/dev/null)"
  fi
fi
