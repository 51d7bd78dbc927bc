"""The options an engine's release has, from a list file: what the double refuses, the real parser refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ENTRY = re.compile(r'^  "?(-{0,2}\w[\w.-]*)"?: *(?:\{(.*?)\})? *(?:#.*)?$')
SHORT = {"-tp": "tensor-parallel-size", "-dp": "data-parallel-size", "-pp": "pipeline-parallel-size", "-asc": "api-server-count"}
SHORT |= {"-dpl": "data-parallel-size-local", "-dpa": "data-parallel-address", "-dpp": "data-parallel-rpc-port"}


# Options that take several values, in the parsers of vLLM 0.18 and 0.32 and of SGLang 0.5.7 and 0.5.23; all others take one.
SEVERAL = """
allowed-media-domains api-key bucket-e2e-request-latency bucket-inter-token-latency bucket-time-to-first-token
collect-detailed-traces cpu-offload-params cuda-graph-bs cuda-graph-bs-decode cuda-graph-bs-prefill cudagraph-capture-sizes
custom-weight-loader debug-tensor-dump-layers encoder-register-urls encoder-urls flashinfer-autotune-skip-ops gc-threshold
generation-tokens-buckets ignore-patterns kv-cache-dtype-skip-layers log-requests-target logits-processors lora-modules
lora-paths lora-target-modules numa-bind-cpus numa-bind-nodes numa-node offload-params prompt-tokens-buckets
served-model-name sleep-preserve-parameter-names tokenizer-metrics-allowed-custom-labels
"""
MANY = frozenset(SEVERAL.split())


class Option(NamedTuple):
    """One option: whether it takes a value, whether it has a --no- form, its other spellings."""

    value: bool = True
    negatable: bool = False
    aliases: tuple[str, ...] = ()


class Parsed(NamedTuple):
    """A command line: values by option, arguments that are no option, what nothing takes."""

    values: dict[str, list[str]]
    words: list[str]
    unknown: list[str]


class Misused(Exception):
    """An option that is known and yet wrong: shortened so that it fits several, or without its value."""


def order(version: str) -> tuple[list[int], int, list[int]]:
    """Sorts releases; a candidate comes before its release."""
    head, mark, tail = re.sub(r"\.?(rc|post)", r"|\1|", version).partition("|")
    numbers = [int(n) for n in re.findall(r"\d+", head)]
    stage = {"": 1, "r": 0, "p": 2}[tail[:1]] if mark else 1
    return numbers, stage, [int(n) for n in re.findall(r"\d+", tail)]


def read(path: Path, version: str, section: str = "flags") -> dict[str, Option]:
    """The options of one release: a table of files/engines/options, or a plain list with one option a line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if not any(re.fullmatch(r"\w+:", line) for line in lines):
        return {canonical(n): Option() for n in lines if n.strip() and not n.startswith("#")}
    found: dict[str, Option] = {}
    inside = False
    for line in lines:
        if not line.startswith(" "):
            inside = line.strip() == f"{section}:"
        elif inside and (match := ENTRY.match(line)):
            facts = match[2] or ""
            told = dict(re.findall(r'(since|gone): "([^"]+)"', facts))
            if order(told.get("since", "0")) <= order(version) < order(told.get("gone", "999999")):
                aliases = re.search(r"aliases: \[([^]]*)\]", facts)
                names = tuple(a.strip().strip('"') for a in aliases[1].split(",")) if aliases else ()
                found[canonical(match[1])] = Option("kind: bool" not in facts, "negatable: true" in facts, names)
    return found


def canonical(name: str) -> str:
    return name.strip().lstrip("-").replace("_", "-")


def table(env: Mapping[str, str], version: str) -> dict[str, Option] | None:
    """The list of DOUBLE_OPTIONS; None when there is none, and then everything is accepted."""
    paths = env.get("DOUBLE_OPTIONS")
    if not paths:
        return None
    merged: dict[str, Option] = {}
    for path in paths.split(":"):
        merged |= read(Path(path), version)
    return merged | {"help": Option(False)}


def find(known: Mapping[str, Option], name: str) -> tuple[str, Option] | None:
    """An option by any of its spellings, or by a beginning that fits only one, as argparse takes it."""
    wanted = canonical(name)
    if wanted in known:
        return wanted, known[wanted]
    for flag, option in known.items():
        if wanted in map(canonical, option.aliases) or (option.negatable and wanted == f"no-{flag}"):
            return flag, option
    near = [f for f in known if len(f) > 1 and f.startswith(wanted)] if name.startswith("--") else []
    if len(near) > 1:
        raise Misused(f"ambiguous option: {name} could match {', '.join(f'--{f}' for f in near)}")
    return (near[0], known[near[0]]) if near else None


def parse(argv: list[str], known: Mapping[str, Option] | None) -> Parsed:
    """Reads `--a b`, `--a=b`, `--a.key b`, `-tp 8`, `-O3`; without a list every option is taken as known."""
    values: dict[str, list[str]] = {}
    words: list[str] = []
    unknown: list[str] = []
    rest = list(argv)
    while rest:
        token = rest.pop(0)
        if not re.match(r"--?[A-Za-z]", token):
            words.append(token)
            continue
        name, equals, given = token.partition("=")
        base = name.split(".")[0]
        if re.fullmatch(r"-O\d", base):
            base, equals, given = "-O", "=", base[2:]
        hit = find(known, base) if known is not None else (SHORT.get(base, canonical(base)), Option())
        following = 0
        while following < len(rest) and not re.match(r"--?[A-Za-z]", rest[following]):
            following += 1
        if hit is None:
            # What follows an unknown option belongs to nobody either.
            unknown += [token, *rest[:following]]
        elif known is None:
            values[hit[0]] = [given] if equals else rest[:following]
        else:
            takes = 0 if equals or not hit[1].value else following if hit[0] in MANY else 1
            if following < takes or (hit[0] in MANY and not equals and not takes):
                raise Misused(f"argument {token}: expected {'at least ' if hit[0] in MANY else ''}one argument")
            values[hit[0]] = [given] if equals else rest[:takes]
            words += rest[takes:following]
        rest = rest[following:]
    return Parsed(values, words, unknown)
