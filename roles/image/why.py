"""Why a pull did not work, in one sentence with what helps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

HINTS = (
    ("server gave HTTP response to HTTPS client", 'the registry has no TLS: add it to "docker": {"insecure": [...]} in the inventory'),
    ("certificate signed by unknown authority", 'install its certificate, or add it to "docker": {"insecure": [...]} in the inventory'),
    ("x509:", 'the registry\'s certificate is not accepted: mend it, or add it to "docker": {"insecure": [...]}'),
    ("manifest unknown", "the registry has no such tag: correct image or version in the inventory"),
    ("not found", "the registry has no such image: correct image or version in the inventory"),
    ("denied", "docker login on the node, or correct the image's name"),
    ("unauthorized", "docker login on the node, or correct the image's name"),
    ("toomanyrequests", 'the registry limits pulls: set "docker": {"mirrors": [...]} or use image_archive'),
    ("no space left on device", 'make room on the node, or set "docker": {"data_root": ...} in the inventory'),
    ("invalid tar header", "this system's Docker cannot unpack it: docker save it elsewhere and set image_archive (known of Kylin)"),
    ("no matching manifest", "the registry has it for other processors only: another tag, or image_archive"),
    ("no such host", "the node has no way to the registry: set proxy, docker mirrors or image_archive in the inventory"),
    ("timeout", "the node has no way to the registry: set proxy, docker mirrors or image_archive in the inventory"),
    ("connection refused", "the registry is not reached: set proxy, docker mirrors or image_archive in the inventory"),
    ("network is unreachable", "the node has no way to the registry: set proxy, docker mirrors or image_archive in the inventory"),
    ("deadline exceeded", "the node has no way to the registry: set proxy, docker mirrors or image_archive in the inventory"),
)


def why(lines: Sequence[str]) -> str:
    """Each source that was tried, with its own last words; then what helps against the first that is known."""
    own = next((line[4:] for line in lines if line.startswith("why ")), "")
    tried = list(_tried(lines))
    said = own or "; ".join(f"{source}: {words}" for source, words in tried) or "docker said nothing"
    hint = next((helps for text, helps in HINTS if text in said), "")
    return f"{said}; {hint}" if hint else said


def _tried(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    source, last = "", ""
    for line in [*lines, "from "]:
        if line.startswith("from "):
            if source and last:
                yield source, last.removeprefix("Error response from daemon: ").strip()
            source, last = line[5:], ""
        elif line.strip():
            last = line
