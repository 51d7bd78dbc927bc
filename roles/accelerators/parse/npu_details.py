"""`npu-smi info -t health` and `-t spod-info`: lines of `name : value`."""

from __future__ import annotations

from dataclasses import dataclass

from roles.accelerators.parse.reading import Refused, Unreadable, first_line, whole


@dataclass(frozen=True)
class Health:
    """One chip's health with what is wrong."""

    status: str
    codes: str
    text: str


@dataclass(frozen=True)
class SuperPod:
    """An A3's place in its super pod."""

    id: int
    server: int
    size: int


def health(text: str) -> tuple[Health, ...]:
    """One entry per chip of the card that was asked."""
    found: list[dict[str, str]] = []
    for name, value in _pairs(text):
        if name == "Health Status":
            found.append({})
        if found:
            found[-1][name] = value
    if not found:
        raise Unreadable("npu-smi info -t health", first_line(text))
    return tuple(Health(f["Health Status"], _known(f.get("Error Code")), _known(f.get("Error Information"))) for f in found)


def super_pod(text: str) -> SuperPod:
    if "does not support" in text:
        raise Refused("npu-smi: this device has no super pod")
    what, values = "npu-smi info -t spod-info", dict(_pairs(text))
    if not {"Super Pod ID", "Server Index", "Super Pod Size"} <= set(values):
        raise Unreadable(what, first_line(text))
    return SuperPod(*(whole(values[n], what, f"{n} : {values[n]}") for n in ("Super Pod ID", "Server Index", "Super Pod Size")))


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(n.strip(), v.strip()) for n, sep, v in (line.partition(":") for line in text.splitlines()) if sep]


def _known(value: str | None) -> str:
    return "" if value in (None, "NA", "N/A") else str(value)
