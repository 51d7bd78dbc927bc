"""Where missing weights come from: a repository of a hub, with the site's mirror, proxy and token."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from roles.plan.container import STATE
from roles.plan.keys import ClusterKeys
from roles.plan.library import Library, library
from roles.plan.recipe import Model
from roles.plan.resolve import Resolved

TITLES = {"huggingface": "Hugging Face", "modelscope": "ModelScope"}


@dataclass(frozen=True)
class Repo:
    """One repository; `endpoint` is a mirror of its own hub."""

    hub: str
    id: str
    endpoint: str = ""

    @property
    def title(self) -> str:
        return f"{self.id} from {TITLES[self.hub]}"

    def __str__(self) -> str:
        return f"{self.hub} {self.id}"


def repo(model: Model, keys: ClusterKeys) -> Repo | None:
    """In the hub the inventory names, else in the one that has it; a mirror is a mirror of the named hub only."""
    other = "modelscope" if keys.hub == "huggingface" else "huggingface"
    for hub, id in ((hub, getattr(model, hub)) for hub in (keys.hub, other)):
        if id:
            return Repo(hub, id, (keys.hub_endpoint or "") if hub == keys.hub else "")
    return None


def models(known: Resolved, lib: Library | None = None) -> dict[str, Model | None]:
    """Each folder that must be complete, with the model that belongs into it."""
    draft = next((m for m in (lib or library()).models().values() if m.kind == "draft" and m.family == known.model.family), None)
    return {folder: draft if folder == known.keys.draft else known.model for folder in known.folders}


def ours(folder: str) -> bool:
    """A folder we chose, not the user."""
    return folder.startswith(f"{STATE}/models/")


class NoToken(Exception):
    """One sentence: the token is not where the inventory says."""


def token(where: str | None) -> str:
    """Read on this machine, when it is needed and not before."""
    if not where:
        return ""
    kind, _, rest = where.partition(":")
    if kind == "env":
        found = os.environ.get(rest, "")
        if not found.strip():
            raise NoToken(f"hub_token names the variable {rest}, which is not set on this machine")
        return found.strip()
    try:
        return Path(rest).read_text(encoding="utf-8").strip()
    except OSError as e:
        raise NoToken(f"hub_token names the file {rest}, which cannot be read on this machine ({e.strerror})") from None
