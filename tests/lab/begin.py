"""How a test session begins: not on what an earlier lab left."""

from __future__ import annotations

from tests.lab import __main__ as cli
from tests.lab import daemon
from tests.lab.place import Place


def begin_clean(place: Place, cut_off: bool) -> None:
    """Before the first look: what a lab that is not up left behind would be taken for the machine's own."""
    if daemon.remains(place) or (cut_off and daemon.running(place)):
        cli.main(["down"])
