"""The other door: the inventory as pyinfra loaded it, in the form roles.plan reads from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyinfra.api.inventory import Inventory

from roles.plan.errors import PlanError
from roles.plan.source import Source, plain

FILE = "inventory"


def from_pyinfra(inventory: Inventory) -> Source:
    """What the inventory file says; --data is not in it, `changes` has that."""
    if inventory.data or (Path.cwd() / "group_data").exists():
        raise PlanError(f"{FILE}: found group data outside the inventory file, expected no group_data: one file says everything")
    groups = [(name, data) for name, data in inventory.group_data.items() if data and name != "all"]
    if len(groups) != 1:
        raise PlanError(
            f"{FILE}: defines {len(groups)} groups with data, expected exactly one: the cluster; "
            "see what is wrong with: python -m roles.plan INVENTORY"
        )
    name, data = groups[0]
    members = [host.name for host in inventory.get_group(name)]
    hosts = tuple((n, _checked(inventory.host_data[n], f'{FILE}: {name}: host "{n}"')) for n in members)
    return Source(FILE, name, hosts, _checked(data, f"{FILE}: {name}"))


def changes(inventory: Inventory) -> dict[str, Any]:
    """The command line's --data, as --set gives it."""
    return {key: plain(value, f"--data {key}") for key, value in inventory.override_data.items()}


def _checked(data: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    result: Mapping[str, Any] = plain(dict(data), where)
    return result
