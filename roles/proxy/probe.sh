# The proxy: nginx of the distribution, our own instance of it, and what could install it.
proxy_file() { if [ -f "$2" ]; then say "proxy.$1" 0 "$(cat "$2")"; else say "proxy.$1" 1 ''; fi; }
if [ -n "$OUTSIDE" ]; then say proxy.state 0 "$(systemctl is-active "$UNIT-proxy.service" 2>&1)"; fi
if [ "${LOOK:-full}" != light ]; then
  proxy_tool=
  for proxy_try in apt-get dnf yum; do
    if [ -z "$proxy_tool" ] && have "$proxy_try"; then proxy_tool=$proxy_try; fi
  done
  say proxy.host 0 "nginx=$(command -v nginx)
version=$(have nginx && timeout 5 nginx -v 2>&1 | sed -n 's/.*nginx\///p' | head -n 1)
tool=$proxy_tool
systemd=$([ -d /run/systemd/system ] && echo yes)
enabled=$(systemctl is-enabled "$UNIT-proxy.service" 2>/dev/null)
active=$(systemctl is-active "$UNIT-proxy.service" 2>/dev/null)"
  proxy_file conf "$CONFIG/$CLUSTER/$REPLICA.proxy.conf"
  proxy_file unit "/etc/systemd/system/$UNIT-proxy.service"
fi
