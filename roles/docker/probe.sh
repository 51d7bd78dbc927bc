# Docker: is it there, does it answer, what is it told, what runs in it.
docker_os() { sed -n "s/^$1=[\"']\{0,1\}\([^\"']*\)[\"']\{0,1\}\$/\1/p" /etc/os-release 2>/dev/null | head -n 1; }
docker_file() { if [ -f "$2" ]; then say "docker.$1" 0 "$(cat "$2")"; else say "docker.$1" 1 ''; fi; }
if [ "$RUNTIME" = docker ] && [ "${LOOK:-full}" != light ]; then
  say docker.host 0 "binary=$(command -v docker)
version=$(have docker && timeout 5 docker --version 2>&1 | head -n 1)
id=$(docker_os ID)
like=$(docker_os ID_LIKE)
systemd=$([ -d /run/systemd/system ] && echo yes)
enabled=$(systemctl is-enabled docker.service 2>/dev/null)
active=$(systemctl is-active docker.service 2>/dev/null)"
  docker_file daemon /etc/docker/daemon.json
  docker_file proxy /etc/systemd/system/docker.service.d/bringup-proxy.conf
  if have docker; then
    look docker.info 20 docker info --format '{{json .}}'
    look docker.containers 10 docker ps --format '{{.Names}}	{{.Label "bringup.cluster"}}	{{.Image}}'
  fi
fi
