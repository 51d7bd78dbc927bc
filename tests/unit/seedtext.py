"""Vendor pages' commands as comparable facts: flags, variables, devices, mounts, docker options."""

from __future__ import annotations

import itertools
import json
import re
import shlex
from pathlib import Path

SEEDS = Path(__file__).parents[1] / "fixtures" / "seeds"
DOCKER_VALUES = {
    "--name", "--device", "-v", "-e", "-u", "--cap-add", "--group-add", "--security-opt", "--mount", "--label", "--env", "--network",
    "--ipc", "--shm-size", "--stop-timeout", "--gpus", "--env-file", "--entrypoint", "--user", "--ulimit",
}  # fmt: skip
SPELLED = {"-u": "--user", "--net": "--network"}
Facts = dict[str, str]
"""`flag max-num-seqs` -> `128`; a bare flag's value is empty."""


def blocks(seed: str) -> list[tuple[str, str]]:
    """(heading, text) of every block of a page."""
    parts = re.split(r"^## (.*)$", (SEEDS / f"{seed}.txt").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [(h.strip(), t.strip()) for h, t in zip(parts[::2], parts[1::2], strict=True)]


def block(seed: str, heading: str, number: int = 0) -> str:
    """The text of the number-th block under a heading."""
    return [t for h, t in blocks(seed) if h == heading][number]


def commands(text: str) -> list[list[str]]:
    """Shell commands as word lists; a comment after a continuation backslash is taken for the comment it was meant to be."""
    text = re.sub(r"\\[ \t]*#[^\n]*\n", "\\\\\n", text + "\n")
    text = re.sub(r"^\s*#[^\n]*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\\[ \t]*\n", " ", text)
    return [shlex.split(line) for line in text.splitlines() if line.strip()]


def facts(words: list[list[str]], names: dict[str, str]) -> Facts:
    """What a page's commands say, with its placeholders filled in."""
    found: Facts = {}
    variables: dict[str, str] = {}
    for command in words:
        command = [re.sub(r"\$\{?(\w+)\}?", lambda m: variables.get(m.group(1), m.group(0)), w) for w in command]
        if command[0] == "export" or (len(command) == 1 and re.match(r"\w+=", command[0])):
            for pair in command[1:] if command[0] == "export" else command:
                key, _, value = pair.partition("=")
                variables[key] = value
                if command[0] == "export" and key not in ("IMAGE", "NAME"):
                    found[f"env {key}"] = value.removesuffix(f":${key}")
        elif command[0] in ("sysctl", "echo"):
            found[f"host {command[-1]}"] = "tuned"
        elif command[:2] == ["docker", "run"]:
            found |= docker(command[2:])
        else:
            while re.match(r"[A-Z0-9_]+=", command[0]):
                key, _, value = command.pop(0).partition("=")
                found[f"env {key}"] = value
            found |= flags(command)
    for key, value in found.items():
        for placeholder, real in names.items():
            value = value.replace(placeholder, real)
        found[key] = value
    return found


def flags(argv: list[str]) -> Facts:
    """`--name value` and `--name=value`, dashes inside names, JSON values in one form."""
    found: Facts = {"command": " ".join(itertools.takewhile(lambda w: not w.startswith("--"), argv)).rstrip("/")}
    name = ""
    for word in argv:
        if re.match(r"--[a-z]", word):
            name, _, value = word[2:].partition("=")
            name = name.replace("_", "-")
            found[f"flag {name}"] = _canonical(value)
        elif name:
            before = found[f"flag {name}"]
            found[f"flag {name}"] = _canonical(f"{before} {word}".strip())
    return found


def docker(argv: list[str]) -> Facts:
    """docker run's options; what follows the image is not looked at."""
    found: Facts = {}
    i = 0
    while i < len(argv) and argv[i].startswith("-"):
        name, equals, value = argv[i].partition("=")
        if not equals and name in DOCKER_VALUES:
            i += 1
            value = argv[i]
        name = SPELLED.get(name, name)
        if name in ("-e", "--env"):
            key, _, text = value.partition("=")
            found[f"env {key}"] = text
        elif name == "--device":
            found[f"device {value}"] = ""
        elif name == "-v":
            found["mount " + ":".join(p.rstrip("/") or "/" for p in value.split(":")[:2])] = ""
        elif name == "--mount":
            parts = dict(p.partition("=")[::2] for p in value.split(","))
            found[f"mount {parts['source']}:{parts['target']}"] = ""
        elif name in ("--cap-add", "--group-add", "--security-opt", "--ulimit"):
            found[f"docker {name} {value.removeprefix('CAP_')}"] = ""
        elif name in ("-it", "-itd", "-d", "--rm", "--name", "--label"):
            pass
        else:
            found[f"docker {name}"] = value
        i += 1
    if i < len(argv):
        found["image"] = argv[i]
    return found


def metrics(text: str) -> dict[str, float]:
    """Figures of a printed result table, by the words in front of them."""
    found = {}
    for line in text.splitlines():
        cells = [c.strip(" `") for c in line.strip("|").split("|")] if line.startswith("|") else line.split(":  ")
        if len(cells) == 2 and (m := re.match(r"[\d.]+", cells[1].strip())):
            found[cells[0].strip().rstrip(":")] = float(m.group())
    return found


def _canonical(value: str) -> str:
    try:
        parsed = json.loads(value)
    except ValueError:
        return value
    return json.dumps(parsed, sort_keys=True) if isinstance(parsed, dict) else value
