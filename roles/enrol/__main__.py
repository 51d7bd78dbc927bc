"""python -m roles.enrol INVENTORY: the nodes' host keys shown, and written where SSH looks for them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from roles.enrol import ask, known, store
from roles.enrol.known import Key, Verdict
from roles.enrol.places import Place, places
from roles.plan.errors import PlanError, near
from roles.plan.source import read_inventory
from roles.run import terminal

EPILOG = """\
examples:
  python -m roles.enrol inventories/a2.py
  python -m roles.enrol inventories/a2.py --replace 10.0.0.12      # that machine was installed anew

The key that is shown first is the key that is trusted from then on. Compare it with what the node says on its own console:
  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub

exit status: 0 every node's key is known; 1 a node did not answer, or its key was refused; 2 a mistake, nothing was written"""
WORDS = {"known": ("known", "green"), "new": ("NEW", "yellow"), "changed": ("CHANGED", "red"), "revoked": ("REVOKED", "red")}
CONSOLE = "compare each with what the node says on its own console: for f in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $f; done"


@dataclass(frozen=True)
class Row:
    """One node and what became of it."""

    place: Place
    key: Key | None
    verdict: Verdict | None
    why: str = ""
    replace: bool = False

    @property
    def written(self) -> bool:
        """Whether its key is to be written."""
        return self.verdict is not None and (self.verdict.word == "new" or (self.verdict.word == "changed" and self.replace))

    @property
    def problem(self) -> str:
        """Why it is not known in the end; nothing when it is."""
        if self.verdict is None or self.key is None:
            return f"{self.place.node}: {self.why}"
        if self.verdict.word == "revoked":
            return f"{self.place.node}: its key {self.key.fingerprint} is marked @revoked in known_hosts; it was not written"
        if self.verdict.word == "changed" and not self.replace and self.verdict.line:
            line = self.verdict.line
            return (
                f"{self.place.node}: CHANGED: it shows {self.key.kind} {self.key.fingerprint}, line {line.number} of known_hosts says "
                f"{line.key.kind} {line.key.fingerprint}; either it was installed anew or somebody stands between: find out which, "
                f"then --replace {self.place.node}"
            )
        return ""


def main(argv: list[str] | None = None) -> int:
    """Ask, show, write; 0 when every node is known."""
    parser = argparse.ArgumentParser(
        prog="python -m roles.enrol",
        description="Show every node's SSH host key and write it to known_hosts. Logs in to nothing.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inventory", metavar="INVENTORY", help="an inventory file, such as inventories/a2.py")
    parser.add_argument("-y", "--yes", action="store_true", help="write without asking: trusts what was seen just now")
    parser.add_argument(
        "--known-hosts", metavar="FILE", help="another file than the inventory's ssh_known_hosts_file or ~/.ssh/known_hosts"
    )
    parser.add_argument("--replace", metavar="NAME", action="append", default=[], help="a node whose key may have changed")
    args = parser.parse_args(argv)
    try:
        return _enrol(args)
    except PlanError as e:
        for problem in e.problems:
            print(problem, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted: nothing was written", file=sys.stderr)
        return 130


def _enrol(args: argparse.Namespace) -> int:
    source = read_inventory(args.inventory)
    found = list(places(source, args.known_hosts))
    nodes = [p.node for p in found]
    strange = [n for n in args.replace if n not in nodes]
    if strange:
        raise PlanError(
            *(f'--replace: "{n}" is no node of {source.cluster}{near(n, nodes)}; expected one of: {", ".join(nodes)}' for n in strange)
        )
    for node, _ in source.hosts:
        if node not in nodes:
            print(f"{node}: not reached by SSH, so there is no key to know")
    rows = _asked(found, args.replace)
    _show(rows)
    todo = [r for r in rows if r.written]
    if todo and not args.yes:
        if not sys.stdin.isatty():
            print("there is no terminal to ask at: add -y to write what is shown", file=sys.stderr)
            return 2
        if not _agreed(todo):
            print("nothing was written", file=sys.stderr)
            return 1
    return _written(todo) or int(any(r.problem for r in rows))


def _asked(found: Sequence[Place], replace: Sequence[str]) -> list[Row]:
    texts = {file: store.read(file) for place in found for file in place.files}
    mine = {p.node: [texts[f] for f in p.files] for p in found}
    answers = ask.every(found, {p.node: known.kinds(mine[p.node], p.name) for p in found})
    rows = []
    for place in found:
        answer = answers[place.node]
        if isinstance(answer, Key):
            rows.append(Row(place, answer, known.judge(mine[place.node], place.name, answer), replace=place.node in replace))
        else:
            rows.append(Row(place, None, None, str(answer)))
    return rows


def _show(rows: Sequence[Row]) -> None:
    """A line per node, then what is wrong."""
    shown = [(r.place, r.key, WORDS[r.verdict.word]) for r in rows if r.key and r.verdict]
    terminal.show(terminal.Rows([(_title(place), key.kind, key.fingerprint, word) for place, key, word in shown]))
    for row in rows:
        if row.problem:
            terminal.line(row.problem, out=sys.stderr)
    shared: dict[Key, dict[str, str]] = {}
    for row in rows:
        if row.key:
            shared.setdefault(row.key, {}).setdefault(row.place.name, row.place.node)
    for same in (list(nodes.values()) for nodes in shared.values() if len(nodes) > 1):
        print(f"{', '.join(same)} have the same key, as copies of one disk do: root of one can pose as the others", file=sys.stderr)


def _title(place: Place) -> str:
    name = place.node if place.name == place.node else f"{place.node} ({place.name})"
    return f"{name} {place.through}" if place.through else name


def _agreed(todo: Sequence[Row]) -> bool:
    files = ", ".join(sorted({str(r.place.files[0]) for r in todo}))
    print(CONSOLE)
    try:
        answer = input(f"trust {'this key' if len(todo) == 1 else f'these {len(todo)} keys'} and write to {files}? [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def _written(todo: Sequence[Row]) -> int:
    """One file after the other, each read anew: somebody else may have written meanwhile."""
    by_file: dict[Path, dict[str, Key]] = {}
    for row in todo:
        assert row.key is not None
        by_file.setdefault(row.place.files[0], {})[row.place.name] = row.key
    return max((_write(file, keys) for file, keys in by_file.items()), default=0)


def _write(file: Path, keys: Mapping[str, Key]) -> int:
    before = store.read(file)
    text = known.merged(before, keys, iter(lambda: os.urandom(20), b""))
    try:
        if text != before:
            store.write(file, text)
    except OSError as e:
        print(f"{file}: cannot be written ({e.strerror}); nothing in it was changed", file=sys.stderr)
        return 1
    print(f"wrote {len(keys)} {'key' if len(keys) == 1 else 'keys'} to {file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
