"""install.py FAMILY [ROOT]: what a node runs at boot; the rest is in driver.py."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping
from pathlib import Path


def words(argv: list[str], env: Mapping[str, str], host: str) -> list[str]:
    """The line for main.py; the node's number is LAB_NODE, else the digits at the end of its name."""
    digits = re.search(r"\d+$", host)
    number = env.get("LAB_NODE") or (digits[0] if digits else "1")
    elsewhere = ["--root", argv[1]] if argv[1:] and argv[1] != "/" else []
    return ["install", "--family", argv[0], "--node", number, *elsewhere]


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    program = str(Path(__file__).resolve().with_name("main.py"))
    os.execv(sys.executable, [sys.executable, program, *words(sys.argv[1:], os.environ, socket.gethostname())])
