"""`python3 -m sglang.launch_server` of the double."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.argv[:1] = ["", "sglang"]
    runpy.run_path(str(Path(__file__).resolve().parents[2] / "main.py"), run_name="__main__")
