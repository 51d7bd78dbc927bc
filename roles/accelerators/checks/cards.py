"""Ascend: the tools answer, and the cards are there, of the right kind and healthy."""

from __future__ import annotations

import re
from collections.abc import Iterable

from roles.accelerators import ascend
from roles.accelerators.parse.npu_details import Health, health
from roles.accelerators.parse.npu_table import NO_CARD, Chip, table
from roles.accelerators.words import cards, count
from roles.plan import container
from roles.plan.library import library
from roles.run.checks import Answer, Case, Say, check, fail, good, skip, warn

UNREAD = "npu-smi gave no answer; see ascend.answers"
LOG = "/var/log/hccn_tool/hccn_config.log"


@check("ascend.answers", "npu-smi and hccn_tool answer", why="all that follows is read from them", vendors=("ascend",))
def answers(case: Case) -> Answer:
    found = [*_npu_smi(case), *_hccn_tool(case)]
    return found or good(f"npu-smi {shown.tool}" if (shown := ascend.npu_table(case.seen)) else "npu-smi")


def _npu_smi(case: Case) -> Iterable[Say]:
    section = case.seen["npu-smi.info"]
    if section.code == 127:
        yield fail("npu-smi: not found", "the driver's tool", "install the driver; npu-smi comes with it")
        return
    if section.code in (124, 137):
        yield fail("npu-smi: no answer in time", "an answer within 20 s", "reboot the node: its driver hangs")
        return
    try:
        table(section.text)
    except ValueError as e:
        yield fail(str(e), "the table of npu-smi info", _remedy(str(e), case))


def _remedy(words: str, case: Case) -> str:
    if "-8020" in words:
        return "stop the container that was given these cards (docker ps), then ask npu-smi info again"
    if "-8005" in words:
        return "ls /dev/davinci_manager: if it is missing, reboot so that the driver loads, else stop the container that has the cards"
    if "no NPU card" in words:
        return "lspci -d 19e5: must list the cards; if it does not, they are not powered or not seated"
    return "run npu-smi info on the node; tell us its version if the table looks whole"


def _hccn_tool(case: Case) -> Iterable[Say]:
    """Troubles with the same words become one finding."""
    if not case.peers:
        return
    if case.seen["hccn"].code == 127:
        yield fail("hccn_tool: not found", "the driver's tool", "install the driver; it is in /usr/local/Ascend/driver/tools")
        return
    groups: dict[str, list[tuple[str, int, bool]]] = {}
    for words, query, card in ascend.troubles(case):
        assert query is not None
        groups.setdefault(words, []).append((query.name, card, query.vital))
    # Answers that were cut at different places are one trouble.
    odd = [w for w in groups if "is not understood" in w or "answered nothing" in w]
    for extra in odd[1:]:
        groups[odd[0]] += groups.pop(extra)
    for words, asked in groups.items():
        names = ", ".join(dict.fromkeys(f"-{name}" for name, _, _ in asked))
        say = fail if any(vital for _, _, vital in asked) else warn
        hand = f"hccn_tool -i {asked[0][1]} -{asked[0][0]} -g"
        yield say(f"{words} ({names} of {cards(c for _, c, _ in asked)})", "an answer", _by_hand(words, hand))


def _by_hand(words: str, hand: str) -> str:
    if "busy" in words:
        return "wait for the other hccn_tool, or end it: pgrep -a hccn_tool"
    if "permission" in words:
        return "connect as root, or with _sudo"
    return f"{hand}, and its log {LOG}"


@check("ascend.devices", "The device files of the plan's cards are there", why="the container is given them", vendors=("ascend",))
def devices(case: Case) -> Answer:
    if NO_CARD in case.seen["npu-smi.info"].text:
        return skip("no cards; see ascend.answers")
    kinds = {path: kind for kind, _, path in (line.partition(" ") for line in case.seen["devices"].lines)}
    hardware, numbers = case.known.hardware, ascend.ports(case.known.numbers, case.seen)
    wanted = container.devices(hardware, numbers)
    missing = [p for p in wanted if p not in kinds]
    folders = [p for p in wanted if kinds.get(p) == "d"]
    found = []
    if missing:
        found.append(fail(f"missing: {', '.join(missing)}", count(len(wanted), "device file"), "reboot: the driver makes them as it loads"))
    if folders:
        names = " ".join(folders)
        found.append(fail(f"directories that docker -v made: {names}", "device files", f"rmdir {names}; then reboot"))
    return found or good(count(len(wanted), "device file"))


@check("ascend.count", "All the plan's cards are there", vendors=("ascend",))
def number(case: Case) -> Answer:
    shown = ascend.npu_table(case.seen)
    if shown is None:
        return skip(UNREAD)
    wanted, there = case.known.hardware.devices, {c.number for c in shown.chips}
    seen = f"{len(there)} of {wanted}"
    missing = set(case.known.numbers) - there
    if missing and shown.family == "a2" and len(there) * 2 == wanted:
        return skip(f"{seen}: another family; see ascend.family")
    if missing:
        fix = 'reboot, then lspci -d 19e5:; or leave them out with "devices"'
        return fail(f"{cards(missing)} not there: {seen}", f"{cards(case.known.numbers)}", fix)
    if len(there) < wanted:
        return warn(f"{seen}; {cards(set(range(wanted)) - there)} not there, and not used", str(wanted), "reboot, then lspci -d 19e5:")
    return good(f"{len(there)} cards")


@check("ascend.family", "The cards are of the recipe's family", why="images and layouts of A2 and A3 differ (VA#6206)", vendors=("ascend",))
def family(case: Case) -> Answer:
    shown = ascend.npu_table(case.seen)
    if shown is None:
        return skip(UNREAD)
    names = sorted({c.name for c in shown.chips})
    pattern = case.known.hardware.shown_as
    if not pattern or all(re.fullmatch(pattern, n) for n in names):
        return good(f"{', '.join(names)}: {case.known.hardware.title}")
    kind = f"{', '.join(names)}{', two chips a card' if shown.family == 'a3' else ''}"
    fitting = _recipes(names, len(case.replica.nodes))
    fix = f'set "recipe" to {" or ".join(fitting)}' if fitting else "no recipe for these cards is known"
    return fail(kind, f"{case.known.hardware.title}, as recipe {case.plan.recipe} wants", fix)


def _recipes(names: list[str], nodes: int) -> list[str]:
    """Recipes for so many nodes with cards of these names."""
    lib = library()
    found = []
    for name in lib.recipes():
        recipe = lib.recipe(name, name)
        hardware = lib.hardware(recipe.hardware, name)
        many = recipe.nodes.min <= nodes <= (recipe.nodes.max or nodes)
        fits = hardware.vendor == "ascend" and hardware.shown_as and all(re.fullmatch(hardware.shown_as, n) for n in names)
        if fits and many and not name.startswith("lab/"):
            found.append(name)
    return sorted(found)


@check("ascend.health", "The cards are healthy", vendors=("ascend",))
def ill(case: Case) -> Answer:
    chips = ascend.chips(case)
    if not chips:
        return skip(UNREAD)
    groups: dict[tuple[str, str], list[Chip]] = {}
    for chip in chips:
        if chip.health != "OK":
            groups.setdefault((chip.health, _reason(case, chip)), []).append(chip)
    found = []
    for (word, reason), some in groups.items():
        say = warn if word == "Warning" else fail
        ask = f"npu-smi info -t health -i {some[0].card} -c {some[0].position}"
        fix = f'give the code to hardware support ({ask}); until then leave {cards(c.number for c in some)} out with "devices"'
        found.append(say(f"{cards(c.number for c in some)}: {word}{reason}", "OK", fix))
    return found or good(f"{len(chips)} cards OK")


def _reason(case: Case, chip: Chip) -> str:
    """The card's error codes, where it could be asked."""
    try:
        told = health(case.seen[f"npu-smi.health.{chip.card}"].text)
    except ValueError:
        return ""
    mine: Health = told[chip.position] if chip.position < len(told) else told[0]
    words = ", ".join(w for w in (mine.codes and f"code {mine.codes}", mine.text) if w)
    return f" ({words})" if words else ""
