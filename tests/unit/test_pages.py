"""Pages of docs/ that are written from data are what the data says now; what they say was verified is what the tests show."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from roles.plan.keys import ClusterKeys, HostKeys
from roles.plan.library import library
from roles.plan.pages import inventory, recipe
from roles.plan.pages.__main__ import DOCS, pages
from roles.plan.pages.sample import data, names, sample
from roles.plan.pages.words import plain, wrapped
from roles.plan.plan import make
from roles.plan.source import read_inventory
from tests.unit.test_seeds import CASES

ROOT = Path(__file__).parents[2]
STALE = "changed on purpose? `make golden`, then read the diff"


@pytest.mark.parametrize("path", pages(), ids=lambda p: str(p.relative_to(DOCS)))
def test_a_page_is_what_its_data_says(path: Path) -> None:
    assert pages()[path] == path.read_text(encoding="utf-8"), STALE


def test_no_recipes_page_is_left_over() -> None:
    assert set((DOCS / "recipes").iterdir()) == {p for p in pages() if p.parent.name == "recipes"}


def test_every_recipe_has_a_sample_and_every_sample_a_recipe() -> None:
    assert set(data()["samples"]) == set(names()) == {n for n in library().recipes() if not n.startswith("lab/")}


@pytest.mark.parametrize("name", names())
def test_the_inventory_on_a_page_gives_the_plan_on_the_page(name: str, tmp_path: Path) -> None:
    page = recipe.page(name)
    file = tmp_path / "copied.py"
    file.write_text(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], encoding="utf-8")  # type: ignore[index]
    made = make(read_inventory(file))
    assert made.hash == sample(name).plan.hash
    for node in made.replicas[0].nodes:
        words = re.sub(r" \\\n *", " ", page)
        assert all(re.sub(r" \\\n *", " ", wrapped(argv)) in words for argv in (node.serve_argv, node.after_ready_argv) if argv)


@pytest.mark.parametrize("name", names())
def test_a_page_names_every_flag_variable_port_benchmark_variant_and_doubt(name: str) -> None:
    page, s = recipe.page(name), sample(name)
    settings = [*(f"--{k}" for k in s.recipe.flags if k != "headless"), *s.recipe.env, *s.recipe.variants, *s.recipe.bench]
    gone = [item.partition(":")[0] for item in s.plan.left_out]
    assert [x for x in settings if x not in page and x not in gone] == []
    assert [d for d in s.recipe.doubts.values() if plain(d) not in page] == []


def test_the_reference_names_every_key_of_every_model() -> None:
    page = inventory.page()
    models = [HostKeys, ClusterKeys, *(m for _, m in inventory._nested(ClusterKeys))]
    assert [k for m in models for k in m.model_fields if f"| `{k}` |" not in page] == []
    assert [k for m in models for k, info in m.model_fields.items() if not info.description] == []


def test_what_is_said_to_be_held_against_a_page_is_held_against_it() -> None:
    assert set(data()["verified"]["page"]) == {c.recipe for c in CASES}


def test_what_is_said_to_be_parsed_by_an_engine_is_given_to_that_release() -> None:
    text = (ROOT / "tests/engines/test_plans.py").read_text(encoding="utf-8")
    parsers = data()["verified"]["parsers"]
    assert set(parsers) == {library().recipe(n, "test").engine for n in names()}
    assert [r for p in parsers.values() for r in p["releases"] if f'"{r}"' not in text] == []


def test_what_is_said_to_be_served_in_the_lab_is_served_there() -> None:
    doubles = (ROOT / "tests/lab/test_other_engines.py").read_text(encoding="utf-8")
    lab = data()["verified"]["lab"]
    by_double = set(re.findall(r'^    "([\w/-]+)": \("', doubles, re.MULTILINE))
    own = {library().recipe(n, "test").source for n in library().recipes() if n.startswith("lab/")}
    assert by_double <= set(lab) <= by_double | own


def test_nothing_is_said_to_have_run_on_hardware_without_saying_which() -> None:
    assert all(words.strip() for words in data()["verified"]["hardware"].values())
