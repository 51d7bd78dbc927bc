"""python -m roles.plan.pages: docs/recipes.md, docs/recipes/*.md and docs/inventory.md, from the data."""

from __future__ import annotations

from pathlib import Path

from roles.plan.pages import inventory, recipe
from roles.plan.pages.prose import prose
from roles.plan.pages.sample import ROOT, names

DOCS = ROOT / "docs"


def pages() -> dict[Path, str]:
    """Every page this writes, by its file."""
    every = names()
    made = {
        DOCS / "inventory.md": inventory.page(),
        DOCS / "recipes.md": recipe.index(every),
        **{DOCS / "recipes" / recipe.file(name): recipe.page(name) for name in every},
    }
    return {path: prose(text) for path, text in made.items()}


def write() -> None:
    made = pages()
    (DOCS / "recipes").mkdir(exist_ok=True)
    for old in set((DOCS / "recipes").glob("*.md")) - set(made):
        old.unlink()
    for path, text in made.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
