# apt-get without questions, for scripts that install something.
apt() {
  apt-get -q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" </dev/null
}
# The lists, with patience: DPkg::Lock::Timeout waits for dpkg, not for another update of the lists. What it said is in `update`.
apt_lists() {
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l APT_LISTCHANGES_FRONTEND=none
  waited=0
  while :; do
    if update=$(apt update 2>&1); then break; fi
    case $update in *"Could not get lock"*) ;; *) break ;; esac
    [ "$waited" -lt 120 ] || break
    waited=$((waited + 5))
    sleep 5
  done
  printf '%s\n' "$update"
}
