"""What a recipe, an engine, a machine and a checkpoint are: the models of files/."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from roles.plan.bench import Bench, Scalar
from roles.plan.check import Strict

FlagValue = Scalar | list[Scalar] | dict[str, Any]
FACTS = (
    "draft", "weights", "profiler", "multi-node", "hccl-moved",
    "format:fp8", "format:bf16", "format:w8a8", "format:w8a8c8", "format:awq", "format:mlx",
    "topology:switched", "topology:back-to-back", "topology:direct-out", "runtime:docker", "runtime:venv",
)  # fmt: skip
"""What a `when` may ask of a plan: a closed list, so that a typo is refused."""


def _regex(text: str) -> str:
    try:
        re.compile(text)
    except re.error as e:
        raise ValueError(f"a regular expression ({e})") from None
    return text


def _fact(text: str) -> str:
    if text not in FACTS:
        raise ValueError(f"one of {', '.join(FACTS)}")
    return text


Regex = Annotated[str, AfterValidator(_regex)]
Fact = Annotated[str, AfterValidator(_fact)]
Version = Annotated[str, Field(pattern=r"^\d+(\.\d+)+((a|b|rc)\d+)?(\.post\d+)?$", description="a version such as 0.18.0")]


class Setting(Strict):
    """One flag or variable of a recipe: its value, where and when it applies, and why it is there."""

    value: FlagValue = Field(description="the value; true is a bare flag; ${...} names are filled in from the plan")
    on: Literal["all", "first", "rest"] = Field("all", description="which ranks carry it: all, the first, or all but the first")
    when: list[Fact] = Field([], description="facts of which at least one must hold")
    unless: list[Fact] = Field([], description="facts of which none may hold")
    since: Version | None = Field(None, description="first engine version that reads it, where the option table does not know")
    gone: Version | None = Field(None, description="first engine version that no longer reads it, where the option table does not know")
    why: str = Field("", description="one line: why it is set")
    source: str = Field("", description="where that is known from: a seed, an issue, a page")


def _settings(value: Any) -> Any:
    """`name: 8` is short for `name: {value: 8}`."""
    if not isinstance(value, dict):
        return value
    return {k: v if isinstance(v, dict) or v is None else {"value": v} for k, v in value.items()}


class Image(Strict):
    """Where the engine's container image comes from."""

    repository: str = Field(description="registry and name, without a tag")
    tag: str = Field(description="the pinned default tag, without the hardware's or the system's suffix")
    mirrors: list[str] = Field([], description="repositories that carry the same image, tried in order when the first is not reachable")
    suffixes: bool = Field(False, description="the tag gets the hardware's suffix (-a3) and the system's (-openeuler)")
    moving: bool = Field(False, description="the tag moves: the same name is another image tomorrow; warned about")
    version: Version | None = Field(None, description="engine version of the default tag, where the tag does not say it")
    entrypoint: Literal["image", "none"] = Field(
        "image", description="image: its entrypoint runs our command (CANN's sources its environment); none: it is cleared"
    )


class Venv(Strict):
    """How the engine is installed without a container, by uv."""

    python: str = Field(description="Python version of the environment")
    packages: list[str] = Field(description="requirements; ${version} is the engine's version")


class Patch(Strict):
    """One verified change of the image's own files, made before the engine starts."""

    do: Literal["rename", "comment-out"] = Field(description="rename a file, or comment out one exact line of it")
    file: str = Field(description="absolute path inside the container", pattern=r"^/")
    to: str | None = Field(None, description="rename: the new path", pattern=r"^/")
    line: str | None = Field(None, description="comment-out: the exact line, without its indentation")
    versions: str = Field(description="engine versions it is verified on, as a specifier such as ==0.5.7")
    why: str = Field(description="one line: what breaks without it")

    @model_validator(mode="after")
    def _complete(self) -> Patch:
        if (self.do == "rename") != (self.to is not None) or (self.do == "comment-out") != (self.line is not None):
            raise ValueError("`to` for a rename, `line` for a comment-out, never both")
        return self


class Request(Strict):
    """One request that proves the endpoint."""

    path: str = Field(description="path of the API", pattern=r"^/")
    body: dict[str, Any] = Field(description="JSON body; the model name is filled in")
    expect: Literal["text", "tool-call", "reasoning"] = Field("text", description="what a good answer holds")


class Variant(Strict):
    """A named change of a recipe, chosen in the inventory: `variants: ["piecewise"]`."""

    why: str = Field(description="when to choose it")
    flags: dict[str, Setting | None] = Field({}, description="flags it sets, or removes with null")
    env: dict[str, Setting | None] = Field({}, description="variables it sets, or removes with null")
    launch: dict[str, Setting | None] = Field({}, description="flags of the second step it sets, or removes with null")
    verify: dict[str, Request] = Field({}, description="requests it adds to the proof")

    _short = field_validator("flags", "env", "launch", mode="before")(_settings)


class Withdrawn(Strict):
    """The vendor took this recipe back."""

    since: Version = Field(description="first engine version whose documentation lacks it")
    why: str = Field(description="what is known")
    source: str = Field(description="where that is known from")


class Nodes(Strict):
    """How many nodes form one replica."""

    min: int = Field(1, ge=1, description="at least this many nodes")
    max: int | None = Field(None, ge=1, description="at most this many nodes; null is no limit")


class Recipe(Strict):
    """Engine x hardware x layout: everything that does not depend on whose nodes they are."""

    title: str = Field(description="one line for people")
    source: str = Field(description="the vendor page or issue it follows")
    advice: list[str] = Field([], description="what a reader should know before choosing it")
    engine: str = Field(description="a file of files/engines")
    hardware: str = Field(description="a file of files/hardware")
    nodes: Nodes = Field(description="how many nodes form one replica")
    image: Image | None = Field(None, description="the container image; null where the engine runs only without one")
    venv: Venv | None = Field(None, description="the environment without a container; null where there is none")
    runtime: Literal["docker", "venv"] = Field("docker", description="which of the two is the default")
    formats: list[str] = Field(description="weight formats that work")
    refuse: dict[str, str] = Field({}, description="format: why it cannot work here")
    models: list[str] = Field(description="models its source names; others of a fitting format are warned about")
    resolves: dict[str, str] = Field({}, description="model name: the checkpoint this recipe takes for it")
    doubts: dict[str, str] = Field({}, description="model name: a known doubt, warned about")
    flags: dict[str, Setting] = Field(description="engine flags in the order they are written")
    env: dict[str, Setting] = Field({}, description="environment variables of the engine")
    launch: dict[str, Setting] = Field({}, description="flags of the second step (xinference launch)")
    ports: dict[Literal["api", "rpc", "hccl", "master"], int] = Field(description="port numbers; hccl is the first of 32")
    shm: str | None = Field(None, description="size of /dev/shm when the container does not share the host's", pattern=r"^\d+[kmg]$")
    ipc: Literal["host", "private"] = Field("host", description="whether the container shares the host's IPC and /dev/shm")
    setup: list[Patch] = Field([], description="verified patches inside the container, before the engine")
    variants: dict[str, Variant] = Field({}, description="named changes")
    withdrawn: Withdrawn | None = Field(None, description="set where the vendor took the recipe back")
    bench: dict[str, Bench] = Field({}, description="benchmarks by scenario name")
    verify: dict[str, Request] = Field(description="requests that prove the endpoint")
    jemalloc: bool = Field(False, description="preload jemalloc at the path of the image's system and architecture")

    _short = field_validator("flags", "env", "launch", mode="before")(_settings)


class Stage(Strict):
    """One step of a start, as the engine's log shows it."""

    name: str = Field(description="what people call it")
    patterns: list[Regex] = Field(description="any of them means: this stage was reached; groups done and total are progress")
    on: Literal["all", "first", "rest"] = Field("all", description="which ranks print it")


class Fatal(Strict):
    """A log line after which waiting is useless."""

    pattern: Regex = Field(description="regular expression of the line")
    means: str = Field(description="what it says, in one clause")
    wrapper: bool = Field(False, description="it only says that something else failed: the cause stands above it, or on another rank")


class Timeouts(Strict):
    """Deadlines in seconds; `ready` grows with the model."""

    listen: int = Field(ge=1, description="from the first rank's start to its rpc port listening")
    join: int = Field(ge=1, description="how long a later rank may take to reach the first")
    ready_base: int = Field(ge=1, description="part of the ready deadline that no model size changes")
    ready_per_gb: float = Field(ge=0, description="seconds per GB of weights on top of it")
    stall: int = Field(ge=1, description="silence, without bytes read or memory growth, that counts as a stall")
    stop: int = Field(ge=1, description="from TERM to KILL")
    drain: int = Field(120, ge=0, description="how long a restart waits for running requests")
    answer: int = Field(120, ge=1, description="one request of the proof; more means hung")


class Owned(Strict):
    """A flag or variable the plan decides, and where a user changes it instead."""

    instead: str = Field(description="what to write instead")


class Engine(Strict):
    """What every recipe of one engine shares: command, option table, layout flags, stages, paths."""

    title: str = Field(description="one line for people")
    command: list[str] = Field(description="argv before the flags; ${weights} is the model's path")
    options: list[str] = Field(description="option tables of files/engines/options, the first one holds the flags")
    version_of: str = Field("", description="how the engine's version maps to the first table's, in words")
    launch: list[str] = Field([], description="argv of the second step, before its flags")
    layout: dict[Literal["tp", "dp", "dp_local", "ep", "pcp", "pp", "speculative", "served", "max_len"], str] = Field(
        description="which flag says what"
    )
    ep_is_size: bool = Field(False, description="the expert-parallel flag takes a size instead of being a switch")
    owned_flags: dict[str, Owned] = Field({}, description="flags the plan decides")
    owned_env: dict[str, Owned] = Field({}, description="variables the plan decides")
    auth_env: str | None = Field(None, description="variable through which the engine reads its API key; null: it has none")
    paths: dict[Literal["health", "models", "chat", "completions", "metrics"], str] = Field(description="paths of the HTTP API")
    rank_header: str | None = Field(None, description="request header that pins a data-parallel rank")
    stages: list[Stage] = Field(description="steps of a start, in order")
    fatal: dict[str, Fatal] = Field({}, description="lines after which waiting is useless, by a short name")
    timeouts: Timeouts = Field(description="deadlines")


class DriverRule(Strict):
    """What is known of drivers older than a version; of several that hold, the one with the lowest version speaks."""

    below: str = Field(description="versions below this one; letters such as rc1 are not compared", pattern=r"^\d+(\.\d+)*$")
    level: Literal["fail", "warn"] = Field(description="fail: it cannot work; warn: something is known to go wrong")
    engine: str | None = Field(None, description="holds only for this engine; null: for all")
    since: Version | None = Field(None, description="holds from this engine version on")
    why: str = Field(description="one line: what goes wrong")
    source: str = Field(description="where that is known from")


class Hardware(Strict):
    """One kind of machine: its accelerators and how a container is given them."""

    title: str = Field(description="one line for people")
    vendor: Literal["ascend", "nvidia", "amd", "apple", "none"] = Field(description="who made the accelerators")
    devices: int = Field(ge=0, description="accelerators of one node, as the engine counts them; 0: any number")
    memory_gib: float | None = Field(None, description="usable memory of one accelerator")
    numbered: str | None = Field(None, description="device file of accelerator N, such as /dev/davinci${n}")
    managers: list[str] = Field([], description="device files every container needs")
    gpus: bool = Field(False, description="docker --gpus gives the devices (NVIDIA container toolkit)")
    visible_env: str | None = Field(None, description="variable that narrows the engine to some devices")
    arch: Literal["aarch64", "x86_64"] = Field(description="usual processor of such a machine; the inventory may say another")
    image_suffix: str = Field("", description="what the image tag ends with for this hardware")
    mounts: list[str] = Field([], description="driver files the container needs, src:dst[:ro]")
    seed: list[str] = Field([], description="docker options the vendor pages give (privileges: seed)")
    least: list[str] = Field([], description="docker options that are enough (privileges: least)")
    loaded: Literal["as-is", "fp8-to-bf16"] = Field("as-is", description="what happens to fp8 weights when they are loaded")
    system: Literal["linux", "macos"] = Field("linux", description="operating system")
    shown_as: Regex | None = Field(None, description="what the vendor's tool calls the accelerator, whole name; null: anything")
    idle_mb: int | None = Field(None, ge=0, description="memory in MB that an idle accelerator never exceeds")
    drivers: list[DriverRule] = Field([], description="what is known of old drivers")


class Model(Strict):
    """One checkpoint or draft head: where it comes from, how big it is."""

    name: str = Field(description="how inventories call it")
    family: str = Field(description="M2, M2.1, M2.5 or M2.7")
    kind: Literal["checkpoint", "draft"] = Field("checkpoint", description="a model, or an Eagle3 head for one")
    format: Literal["fp8", "bf16", "w8a8", "w8a8c8", "awq", "mlx", "eagle3"] = Field(description="weight format")
    huggingface: str | None = Field(None, description="Hugging Face id")
    modelscope: str | None = Field(None, description="ModelScope id")
    served: str = Field(description="short name the A2 page serves it under")
    public: str = Field(description="name clients expect (the hub's)")
    context: int | None = Field(None, description="context length of its config")
    shards: int | None = Field(None, description="number of safetensors files, where known")
    size_gb: float | None = Field(None, description="size on disk in GB, where known")
    bf16_gb: float | None = Field(None, description="size once dequantised to bf16")
    note: str = Field("", description="what is known about it")
    source: str = Field("", description="where the figures are from")
