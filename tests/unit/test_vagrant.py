"""inventories/vagrant.py names the machines that the Vagrantfile makes with Docker; docs/lab.md says what the other providers lack."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from roles.plan.plan import Plan, make
from roles.plan.source import read_inventory
from tests.lab.daemon import NETWORKS
from tests.lab.nodes import CLUSTER_NIC
from tests.lab.place import Place

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Vagrantfile").read_text(encoding="utf-8")
DOCS = (ROOT / "docs" / "lab.md").read_text(encoding="utf-8").partition("## Vagrant")[2]
LAB = "/var/lib/bringup-lab"


def plan() -> Plan:
    return make(read_inventory(ROOT / "inventories/vagrant.py"))


def machines() -> list[str]:
    """The addresses of as many machines as `vagrant up` makes; every provider gives the same ones."""
    count = re.search(r'ENV\.fetch\("N", "(\d+)"\)', TEXT)
    found = set(re.findall(r'"([\d.]+)\.#\{(\d+) \+ i\}"', TEXT))
    assert count
    assert len(found) == 1, found
    ((network, first),) = found
    return [f"{network}.{int(first) + i}" for i in range(int(count[1]))]


def test_the_inventory_has_the_vagrantfiles_machines() -> None:
    assert [n.address for n in plan().nodes] == [n.name for n in plan().nodes] == machines()


def test_they_are_on_the_labs_cluster_network_beside_its_own_nodes() -> None:
    place = Place(Path(LAB))
    network = ipaddress.ip_network(f"{place.cluster}.0/23")
    assert all(ipaddress.ip_address(a) in network for a in machines())
    assert not {place.address(n) for n in range(128)} & set(machines())
    assert '"--network", "cluster"' in TEXT
    assert {n.nic for n in plan().nodes} == {CLUSTER_NIC} == {f"{NETWORKS['cluster']}0"}


def test_key_and_checkpoints_are_where_the_lab_keeps_them() -> None:
    data = read_inventory(ROOT / "inventories/vagrant.py").data
    assert f'"BRINGUP_LAB", "{LAB}"' in TEXT
    assert data["ssh_key"] == f"{LAB}/keys/id_ed25519"
    assert 'private_key_path = "#{lab}/keys/id_ed25519"' in TEXT
    assert data["weights"].startswith("/opt/lab/shared/")
    assert '"#{lab}/shared:/opt/lab/shared:ro"' in TEXT


def test_what_virtual_machines_lack_is_said_plainly() -> None:
    providers = set(re.findall(r'provider "(\w+)"', TEXT))
    assert providers == {"docker", "libvirt", "virtualbox"}
    assert "no simulated cards" in DOCS
    assert "no weights" in DOCS
    assert all(f"`{key}`" in DOCS for key in ("nic", "ssh_user", "ssh_key", "recipe", "weights"))
