"""The network between the nodes: interface, address, ports in both directions, packet size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from roles.plan import proxy
from roles.plan.node import NodePlan
from roles.run.checks import Case, Say, check, fail, good, skip, warn

REFUSED = "refused"
SLOW_MBIT = 10_000


@dataclass(frozen=True)
class Listener:
    """Who listens on a port of the plan."""

    port: int
    pid: str
    at: str
    name: str
    group: str
    command: str


@check("network.nic", "the interface is there and up")
def nic(case: Case) -> Say | None:
    if not case.node.nic:
        return None
    names = _links(case)
    if case.node.nic not in names:
        carrying = _nic_of(case, case.node.address)
        fix = (
            f'"nic": "{carrying}" in the inventory: it carries {case.node.address}'
            if carrying
            else "ip -o addr on the node; set nic to its name"
        )
        return fail(f"{case.node.nic} does not exist; there are {', '.join(names) or 'none'}", f"interface {case.node.nic}", fix)
    state = case.seen["net.nic"].pairs.get("operstate", "unknown")
    if state not in ("up", "unknown"):
        return fail(f"{case.node.nic} is {state}", "up", f"ip link set {case.node.nic} up; then look at cable and switch")
    return good(f"{case.node.nic} is up")


@check("network.address", "the interface carries the address")
def address(case: Case) -> Say | None:
    if not case.node.nic and len(case.replica.nodes) == 1:
        return None
    carrying = _nic_of(case, case.node.address)
    if carrying is None:
        own = ", ".join(sorted(a for _, a, _ in _addresses(case) if not a.startswith("127.")))
        return fail(
            f"no interface carries {case.node.address}; this node has {own or 'none'}", case.node.address, '"address" in the inventory'
        )
    if case.node.nic and carrying != case.node.nic:
        return fail(f"{carrying} carries {case.node.address}", f"{case.node.nic}", f'"nic": "{carrying}" in the inventory')
    return good(f"{case.node.address} on {carrying}")


@check("network.speed", "the link is fast", nodes=2)
def speed(case: Case) -> Say | None:
    text = case.seen["net.nic"].pairs.get("speed", "")
    if not text.lstrip("-").isdigit() or int(text) <= 0:
        return skip("the interface tells no speed") if case.node.nic else None
    if int(text) < SLOW_MBIT:
        return warn(
            f"{case.node.nic}: {text} Mbit/s",
            f"at least {SLOW_MBIT} Mbit/s",
            "check that this is the fast interface, its cable and its switch port",
        )
    return good(f"{text} Mbit/s")


@check(
    "network.mtu", "packet size is the same on all nodes", nodes=2, why="one node with jumbo frames and one without lose large packets only"
)
def mtu(case: Case) -> Say | None:
    own = case.seen["net.nic"].pairs.get("mtu", "")
    first = case.of(case.head)["net.nic"].pairs.get("mtu", "")
    if not own:
        return None
    if first and own != first:
        return fail(f"{own} on {case.node.nic}", f"{first} as on {case.head.name}", f"ip link set {case.node.nic} mtu {first}")
    return good(own)


@check("network.path-mtu", "packets of that size get through", nodes=2)
def path_mtu(case: Case) -> Iterator[Say]:
    found, lost = list(case.seen.under("path")), False
    for key, section in found:
        peer, _, size = key.rpartition(".")
        if section.code != 0 and peer in _tcp_fine(case):
            lost = True
            yield fail(
                f"{int(size) + 28} bytes to {_named(case, peer)} are lost ({section.first or 'no answer'}), small packets are not",
                f"MTU {int(size) + 28} on the whole path",
                f"raise the switch's MTU, or ip link set {case.node.nic} mtu 1500 on all nodes",
            )
    if not lost:
        yield good(f"{len(found)} paths") if found else skip("no ping on the node, or no interface named")


@check("network.subnet", "the nodes are in one subnet, or have a route", nodes=2)
def subnet(case: Case) -> Iterator[Say]:
    wrong = False
    for peer, section in case.seen.under("route"):
        words = section.first.split()
        if not section.ok or "unreachable" in words:
            wrong = True
            yield fail(f"no route to {_named(case, peer)}: {section.first}", "a route", "put both nodes into one subnet, or add the route")
        elif case.node.nic in _links(case) and "dev" in words and words[words.index("dev") + 1] != case.node.nic:
            wrong = True
            yield warn(
                f"{_named(case, peer)} is reached by {words[words.index('dev') + 1]}",
                f"by {case.node.nic}",
                "check addresses and routes: ip route get " + peer,
            )
    if not wrong:
        yield good("routes are there")


@check("network.reach", "the nodes reach each other's ports", nodes=2, why="refused is fine, nothing listens yet; silence is a firewall")
def reach(case: Case) -> Iterator[Say]:
    silent: dict[str, list[str]] = {}
    count = 0
    for key, section in case.seen.under("reach"):
        peer, _, port = key.rpartition(".")
        count += 1
        if not section.ok and REFUSED not in section.text.lower():
            silent.setdefault(peer, []).append(port)
    for peer, ports in silent.items():
        last = case.seen[f"reach.{peer}.{ports[0]}"]
        why = "no answer in 3 s" if last.code in (124, 137) else last.first.rpartition(": ")[2] or "no answer"
        yield fail(
            f"{_named(case, peer)} port {', '.join(sorted(set(ports), key=int))}: {why}",
            "open, or refused",
            f"let {case.node.address} through on {_named(case, peer)}: its firewall (nft list ruleset, iptables -S) or one between them",
        )
    if not silent:
        yield good(f"{count} ports answered") if count else skip("bash is missing on the node")


@check("network.ports", "the plan's ports are free", why="the engine dies after minutes when one is taken (EI0019, EJ0003)")
def ports(case: Case) -> Iterator[Say]:
    if case.seen["listen"].code == 127:
        yield skip("ss is missing on the node")
        return
    wanted = _wanted(case.node, case)
    taken = [x for x in listeners(case) if x.port in wanted and not _ours(case, x)]
    for x in taken:
        who = f"{x.name} (pid {x.pid}: {x.command.strip() or x.name})" if x.pid != "-" else "a process that is not shown"
        key = wanted[x.port]
        yield fail(f"{key} port {x.port} is held by {who}", "free", f"{_owner(x)}, or another port: ports.{key} in the inventory")
    if not taken:
        yield good(f"{len(wanted)} ports free")


def _owner(one: Listener) -> str:
    """How to find whose it is; what is not ours is never offered for ending. pid 1 listens for a socket unit."""
    return f"see whose socket unit it is (systemctl list-sockets | grep :{one.port})" if one.pid == "1" else "ask whoever runs it"


def listeners(case: Case) -> list[Listener]:
    rows = (line.split("\t") for line in case.seen["listen"].lines)
    return [Listener(int(r[0]), r[1], r[2], r[3], r[4], r[5]) for r in rows if len(r) == 6 and r[0].isdigit()]


def _ours(case: Case, one: Listener) -> bool:
    """Our own service is no conflict: its container's or its unit's group holds the process."""
    unit = case.seen["unit"].pairs
    if one.pid == "1" and one.port == case.node.ports.get("gang") and unit.get("present"):
        return True  # systemd listens for our socket unit
    name = unit.get("name", "")
    services = (f"{name}.service", f"{name}{proxy.SUFFIX}.service") if name else ()
    return any(mark and mark in one.group for mark in (unit.get("id", "")[:64], *services))


def _wanted(node: NodePlan, case: Case) -> dict[int, str]:
    """Ports this node listens on, with the inventory's name for them."""
    mine: dict[int, str] = {}
    for key, value in node.ports.items():
        if key == "hccl":
            first, _, last = str(value).partition("-")
            mine |= dict.fromkeys(range(int(first), int(last or first) + 1), "hccl")
        elif node.rank == 0 or key == "gang":
            mine[int(value)] = key
    return mine


def _links(case: Case) -> list[str]:
    return [words[1].rstrip(":").partition("@")[0] for line in case.seen["net.link"].lines if len(words := line.split()) > 1]


def _addresses(case: Case) -> list[tuple[str, str, str]]:
    """(interface, address, prefix length)"""
    found = []
    for line in case.seen["net.addr"].lines:
        words = line.split()
        if len(words) > 3 and words[2] == "inet":
            at, _, length = words[3].partition("/")
            found.append((words[1].partition("@")[0], at, length))
    return found


def _nic_of(case: Case, wanted: str) -> str | None:
    return next((nic for nic, at, _ in _addresses(case) if at == wanted), None)


def _named(case: Case, peer: str) -> str:
    name = next((n.name for n in case.replica.nodes if n.address == peer), peer)
    return peer if name == peer else f"{name} ({peer})"


def _tcp_fine(case: Case) -> set[str]:
    """Peers whose ports answered: when nothing does, packet size is not the trouble."""
    return {k.rpartition(".")[0] for k, s in case.seen.under("reach") if s.ok or REFUSED in s.text.lower()}
