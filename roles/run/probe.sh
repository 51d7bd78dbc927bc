# Head of the probe: what every part uses. Read-only; no files are made.
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
mark=$(printf '\036')
# say NAME CODE TEXT: one section of the answer
say() { printf '%s%s %s\n%s\n' "$mark" "$1" "$2" "$(printf '%s' "$3" | tr -d '\036\000')"; }
# look NAME SECONDS COMMAND...: run it, with all it says, within its time
look() {
  look_name=$1 look_limit=$2
  shift 2
  look_out=$(timeout -k 1 "$look_limit" "$@" 2>&1 </dev/null)
  say "$look_name" "$?" "$look_out"
}
have() { command -v "$1" >/dev/null 2>&1; }
# A Docker that hangs is waited for once; whoever asks it afterwards has no answer in time, at once.
if have docker; then
  timeout -k 1 15 docker version --format x >/dev/null 2>&1 </dev/null
  if [ $? = 124 ]; then
    timeout() {
      case " $* " in *" docker "*) return 124 ;; esac
      command timeout "$@"
    }
  fi
fi
