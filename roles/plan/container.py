"""One node's docker run, as a list: devices, mounts, labels, environment, image, command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from roles.plan.errors import PlanError
from roles.plan.keys import ClusterKeys
from roles.plan.recipe import Hardware, Recipe

STATE = "/var/lib/bringup"
CONFIG = "/etc/bringup"
ENTRYPOINT = "/bringup/entrypoint.sh"
STOP_SECONDS = "60"


def unit(cluster: str, replica: str) -> str:
    """The name that unit and container share."""
    return f"bringup-{cluster}-{replica}"


def secrets_file(cluster: str, replica: str) -> str:
    """The mode-0600 file that carries the API key into the engine's environment."""
    return f"{CONFIG}/{cluster}/{replica}.env"


def entrypoint_file(cluster: str, replica: str) -> str:
    return f"{CONFIG}/{cluster}/{replica}.entrypoint.sh"


def devices(hardware: Hardware, numbers: Sequence[int]) -> list[str]:
    """Device files a container of this node is given."""
    each = [hardware.numbered.replace("${n}", str(n)) for n in numbers] if hardware.numbered else []
    return [*each, *hardware.managers]


def mounts(hardware: Hardware, keys: ClusterKeys, cluster: str, replica: str, weights: str | None, patched: bool, place: str) -> list[str]:
    """Weights and draft read-only, the hardware's driver files, the engine's caches and logs, then the inventory's."""
    fixed = [f"{path}:{path}:ro" for path in dict.fromkeys(p for p in (weights, keys.draft) if p)]
    if keys.profiler:
        fixed.append(f"{keys.profiler}:{keys.profiler}")
    if patched:
        fixed.append(f"{entrypoint_file(cluster, replica)}:{ENTRYPOINT}:ro")
    ours = [m.replace("${state}", f"{STATE}/{cluster}/{replica}") for m in hardware.mounts]
    result = {m.split(":")[1]: m for m in (*fixed, *ours)}
    taken = {m.split(":")[1] for m in fixed}
    for mount in keys.mounts:
        target = mount.split(":")[1]
        if target in taken:
            raise PlanError(f'{place}: "mounts" has {mount}, but {target} is already mounted; expected another target')
        taken.add(target)
        result[target] = mount
    return list(result.values())


def run_argv(
    *,
    recipe: Recipe,
    hardware: Hardware,
    keys: ClusterKeys,
    name: str,
    image: str,
    device_paths: Sequence[str],
    numbers: Sequence[int],
    mount_list: Sequence[str],
    labels: Mapping[str, str],
    env: Mapping[str, str],
    env_file: str | None,
    command: Sequence[str],
) -> list[str]:
    """The whole command; secrets come by file, never here."""
    argv = ["docker", "run", "--name", name, "--network", "host"]
    argv += ["--ipc", "host"] if recipe.ipc == "host" else []
    argv += ["--shm-size", recipe.shm] if recipe.shm and recipe.ipc != "host" else []
    argv += hardware.seed if keys.privileges == "seed" else hardware.least
    argv += ["--stop-timeout", STOP_SECONDS]
    if hardware.gpus:
        argv += ["--gpus", "all" if keys.devices is None else f'"device={",".join(map(str, numbers))}"']
    for path in device_paths:
        argv += ["--device", path]
    for mount in mount_list:
        argv += ["--mount", _bind(mount)]
    for key, value in labels.items():
        argv += ["--label", f"{key}={value}"]
    for key, value in env.items():
        argv += ["--env", f"{key}={value}"]
    argv += ["--env-file", env_file] if env_file else []
    argv += ["--entrypoint", ""] if recipe.image and recipe.image.entrypoint == "none" else []
    return [*argv, image, *command]


def _bind(mount: str) -> str:
    """A bind that fails when its source is missing: `-v` would create an empty folder in its place."""
    source, target, *mode = mount.split(":")
    return f"type=bind,source={source},target={target}" + (",readonly" if mode == ["ro"] else "")
