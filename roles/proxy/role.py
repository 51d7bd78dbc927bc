"""The proxy, put in place before the engine starts: it says that the engine is down until it is up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from roles.plan import proxy
from roles.proxy import config
from roles.proxy.work import SECRET, path, present, secret_files, unit_file, wanted, work
from roles.run import change, key, remote, tls
from roles.run.change import Change
from roles.run.checks import Case
from roles.run.run import Run

HERE = Path(__file__).parent
APPLY, COMPARE = HERE / "apply.sh", HERE / "compare.sh"
LIMIT = 600
"""The package comes over the site's line, after up to two minutes of waiting for another apt-get."""


def place(run: Run) -> None:
    """The first rank's node of every replica as the inventory's `expose` says; the others have none."""
    host: Host = ctx_host.get()  # type: ignore[no-untyped-call]
    same = _same(run, host, change.case(run, host))
    change.step(run, "proxy", lambda case: work(case, same).changes, partial(_apply, same=same))


def _same(run: Run, host: Host, case: Case) -> Mapping[str, bool]:
    """Which secret files are as they should be, asked without changing anything."""
    files = secret_files(case) if wanted(case) else {}
    texts = _texts(run, files, run.once("proxy.key", lambda: key.known(run)) if "key" in files else "")
    known = {kind: text for kind, text in texts.items() if text}
    if not known or not present(case.seen).conf:
        return dict.fromkeys(files, False)
    script = remote.script(COMPARE, values={"FILES": _sized(files, known)})
    done = remote.run(run.state, host, "bringup-proxy", script, secret="".join(known.values()), limit=30, cancel=run.cancel)
    return {kind: f"same {file}" in done.lines for kind, file in files.items()}


def _texts(run: Run, files: Mapping[str, str], secret: str) -> dict[str, str]:
    """What stands in the secret files; nothing for a key that nobody made yet."""
    found: dict[str, str] = {}
    if "key" in files:
        found["key"] = config.asked(secret) if secret else ""
    keys = run.plan.known.keys.tls
    if keys is not None and "crt" in files:
        pair = run.once("proxy.tls", lambda: tls.pair(keys))
        found |= {"crt": pair.chain, "pem": pair.key}
    return found


def _sized(files: Mapping[str, str], texts: Mapping[str, str]) -> str:
    return " ".join(f"{files[kind]}:{len(text.encode())}" for kind, text in texts.items())


def _apply(run: Run, host: Host, case: Case, changes: Sequence[Change], same: Mapping[str, bool]) -> str:
    todo = work(case, same)
    if todo.problem:
        return todo.problem
    files = {} if todo.remove else secret_files(case)
    try:
        texts = _texts(run, files, run.once("secret", lambda: key.made(run)) if "key" in files else "")
    except ValueError as e:
        return str(e)
    everything = [path(case, kind) for kind in ("conf", *SECRET)]
    values = {
        "UNIT": proxy.unit(case.plan.cluster, case.replica.name),
        "UNIT_FILE": unit_file(case),
        "UNIT_TEXT": todo.unit,
        "CONF": path(case, "conf"),
        "CONF_TEXT": todo.conf,
        "FILES": _sized(files, texts),
        "STALE": " ".join(path(case, kind) for kind in SECRET if kind not in files),
        "REMOVE": " ".join(everything) if todo.remove else "",
        "INSTALL": todo.install,
        "NGINX": present(case.seen).nginx or config.NGINX,
        "PORT": case.node.ports.get("proxy", ""),
    }
    done = run.call(host, "proxy", remote.script(remote.APT, APPLY, values=values), secret="".join(texts.values()), limit=LIMIT)
    return "" if done.ok else why(done)


def why(done: remote.Done) -> str:
    """The script's own sentence, with the package manager's first complaint."""
    said = next((line[4:].strip() for line in done.lines if line.startswith("why ")), done.said)
    cause = next((line for line in done.lines if line.startswith(("E: ", "Error: "))), "")
    return f"{said}: {cause}" if cause else said
