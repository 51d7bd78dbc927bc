"""Every rule is triggered by its fixture and by none of its near misses; every report of the facts has a rule."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from roles.doctor.match import matches
from roles.doctor.pattern import literal, pattern
from roles.doctor.rules import load, rules
from roles.doctor.table import PAGE, page
from roles.plan.errors import PlanError
from tests.unit.doctor_bench import BY_NAME, FIXTURES, Block, blocks, every

BLOCKS = every()
HITS, MISSES = [b for b in BLOCKS if b.hit], [b for b in BLOCKS if not b.hit]
REPORTS = {
    1: "VA#7606", 2: "VA#5674 VA#5264 VA#2086 VA#7621", 3: "VA#8568", 4: "VA#8646", 5: "VA#16754", 6: "VA#9447", 7: "VA#10738",
    8: "VA#10591 VA#10911", 9: "VA#7159", 10: "VA#5087", 11: "VA#16646 VA#16652", 12: "VA#1815", 13: "VA#10224",
    14: "VA#2999 VA#3633 VA#2390", 15: "VL#45092", 16: "GLOO_SOCKET_IFNAME", 17: "VA#8213", 18: "VA#405 VA#1253 LlamaFactory#9330",
    19: "VA PR#16205", 20: "VA#11968", 21: "VA#4725", 22: "VA#16237", 23: "VA#9005 VA#5947 VA#5993 VA#2754",
    24: "VA#4565 VA#5493 VA#4972 VA#5468 VA#12430", 25: "VA#2698 VA#632 VA#302", 26: "VA#6942", 27: "VA#6206 VA#2035",
    28: "VA#9691 VA#9564 VA#8393 VA#3869 VA#9596", 29: "VA#8621 VA#14628", 30: "VA#10839", 31: "VA#9894", 32: "VA#12685", 33: "VA#7993",
    34: "VA#10466", 35: "VA#7535", 36: "VA#7289", 37: "VA#2416", 38: "VA#2211", 39: "VA PR#7098 PR#6778 VL#35547 VL#32116",
    40: "VA PR#16204 gpustack#6221", 41: "VA#9888", 42: "VA#11892", 43: "VA#12891", 44: "VL#50067", 45: "VA PR#6000", 46: "FAQ",
}  # fmt: skip


def test_every_rule_has_a_fixture_with_a_hit_and_a_near_miss_and_no_fixture_is_left_over() -> None:
    assert {p.stem for p in FIXTURES.glob("*.txt")} == set(BY_NAME)
    for name in BY_NAME:
        kinds = [b.hit for b in blocks(name)]
        assert True in kinds, name
        assert False in kinds, name


@pytest.mark.parametrize("block", HITS, ids=lambda b: b.name)
def test_a_fixture_triggers_its_rule(block: Block) -> None:
    rule = BY_NAME[block.rule]
    verdict = block.case().verdict()
    told = [m.rule.id for m in (verdict.match, *verdict.also, *verdict.notes) if m is not None]
    if rule.kind == "note":
        assert block.rule in [m.rule.id for m in verdict.notes] or (verdict.match and verdict.match.rule.id == block.rule), told
        return
    assert verdict.match is not None, told
    assert verdict.match.rule.id == block.rule, told
    assert verdict.what == rule.kind


@pytest.mark.parametrize("block", MISSES, ids=lambda b: b.name)
def test_a_near_miss_does_not(block: Block) -> None:
    verdict = block.case().verdict()
    told = [m.rule.id for m in (verdict.match, *verdict.also, *verdict.notes) if m is not None]
    assert block.rule not in told, block.text


@pytest.mark.parametrize("block", MISSES, ids=lambda b: b.name)
def test_a_near_miss_alone_is_no_match_of_the_rule(block: Block) -> None:
    evidence = block.case().evidence()
    assert not matches(evidence, [BY_NAME[block.rule]])


def test_every_report_of_the_facts_is_the_source_of_a_rule() -> None:
    sources = " ; ".join(r.source for r in rules())
    assert len(REPORTS) == 46
    for number, words in REPORTS.items():
        for word in re.findall(r"(?:VA |VL )?(?:PR)?\S+", words):
            assert re.search(rf"{re.escape(word)}(?!\d)", sources), f"report {number}: {word}"


@pytest.mark.parametrize("rule", rules(), ids=lambda r: r.id)
def test_what_a_pattern_surely_holds_stands_in_every_line_it_matches(rule) -> None:
    lines = [line for b in blocks(rule.id) for line in b.text.splitlines()]
    for text in rule.patterns:
        plain = re.compile(text)
        assert [bool(plain.search(x)) for x in lines] == [bool(pattern(text).search(x)) for x in lines], (text, literal(text))


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("NPU out of memory", "NPU out of memory"),
        (r"EI0006(?::|\))", "EI0006"),
        (r"link status: DOWN", "link status: DOWN"),
        ("(?i)no matter", ""),
        ("one|other", ""),
        ("(?:one|other) thing", " thing"),
        (r"colou?rs of", "rs of"),
        (r"a{3}bc", "bc"),
        (r"[ab]cde+f", "cde"),
        (r"x[]\]]yz", "yz"),
        (r"\d+\.\d+ GB", " GB"),
        (r"ends \[Errno 98\]", "ends [Errno 98]"),
    ],
)
def test_the_certain_part_of_a_pattern(text: str, held: str) -> None:
    assert literal(text) == held
    assert re.compile(text)


def test_the_page_of_rules_is_what_the_rules_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m roles.doctor.table"


GOOD = """\
title: a few
rules:
  - id: one
    where: [engine]
    patterns: ["boom"]
    what: "it went off"
    means: "somebody lit it"
    remedy: ["${serve}"]
    source: "seen"
"""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("id: one", "id: One Two"), '"rules.0.id"'),
        (("where: [engine]", "where: [kitchen]"), '"rules.0.where.0"'),
        (('["boom"]', '["bo(om"]'), "a regular expression"),
        (('["boom"]', "[]"), '"rules.0.patterns"'),
        (('["${serve}"]', '["${sreve}"]'), "known names"),
        (('["${serve}"]', '["${halve}"]'), "with 1 to 2 words"),
        (('["${serve}"]', '["${lower:x}"]'), "with 2 to 3 words"),
        (('source: "seen"', "sauce: hot"), 'did you mean "source"'),
        (('source: "seen"', 'source: "seen"\n    when: {versions: "28"}'), "version bounds"),
        (('source: "seen"', 'source: "seen"\n    when: {vendor: [ascend]}'), 'did you mean "vendors"'),
        (('source: "seen"', 'source: "seen"\n    explains: [on]'), 'which is no rule (did you mean "one"?)'),
        (('source: "seen"', 'source: "seen"\n    explains: [one]'), "explains itself"),
        (('source: "seen"', 'source: "seen"\n    compare: [colour]'), "one of image, driver"),
        (('source: "seen"', 'source: "seen"\n    kind: guess'), '"rules.0.kind"'),
        (("rules:", "rulez:"), '"rules" is missing'),
        (('where: [engine]', 'where: *x'), "expected plain YAML"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_rule_file_is_told_in_a_sentence_with_its_place(tmp_path: Path, change: tuple[str, str], said: str) -> None:
    (tmp_path / "few.yaml").write_text(GOOD.replace(*change))
    with pytest.raises(PlanError) as told:
        load(tmp_path)
    assert any(said in p and p.startswith("files/doctor/few.yaml") for p in told.value.problems), told.value.problems


def test_mistakes_of_all_files_are_told_at_once_and_ids_are_unique(tmp_path: Path) -> None:
    (tmp_path / "few.yaml").write_text(GOOD)
    (tmp_path / "more.yaml").write_text(GOOD)
    (tmp_path / "worse.yaml").write_text(GOOD.replace("kind", "x").replace("where: [engine]", "where: []"))
    with pytest.raises(PlanError) as told:
        load(tmp_path)
    assert any("stands in few.yaml too" in p for p in told.value.problems)
    assert any("worse.yaml" in p for p in told.value.problems)


def test_a_circle_of_explanations_is_refused(tmp_path: Path) -> None:
    two = GOOD.replace("id: one", "id: two").partition("rules:\n")[2]
    text = (GOOD + two).replace("id: one\n", "id: one\n    explains: [two]\n").replace("id: two\n", "id: two\n    explains: [one]\n")
    (tmp_path / "few.yaml").write_text(text)
    with pytest.raises(PlanError, match="expected no circle"):
        load(tmp_path)


def test_an_empty_folder_is_no_set_of_rules(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="holds no rules"):
        load(tmp_path)
