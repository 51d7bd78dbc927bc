# The image: is it here, is there room for it, can its registries be reached.
image_store() { # the folder under which Docker keeps its images now, if data_root moves it: containerd keeps its own elsewhere
  image_info=$(timeout 10 docker info --format '{{.DockerRootDir}}{{range .DriverStatus}} {{index . 1}}{{end}}' 2>/dev/null)
  case $image_info in *io.containerd.snapshotter*) echo containerd ;; *) echo "${image_info%% *}" ;; esac
}
image_room() { # the folder that will hold the image, or the nearest one that exists
  image_root=${DATA_ROOT:-${image_kept:-/var/lib/docker}}
  [ "$image_kept" != containerd ] || image_root=/var/lib/containerd
  while [ -n "$image_root" ] && [ ! -d "$image_root" ]; do image_root=${image_root%/*}; done
  timeout 5 df -P -B1 "${image_root:-/}" 2>/dev/null | awk 'NR == 2 { print "size=" $2 "\nfree=" $4 "\non=" $6 }'
}
image_registry() { # host and port of a reference: a first part without dot or colon is a name of Docker Hub
  image_first=
  case $1 in */*) image_first=${1%%/*} ;; esac
  case $image_first in *.* | *:* | localhost) ;; *) image_first=registry-1.docker.io ;; esac
  case $image_first in *:*) echo "${image_first%:*} ${image_first##*:}" ;; *) echo "$image_first 443" ;; esac
}
image_reach() { # SECTION HOST PORT
  image_said=$(timeout 5 bash --norc -c 'exec 3<>"/dev/tcp/$0/$1"' "$2" "$3" 2>&1)
  printf '%s%s %s\n%s\n' "$mark" "$1" "$?" "$(printf '%s' "$image_said" | tail -n 1)"
}
if [ "$RUNTIME" = docker ] && [ -n "$IMAGE" ] && [ "${LOOK:-full}" != light ]; then
  image_kept=$(image_store)
  image_old=
  case $image_kept in /*) image_old=$image_kept ;; esac
  say image.host 0 "arch=$(uname -m)
root=$image_old
$(image_room)"
  image_here=1
  if have docker; then
    look image.ref 10 docker image inspect --format '{{.Id}} {{.Architecture}} {{.Size}} {{json .RepoDigests}}' "$IMAGE"
    timeout 10 docker image inspect "$IMAGE" >/dev/null 2>&1 && image_here=0 || image_here=1
    # The image stays behind where Docker is about to leave its folder, and must come from somewhere.
    [ -z "$DATA_ROOT" ] || [ -z "$image_old" ] || [ "${image_old%/}" = "${DATA_ROOT%/}" ] || image_here=1
  fi
  if [ -n "$ARCHIVE" ]; then
    if [ -r "$ARCHIVE" ] && [ -f "$ARCHIVE" ]; then say image.archive 0 "$(stat -L -c %s "$ARCHIVE")"; else say image.archive 1 ''; fi
  elif [ "$image_here" != 0 ] && have bash; then
    image_proxy=$PROXY
    [ -n "$image_proxy" ] || ! have docker || image_proxy=$(timeout 10 docker info --format '{{.HTTPSProxy}}' 2>/dev/null)
    image_proxy=${image_proxy#*://}
    image_proxy=${image_proxy##*@}
    image_proxy=${image_proxy%%/*}
    case $image_proxy in
      '') ;;
      *:*) image_reach "image.proxy.$image_proxy" "${image_proxy%:*}" "${image_proxy##*:}" & ;;
      *) image_reach "image.proxy.$image_proxy" "$image_proxy" 80 & ;;
    esac
    for image_name in $IMAGE $MIRRORS; do
      image_at=$(image_registry "$image_name")
      image_reach "image.reach.${image_name%%@*}" "${image_at% *}" "${image_at#* }" &
    done
    wait
  fi
fi
