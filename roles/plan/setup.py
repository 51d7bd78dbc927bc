"""Verified patches of an image's own files, as the script that makes them before the engine starts."""

from __future__ import annotations

import shlex
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from roles.plan.errors import PlanError
from roles.plan.recipe import Patch

HEAD = """\
#!/bin/sh
# Written by bringup: verified patches of this image, then the engine. Runs again safely.
set -eu
say() { echo "bringup setup: $*" >&2; }
refuse() { say "$*"; exit 78; }
rename() {
  if [ -e "$1" ] && [ ! -e "$2" ]; then mv -- "$1" "$2"; say "renamed $1 to $2"
  elif [ ! -e "$1" ] && [ -e "$2" ]; then say "$1 is renamed already"
  elif [ -e "$1" ]; then refuse "$1 and $2 both exist: this is not the image the patch was verified on"
  else refuse "$1 is missing: this is not the image the patch was verified on"
  fi
}
# comment_out FILE LINE: LINE is compared as text, whatever its indentation, never as a pattern.
comment_out() {
  [ -f "$1" ] || refuse "$1 is missing: this is not the image the patch was verified on"
  counts=$(LINE=$2 awk '
    { t = $0; sub(/^[ \\t]+/, "", t); want = ENVIRON["LINE"] }
    t == want { open++ } t == "#" want || t == "# " want { done++ }
    END { print open + 0, done + 0 }' "$1")
  case $counts in
    "1 0")
      LINE=$2 awk '
        { t = $0; sub(/^[ \\t]+/, "", t) }
        t == ENVIRON["LINE"] { sub(/[^ \\t].*/, ""); print $0 "# " ENVIRON["LINE"]; next } { print }' "$1" > "$1.bringup"
      cat "$1.bringup" > "$1"; rm -f -- "$1.bringup"; say "commented out a line of $1" ;;
    "0 1") say "the line of $1 is commented out already" ;;
    *) refuse "$1 has the line \\"$2\\" ${counts% *} times, expected once: this is not the image the patch was verified on" ;;
  esac
}
"""


def chosen(patches: list[Patch], version: Version, place: str) -> list[dict[str, Any]]:
    """The patches verified on this engine version, as plan data."""
    return [p.model_dump(exclude_none=True) for p in patches if version in specifier(p.versions, place)]


def specifier(text: str, place: str) -> SpecifierSet:
    try:
        return SpecifierSet(text, prereleases=True)
    except InvalidSpecifier:
        raise PlanError(f'{place}: "setup.versions" is "{text}", expected a version specifier such as ==0.5.7') from None


def script(patches: list[dict[str, Any]]) -> str:
    """The container's entrypoint: every patch verified and made once, then the command it was given."""
    lines = [HEAD.rstrip("\n")]
    for patch in patches:
        lines.append(f"# {patch['why']}")
        if patch["do"] == "rename":
            lines.append(shlex.join(["rename", patch["file"], patch["to"]]))
        else:
            lines.append(shlex.join(["comment_out", patch["file"], patch["line"]]))
    return "\n".join([*lines, 'exec "$@"', ""])
