"""The keys an inventory may set: cluster keys, host keys, and what passes through to pyinfra."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from roles.plan.check import Strict
from roles.plan.recipe import FlagValue

ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FLAG_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
SECRET_ENV = re.compile(r"(^|_)(API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
SECRET_FLAG = re.compile(r"(^|[_-])(api[_-]key|(hf|hub|auth|access)[_-]token|secret|password)$", re.IGNORECASE)
NIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
IMAGE = re.compile(rf"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?{_PART}(?:/{_PART})*(?::\w[\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?")
REPLICA = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


def _matches(pattern: re.Pattern[str], what: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(what)
        return text

    return AfterValidator(check)


def _path(text: str) -> str:
    """A path docker can mount: `src:dst` and `--mount` give ":" and "," a meaning."""
    clean = text.rstrip("/") or "/"
    if not clean.startswith("/") or ".." in clean.split("/") or any(c in clean for c in ":,") or not clean.isprintable() or clean == "/":
        raise ValueError('an absolute path without "..", ":" or "," (and not "/")')
    return clean


def _address(text: str) -> str:
    try:
        ip = ipaddress.IPv4Address(text)
    except ValueError:
        raise ValueError("the node's IPv4 address on the cluster network, such as 10.0.0.11") from None
    if ip.is_unspecified or ip.is_multicast or ip == ipaddress.IPv4Address("255.255.255.255"):
        raise ValueError("the address of one node")
    return text


def _mount(text: str) -> str:
    parts = text.split(":")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise ValueError('"src:dst" or "src:dst:ro"')
    src, dst = _path(parts[0]), _path(parts[1])
    return ":".join([src, dst, *(["ro"] if parts[2:] == ["ro"] else [])])


def _env(env: dict[str, object]) -> dict[str, object]:
    for name in env:
        if not ENV_NAME.fullmatch(name):
            raise ValueError(f'names of variables; "{name}" is none')
        if SECRET_ENV.search(name):
            raise ValueError(f'no secrets; "{name}" would be seen by everyone: use auth (API key) or hub_token')
    return env


def _flags(flags: dict[str, object]) -> dict[str, object]:
    for name in flags:
        if not FLAG_NAME.fullmatch(name):
            raise ValueError(f'flag names as the engine spells them, without "--"; "{name}" is none')
        if SECRET_FLAG.search(name):
            raise ValueError(f'no secrets; "{name}" would stand in every process list: use auth (API key) or hub_token')
    return flags


def _here(text: str) -> str:
    if not text.startswith("/") or not text.isprintable():
        raise ValueError("the absolute path of a file on this machine")
    return text


Path = Annotated[str, AfterValidator(_path)]
LocalFile = Annotated[str, AfterValidator(_here)]
EnvValue = Annotated[str | int | float, Field(description="text or a number")]


class Ports(Strict):
    """Port numbers that differ from the recipe's."""

    api: int | None = Field(None, ge=1, le=65535, description="the HTTP API")
    rpc: int | None = Field(None, ge=1, le=65535, description="data-parallel handshake")
    hccl: int | None = Field(None, ge=1024, le=65504, description="first of the 32 HCCL ports")
    master: int | None = Field(None, ge=1, le=65535, description="torch distributed master")
    proxy: int | None = Field(None, ge=1, le=65535, description="the proxy's, with expose: proxy")
    gang: int | None = Field(None, ge=1, le=65535, description="where the nodes of a replica tell each other what they do")


class TimeoutKeys(Strict):
    """Deadlines in seconds that differ from the engine's."""

    listen: int | None = Field(None, ge=1, le=86400, description="first rank's rpc port listens")
    join: int | None = Field(None, ge=1, le=86400, description="a later rank reaches the first")
    ready: int | None = Field(None, ge=1, le=86400, description="everything loaded and serving")
    stall: int | None = Field(None, ge=1, le=86400, description="silence that counts as a stall")
    stop: int | None = Field(None, ge=1, le=3600, description="from TERM to KILL")
    drain: int | None = Field(None, ge=0, le=86400, description="how long a restart waits for running requests")
    answer: int | None = Field(None, ge=1, le=3600, description="one request of the proof")


class LivenessKeys(Strict):
    """How a proven replica is watched on its own nodes, and what is done when it fails."""

    every: int = Field(30, ge=1, le=3600, description="seconds between one-token requests to every rank")
    deadline: int = Field(60, ge=1, le=3600, description="seconds one of them may take")
    strikes: int = Field(3, ge=1, le=100, description="failed rounds in a row, without any counter moving, that count as hung")
    restarts: int = Field(5, ge=0, le=100, description="restarts in a row before the replica is given up")
    backoff: int = Field(10, ge=1, le=3600, description="seconds before the first restart; twice as long before each next one")
    stable: int = Field(600, ge=1, le=86400, description="seconds of service after which restarts are counted from nothing again")


def _url(text: str) -> str:
    if "@" in text or not re.fullmatch(r"https?://[A-Za-z0-9.\[\]:-]+(/[\w./-]*)?", text):
        raise ValueError("a URL such as http://10.0.0.1:3128, without user or password")
    return text.rstrip("/")


Url = Annotated[str, AfterValidator(_url)]
Registry = Annotated[str, _matches(re.compile(r"[A-Za-z0-9.-]+(:\d+)?"), "a registry such as registry.local:5000")]


class DockerKeys(Strict):
    """Settings of the nodes' Docker daemon, merged into what its file says already."""

    mirrors: list[Url] = Field([], description="registry mirrors of Docker Hub")
    insecure: list[Registry] = Field([], description="registries without a trusted certificate, for sites without a way out")
    data_root: Path | None = Field(None, description="where images and containers are kept")


class TlsKeys(Strict):
    """The certificate the proxy shows; both are files on this machine."""

    cert: LocalFile = Field(description="the certificate in PEM, with its chain behind it")
    key: LocalFile = Field(description="its private key in PEM, without a passphrase")


class BenchKeys(Strict):
    """Where a benchmark's own files lie, as the engine's container sees them."""

    script: Path | None = Field(None, description="the script to run instead of the recipe's")
    data: Path | None = Field(None, description="the data set's file or folder")


class ClusterKeys(Strict):
    """The cluster's data: the second part of the group."""

    recipe: str = Field(description="a recipe: its path under files/recipes without .yaml")
    model: str = Field(description="the model: a name of files/models, such as MiniMax-M2.5, or its hub id")
    weights: Path | None = Field(None, description="the checkpoint's folder on every node; default /var/lib/bringup/models/<model>")
    draft: Path | None = Field(None, description="the Eagle3 head's folder on every node, for recipes that speculate")
    auth: Annotated[str, _matches(re.compile(r"generate|off|file:/.+"), '"generate", "off" or "file:/PATH"')] = Field(
        "generate", description="the API key: made once, none, or read from a file on this machine"
    )
    hub_token: Annotated[str, _matches(re.compile(r"env:[A-Za-z_]\w*|file:/.+"), '"env:NAME" or "file:/PATH"')] | None = Field(
        None, description="where the hub's token is read from, for downloads of gated weights"
    )
    privileges: Literal["seed", "least"] = Field("seed", description="seed: as the vendor page runs it; least: only what the engine needs")
    firewall: bool = Field(False, description="close everything but SSH and the API to machines outside the replica")
    expose: Literal["direct", "proxy"] = Field(
        "direct", description="direct: clients ask the engine; proxy: an nginx in front of it, which passes /v1/* and /health only"
    )
    tls: TlsKeys | None = Field(None, description="the proxy's certificate; without one it speaks plain HTTP")
    topology: Literal["switched", "back-to-back", "direct-out"] = Field("switched", description="how the accelerators' network is cabled")
    restart: Literal["gang", "never"] = Field("gang", description="what happens when a rank ends")
    image: Annotated[str, _matches(IMAGE, "an image reference such as quay.io/ascend/vllm-ascend:v0.18.0")] | None = Field(
        None, description="another image than the recipe's, taken as it is"
    )
    version: Annotated[str, _matches(re.compile(r"\d+(\.\d+)+((a|b|rc)\d+)?(\.post\d+)?"), "a version such as 0.18.0")] | None = Field(
        None, description="the engine's version: chooses the recipe's image tag, or says what an own image holds"
    )
    image_archive: Path | None = Field(
        None, description="on every node: a file of `docker save` to load the image from, instead of a registry"
    )
    docker: DockerKeys = Field(DockerKeys(), description="settings of the nodes' Docker daemon")
    wheels: Path | None = Field(None, description="on every node: a folder of wheels (uv's too), for the runtime venv without a way out")
    proxy: Url | None = Field(None, description="HTTP proxy of the nodes, for pulls and downloads; never used between the nodes")
    hub: Literal["huggingface", "modelscope"] = Field("huggingface", description="where missing weights are downloaded from")
    hub_endpoint: Url | None = Field(None, description="a mirror of that hub")
    image_os: Literal["ubuntu", "openeuler"] = Field("ubuntu", description="the system inside the image: tag suffix and jemalloc's path")
    arch: Literal["aarch64", "x86_64"] | None = Field(None, description="the nodes' processor; default the hardware's usual one")
    runtime: Literal["docker", "venv"] | None = Field(
        None, description="container, or an environment made by uv, where the recipe has both"
    )
    variants: list[str] = Field([], description="named variants of the recipe")
    devices: list[int] | None = Field(None, description="accelerators of a node to use; default the first ones the layout needs")
    flags: dict[str, FlagValue | None] = Field({}, description="engine flags to set; None removes one")
    env: dict[str, EnvValue | None] = Field({}, description="engine variables to set; None removes one")
    mounts: list[Annotated[str, AfterValidator(_mount)]] = Field([], description='more mounts, "src:dst[:ro]"')
    ports: Ports = Field(Ports(), description="port numbers to change")
    timeouts: TimeoutKeys = Field(TimeoutKeys(), description="deadlines to change, in seconds")
    liveness: LivenessKeys = Field(LivenessKeys(), description="how a running replica is watched")
    bench: dict[str, BenchKeys] = Field({}, description="scripts and data sets of the recipe's benchmarks, by name")
    profiler: Path | None = Field(None, description="folder for profiles; turns the engine's profiler on")

    _env_ok = field_validator("env")(_env)
    _flags_ok = field_validator("flags")(_flags)

    @field_validator("variants", mode="before")
    @classmethod
    def _one_variant(cls, variants: object) -> object:
        return [variants] if isinstance(variants, str) else variants

    @field_validator("devices")
    @classmethod
    def _devices_ok(cls, devices: list[int] | None) -> list[int] | None:
        if devices is not None and (not devices or len(set(devices)) != len(devices) or min(devices) < 0):
            raise ValueError("different device numbers from 0 on, at least one")
        return devices


class HostKeys(Strict):
    """One host's data: who it is in its replica."""

    rank: int | None = Field(None, ge=0, le=4095, description="place in the replica; rank 0 has the API")
    address: Annotated[str, AfterValidator(_address)] | None = Field(None, description="IPv4 address on the cluster network")
    nic: Annotated[str, _matches(NIC, "an interface name of up to 15 letters, digits, '.', '_' or '-', such as enp67s0f0np0")] | None = (
        Field(None, description="interface that carries the address")
    )
    replica: Annotated[str, _matches(REPLICA, "a short name of a-z, 0-9 and '-', such as r0")] = Field(
        "r0", description="replica it belongs to"
    )


SSH_KEYS = (
    "ssh_hostname", "ssh_port", "ssh_user", "ssh_password", "ssh_key", "ssh_key_password", "ssh_allow_agent", "ssh_look_for_keys",
    "ssh_forward_agent", "ssh_config_file", "ssh_known_hosts_file", "ssh_strict_host_key_checking", "ssh_paramiko_connect_kwargs",
    "ssh_connect_retries", "ssh_connect_retry_min_delay", "ssh_connect_retry_max_delay", "ssh_file_transfer_protocol",
)  # fmt: skip


def passes_through(key: str) -> bool:
    """pyinfra's own keys are none of ours."""
    return key.startswith(("ssh_", "fake_", "_"))
