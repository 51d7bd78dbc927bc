"""Two nodes of the lab with a stranger on each, one cluster served by the engine's double: where faults happen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.lab import image, nodes
from tests.lab.conftest import RunningLab
from tests.lab.place import in_node
from tests.lab.verbs import DOUBLE, Ran, Site

LIMITS = {"stall": 8, "ready": 60, "answer": 6, "join": 20, "listen": 30, "stop": 10, "drain": 2}
LIVENESS = {"every": 2, "deadline": 5, "strikes": 2, "backoff": 1, "stable": 5}
STRANGER, UNKNOWN = "stranger", "unknown"
NODES = ("n0", "n1")


@dataclass
class World:
    """The lab's first two nodes as a cluster, and what must survive whatever we do to it."""

    lab: RunningLab
    site: Site
    strangers: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def made(lab: RunningLab, site: Site) -> World:
        world = World(lab, site)
        world.plain()
        for node in site.members:
            lab.exec(node, f"docker image inspect {DOUBLE} >/dev/null 2>&1 || docker pull -q {DOUBLE}")
        world.arrive()
        return world

    def plain(self) -> None:
        """The inventory without any fault in it."""
        self.site.recipe, self.site.members, self.site.hosts = "lab/a2-dual-tp1", NODES, {}
        self.site.data = {"image": DOUBLE, "auth": "off", "timeouts": dict(LIMITS), "liveness": dict(LIVENESS)}

    def exec(self, node: str, script: str) -> str:
        """Inside a node, by the lab's own door: it works while SSH does not."""
        return in_node(self.lab.place, node, script, check=False)

    def arrive(self) -> None:
        """Somebody else's process and container on every node; of an image of its own, so that ours can be removed."""
        process = f"systemd-run -q --unit {STRANGER} bash -c 'exec -a \"vllm serve /x\" sleep 100000'"
        own = f"tar -ch /bin/sleep $(ldd /bin/sleep | grep -o '/[^ ]*') 2>/dev/null | docker import - {STRANGER}:1 >/dev/null"
        box = f"{own}; docker run -d --restart=always --name {STRANGER} {STRANGER}:1 /bin/sleep 100000"
        for node in NODES:
            self.exec(node, f"systemctl is-active -q {STRANGER} || {process}; docker start {STRANGER} >/dev/null 2>&1 || {{ {box}; }}")
        self.strangers = self.seen()

    def seen(self) -> dict[str, str]:
        ask = f"systemctl show -P MainPID {STRANGER}; timeout 5 docker inspect -f '{{{{.Id}}}}' {STRANGER} || echo {UNKNOWN}"
        return {node: self.exec(node, ask) for node in NODES}

    def touched(self, off: Sequence[str] = ()) -> bool:
        """Whether a stranger is another one now, as far as its node can be asked; one that is off cannot."""
        pairs = [(now.split(), self.strangers[node].split()) for node, now in self.seen().items() if node not in off]
        return any(now[:1] != then[:1] or now[1:] not in (then[1:], [UNKNOWN]) for now, then in pairs)

    def leave(self) -> None:
        for node in NODES:
            self.exec(node, f"systemctl stop {STRANGER}; docker rm -f {STRANGER}; docker image rm {STRANGER}:1")

    def running(self) -> list[bool]:
        """Which nodes run our engine."""
        return [
            bool(self.exec(node, f"timeout 5 docker ps -q --filter label=bringup.cluster={self.site.cluster}").strip()) for node in NODES
        ]

    def answers(self, node: str) -> bool:
        """Whether Docker on it does."""
        return bool(self.exec(node, "timeout 5 docker version -f '{{.Server.Version}}' 2>/dev/null").strip())

    def up(self) -> None:
        """Nodes that were cut off run again, and Docker on them."""
        nodes.up(self.lab.place, image.node_image(self.lab.place), nodes.described(self.lab.place))
        for node in NODES:
            self.exec(node, "for i in $(seq 60); do docker info >/dev/null 2>&1 && exit 0; sleep 0.5; done")

    def serve(self, seconds: float = 180) -> Ran:
        return self.site.run("serve", "-y", "--data", "soak=0", seconds=seconds)
