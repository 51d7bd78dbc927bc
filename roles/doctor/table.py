"""python -m roles.doctor.table: docs/doctor.md, from the rules themselves."""

from __future__ import annotations

import re
from pathlib import Path

from roles.doctor.advice import HOLE, VERBS
from roles.doctor.rules import Rule, load
from roles.plan.pages.prose import prose

PAGE = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"
SHOWN = {
    "halve": "flags.{}=HALF", "lower": "flags.{}=LESS", "halve-env": "env.{}=HALF", "raise-env": "env.{}=MORE",
    "raise-timeout": "timeouts.{}=MORE",
}  # fmt: skip
HEAD = """\
# Doctor

Written by `python -m roles.doctor.table` from files/doctor/*.yaml. Each rule is data: patterns, where they are looked for, what they mean,
what mends it, where that is known from. `tests/fixtures/doctor/RULE.txt` holds for each the log that shows it and near misses that do not.

    pyinfra inventories/a2.py deploy/doctor.py       # gathers all ranks' logs and settings, says what is wrong; changes nothing
    python -m roles.doctor runs/a2/.../bundle.tar.zst # the same verdict again, offline
    python -m roles.doctor --json BUNDLE             # all that was seen, as doctor.json has it

Exit status: 0 nothing is wrong, 1 something is or a node was not reached, 2 the file is no bundle.

## How a verdict is reached

1. Every node is asked once, all at the same time: container log, plog, journal, kernel log, unit, accelerator tools, settings. Times are
   corrected by how far each node's clock is off the controller's; lines from before the present start do not count.
2. Every rule is looked for in its sources. A rule that *explains* another makes the other an effect, on whichever rank that was seen.
3. The earliest real cause on any rank wins; an error no rule knows comes next, then wrappers (they only say that something failed), then
   symptoms; then nodes that were not reached, checks that fail, and what the run itself says of its failure. Notes are never a verdict.
4. A line that only waited for another rank (EI0002, EI0006, EI0013, EI0015 ...) is followed to that node: a cause there within the time
   such waits take wins, and the line that led there is told. If nothing is wrong there, its last words are told.
5. The nodes are compared: image, driver, firmware, CANN, TLS switches, MTU, variables, clock, checkpoint.

What to do is said with the plan's own values: `--data flags.max-num-seqs=64` is half of what the plan has now (HALF below; LESS and MORE
are computed the same way), NODE is the node it is for, OTHER the one the line points at.

Every failing serve ends with its verdict, for each replica once. After a start it is the whole of the above. Where nothing was started
(a check blocks, a node is missing, a pull fails) no node is asked again and no older log counts: a few lines, from what this run found
and said.

The bundle is a `.tar.zst` of text files (`tar --zstd -xf` unpacks it). Secrets are taken out before anything is written: the cluster's
API key, whatever is assigned to a key, token or password, bearer tokens, hub tokens, user and password in URLs.
"""


def page() -> str:
    parts = [HEAD]
    for name, area in load().items():
        rows = "".join(_row(r) for r in area.rules)
        parts.append(
            f"## {area.title}\n\nfiles/doctor/{name}.yaml\n\n| rule | looked for in | what happened | why | what to do | source |\n"
        )
        parts[-1] += f"|---|---|---|---|---|---|\n{rows}"
    return prose("\n".join(parts))


def _row(rule: Rule) -> str:
    kind = "" if rule.kind == "cause" else f" ({rule.kind})"
    where = ", ".join(rule.where) + (_when(rule))
    other = " *Look at the other rank.*" if rule.look_at == "other" else ""
    do = "<br>".join(_code(line) for line in rule.remedy)
    cells = (f"`{rule.id}`{kind}", where, _plain(rule.what), _plain(rule.means) + other, do, _plain(rule.source))
    return "| " + " | ".join(cells) + " |\n"


def _when(rule: Rule) -> str:
    when = rule.when
    words = [*when.engines, *when.vendors, *when.hardware, *when.formats]
    words += [f"release {when.versions}"] if when.versions else []
    words += [f"driver {when.driver}"] if when.driver else []
    words += [f"{when.nodes} nodes or more"] if when.nodes > 1 else []
    return f"; {', '.join(words)}" if words else ""


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def _hole(found: re.Match[str]) -> str:
    """`${serve}` as it is typed; what is computed as HALF, LESS or MORE; names in capitals."""
    word, *words = found[1].split(":")
    if word in SHOWN:
        return f"--data {SHOWN[word].format(words[0])}"
    return f"pyinfra INVENTORY deploy/{word}.py" if word in VERBS else word.upper()


def _code(line: str) -> str:
    """Commands as commands, sentences as sentences."""
    text, command = HOLE.sub(_hole, line), line.startswith(("${", "ssh "))
    if command and "|" in text:  # a bar ends a cell even between backticks, for some readers of Markdown
        return f"<code>{''.join(c if c.isalnum() or c in ' -/' else f'&#{ord(c)};' for c in text)}</code>"
    return f"`{text}`" if command else _plain(text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
