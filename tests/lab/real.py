"""One pair of the real engine, one worker a node, served by bringup: shared by all tests that only want it to be there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.lab.engine import build
from tests.lab.place import Place
from tests.lab.verbs import Site

LIVENESS = {"every": 5, "deadline": 10, "strikes": 2, "backoff": 1, "restarts": 50, "stable": 5}


@dataclass
class RealPair:
    """Up when a test asks for it, and down for tests that want the nodes for themselves."""

    place: Place
    path: Path
    site: Site | None = None

    def up(self) -> Site:
        if self.site is None:
            build.build(self.place)
            site = Site(self.place, self.path, cluster="real", data={"liveness": LIVENESS})
            assert site.run("clean", "-y").code == 0
            ran = site.run("serve", "-y", "--data", "soak=0", seconds=600)
            assert ran.code == 0, ran.err + ran.out
            self.site = site
        return self.site

    def down(self) -> None:
        if self.site is not None:
            assert self.site.run("clean", "-y").code == 0
            self.site = None
