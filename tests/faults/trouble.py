"""One fault: what happens, when, how it is taken away, and what must be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Group = Literal["ssh", "disk", "image", "weights", "network", "cards", "host", "docker", "node", "engine", "controller", "inventory"]
NIC = "enp67s0f0np0"
Lab = Literal["", "power", "pause", "reboot", "second"]


MIDWAY: Mapping[str, Any] = {"env": {"DOUBLE": "stall=weights:6"}, "timeouts": {"stall": 20}}
"""The engine waits a little at its weights, so that what happens happens there."""
SLOWLY: Mapping[str, Any] = {"env": {"DOUBLE": "stall=weights:6"}, "timeouts": {"stall": 90, "ready": 150}}
"""And is given more time than a connection is."""
LATER: Mapping[str, Any] = {"env": {"DOUBLE": "stall=kv-cache:6"}, "timeouts": {"stall": 90, "ready": 150}}
"""It waits after its weights."""
CUT = f"iptables -I INPUT -i {NIC} -j DROP; iptables -I OUTPUT -o {NIC} -j DROP"
WHOLE = f"iptables -D INPUT -i {NIC} -j DROP; iptables -D OUTPUT -o {NIC} -j DROP"
GONE = (
    "could not be seen any more|connection was lost|nothing was heard from the node|was not heard any more over SSH"
    "|(was|were) not reached|not been heard of"
    "|did not answer (one short completion )?within"
)
CUT_OFF = r"[Cc]onnection (closed|reset|refused|timed out)|connection failed|is gone, stopped|no answer within"
NET_GONE = f"{GONE}|{CUT_OFF}|stalled: no log line"
"""What a user is told when a node, or the way between two, is gone."""
NO_TAG = "manifest unknown|name unknown|not found"
"""What a registry says of an image it does not have."""
ENDED = r"the engine ended with code|the engine could not be started|Docker daemon"
"""When somebody ends a container: its engine has no word of its own for that."""
OFF = "iptables -I INPUT ! -i lo -j DROP; iptables -I OUTPUT ! -o lo -j DROP"
ON = "iptables -D INPUT ! -i lo -j DROP; iptables -D OUTPUT ! -o lo -j DROP"


@dataclass(frozen=True)
class Trouble:
    """One fault. `at` is the stage of serve it happens in; before serve when empty."""

    name: str
    group: Group
    says: str
    """What one of the run's failures or findings must say: a check's id, or a regular expression; see named.py."""
    make: str = ":"
    mend: str = ":"
    node: str = "n1"
    at: str = ""
    both: str = ""
    """What is done on both nodes before it; then both are mended."""
    lab: Lab = ""
    """What the lab itself does to the node, or a second controller to both."""
    signal: str = ""
    """What the controller gets instead: INT or KILL."""
    data: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] = field(default_factory=dict)
    names: bool = True
    """Whether that sentence must be about the node, or name it."""
    within: float = 60.0
    """Seconds from the fault to the end of the run that fails of it: 1.5 times what was measured, where that is more."""
    code: int | None = 1
    """serve's exit status with the fault; None where either end is right."""
    recipe: str = "lab/a2-dual-tp1"
    serves: bool = False
    """The replica serves already, and must serve in the end, whatever the fault made of the run."""
    members: tuple[str, ...] = ("n0", "n1")
    often: bool = False
    left: bool = False
    """Nothing could be learnt of the engine: it runs on, unproven."""

    @property
    def cut(self) -> bool:
        """Its node must notice by itself; nobody reaches it."""
        return self.make in (CUT, OFF) or self.lab in ("power", "pause", "reboot")
