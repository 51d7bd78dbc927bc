"""One controller at a time: an atomic folder on every node, with who holds it and since when."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import socket
import sys

from pyinfra.api.host import Host

from roles.plan.container import STATE
from roles.run import remote
from roles.run.folder import now
from roles.run.run import Run
from roles.run.seen import Seen

TAKE = """\
mkdir -p "$FOLDER" && chmod 711 "$FOLDER" || exit 3
if [ "$TAKEOVER" = any ] || { [ -n "$TAKEOVER" ] && [ "$(cat "$FOLDER/lock/holder" 2>/dev/null)" = "$TAKEOVER" ]; }; then
  rm -rf "$FOLDER/lock"
fi
if mkdir "$FOLDER/lock" 2>/dev/null; then
  printf '%s\\n' "$HOLDER" > "$FOLDER/lock/holder"
  printf 'record %s %s\\n' "$(cat "$FOLDER/$REPLICA/generation" 2>/dev/null)" "$(cat "$FOLDER/$REPLICA/spec" 2>/dev/null)"
else
  cat "$FOLDER/lock/holder" 2>/dev/null || echo "someone who did not say who"
  exit 9
fi
"""
RELEASE = """\
[ "$(cat "$FOLDER/lock/holder" 2>/dev/null)" = "$HOLDER" ] && rm -rf "$FOLDER/lock"
rmdir "$FOLDER" "${FOLDER%/*}" 2>/dev/null  # the last trace of a cleaned node
exit 0
"""
TAKEN = 9


def holder(run: Run) -> str:
    """Who we are, as the next controller is told."""
    if "lock.holder" not in run.facts:
        who = f"{getpass.getuser()}@{socket.gethostname()}"
        run.facts["lock.holder"] = f"{who} (process {os.getpid()}), {run.verb}, since {now()}"
    text: str = run.facts["lock.holder"]
    return text


def held(seen: Seen) -> str:
    """Who else held a node when it was looked at; nothing when nobody did, or a process of this machine that is no more."""
    who = seen["lock"].first
    return "" if dead(who) or f"@{socket.gethostname()} (process {os.getpid()})," in who else who


def dead(who: str) -> bool:
    """A holder on this machine whose process ended without giving its lock back."""
    found = re.match(r"[^@]+@(\S+) \(process (\d+)\)", who)
    if not found or found[1] != socket.gethostname():
        return False
    try:
        os.kill(int(found[2]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def busy(node: str, who: str) -> str:
    return f"{node}: held by {who}; wait for it, or take over with --data takeover=true when that controller is gone"


def take(run: Run) -> bool:
    """Take every node's lock, or none. Done once a run, before its first change."""
    return run.once("lock", lambda: _take(run))


def _take(run: Run) -> bool:
    def one(name: str, host: Host) -> remote.Done:
        who = run.seen[name]["lock"].first if name in run.seen else ""
        return _call(run, host, TAKE, "any" if run.options.get("takeover") else who if dead(who) else "")

    taken = remote.together({n: lambda n=n, h=h: one(n, h) for n, h in run.hosts.items()})  # type: ignore[misc]
    run.facts["lock.nodes"] = [n for n, done in taken.items() if done.ok]
    run.facts["lock.moved"] = [n for n, done in taken.items() if done.ok and n in run.seen and not stands(run.seen[n], done.text)]
    bad = {n: done for n, done in taken.items() if not done.ok}
    for name, done in bad.items():
        run.fail(name, "lock", busy(name, done.said) if done.code == TAKEN else f"{name}: its lock could not be taken: {done.said}")
    if bad:
        release(run)
    return not bad


def moved(run: Run, name: str) -> bool:
    """Whether the node, now that it is locked, is not as it was when this run decided what to do."""
    return name in run.facts.get("lock.moved", ())


def stands(seen: Seen, told: str) -> bool:
    """Between the look and the lock lies a question at a terminal: whoever came first there made what was decided old."""
    found = re.search(r"^record (\d*) (\w*)$", told, re.MULTILINE)
    pairs = seen["unit"].pairs
    return (
        found is None
        or "unit" not in seen.sections
        or (found[1], found[2]) == (pairs.get("generation", ""), pairs.get("recorded_spec", ""))
    )


def release(run: Run) -> None:
    """Give back what this run took; a lock that another one took over stays."""
    nodes = run.facts.pop("lock.nodes", [])
    done = remote.together({n: lambda h=run.hosts[n]: _call(run, h, RELEASE, "") for n in nodes})  # type: ignore[misc]
    lost = sorted(n for n, d in done.items() if not d.ok)
    if lost:
        print(f"the lock stays on {', '.join(lost)} (not reached); the next run takes it with --data takeover=true", file=sys.stderr)


def _call(run: Run, host: Host, script: str, takeover: str) -> remote.Done:
    replica, _ = run.node(host)
    values = {"FOLDER": f"{STATE}/{run.plan.cluster}", "REPLICA": replica.name, "HOLDER": holder(run), "TAKEOVER": takeover}
    head = "".join(f"{k}={shlex.quote(v)}\n" for k, v in values.items())
    return remote.run(run.state, host, "bringup-lock", head + script, limit=15)
