"""docs/recipes/*.md: what a recipe is, what it needs, what it runs and why, how fast, what is doubtful, what was verified."""

from __future__ import annotations

from collections.abc import Iterator

from roles.plan.library import library
from roles.plan.pages import running, speed
from roles.plan.pages.sample import Sample, cited, data, inventory, sample
from roles.plan.pages.words import block, bullets, code, counted, plain, sections, table
from roles.plan.recipe import DriverRule, Model, Nodes


def file(name: str) -> str:
    """The page's file under docs/recipes."""
    return f"{name.replace('/', '-')}.md"


def page(name: str) -> str:
    s = sample(name)
    body = sections(
        "## What it needs",
        _needs(s),
        "## An inventory",
        _inventory(s),
        "## What each node runs",
        running.commands(s),
        "## Why each flag and variable is there",
        running.reasons(s),
        "## Ports",
        running.ports(s),
        "## What proves it",
        running.proof(s),
        "## Benchmarks",
        speed.benchmarks(s),
        *_variants(s),
        "## Doubts and known problems",
        _doubts(s),
        "## What was verified, and where",
        _verified(s),
    )
    sources = [plain(c) for c in cited(body + s.recipe.source)]
    return sections(_head(s), body, "## Sources" if sources else "", bullets(sources))


def _head(s: Sample) -> str:
    return sections(
        f"# {s.name}",
        f"{plain(s.plan.title)}. It follows {plain(s.recipe.source)}.",
        bullets(plain(a) for a in s.recipe.advice),
        f"Written by `make golden` from `files/recipes/{s.name}.yaml` and what it extends; to change it, change that.",
    )


def _needs(s: Sample) -> str:
    machine, layout = s.plan.known.hardware, s.plan.known.layout
    memory = f" of {machine.memory_gib} GiB" if machine.memory_gib else ""
    has = f", {machine.devices} accelerators{memory} in each" if machine.devices else ""
    sizes = ", ".join(f"{k} {getattr(layout, k)}" for k in ("tp", "dp", "pp", "pcp") if getattr(layout, k) > 1)
    used = counted(layout.devices, "accelerator") + f" of every node{f' ({sizes})' * bool(sizes)}"
    rows = [
        ("nodes of a replica", _nodes(s.recipe.nodes)),
        ("machine", f"{plain(machine.title)}{has}; {machine.arch} unless `arch` says otherwise"),
        ("used of it", used if machine.devices else "its own memory and processor"),
        *(("driver", _driver(d)) for d in machine.drivers if d.engine in (None, s.recipe.engine)),
        *_engine(s),
        ("weight formats", ", ".join(s.recipe.formats)),
        *((f"not {k}", plain(why)) for k, why in s.recipe.refuse.items()),
    ]
    return sections(table(["", ""], rows), table(["model", "size", "Hugging Face", "ModelScope", "note"], _models(s)))


def _driver(rule: DriverRule) -> str:
    release = f", from engine release {rule.since} on" if rule.since else ""
    return (
        f"{'never' if rule.level == 'fail' else 'better not'} below {rule.below}{release}: {plain(rule.why)}. Source: {plain(rule.source)}"
    )


def _engine(s: Sample) -> Iterator[tuple[str, str]]:
    """Release, image, environment, shared memory."""
    recipe, engine, build = s.recipe, s.plan.known.engine, s.plan.known.build
    follows = f": {engine.version_of}" if engine.version_of else ""
    yield "engine", f"{engine.title} {s.plan.version}; `version` chooses another release{follows}"
    if recipe.image and build.image:
        yield "image", code(build.image) + ("; with `image_os: openeuler` the tag ends in `-openeuler`" if recipe.image.suffixes else "")
        if build.mirrors:
            yield "else from", ", ".join(map(code, build.mirrors))
        yield "shared memory", "the host's /dev/shm" if recipe.ipc == "host" else f"a /dev/shm of its own, {recipe.shm}"
    if recipe.venv:
        when = "by default" if recipe.runtime == "venv" else "with `runtime: venv`"
        yield "without a container", f"{when}: Python {recipe.venv.python}, {', '.join(map(code, recipe.venv.packages))}"


def _nodes(nodes: Nodes) -> str:
    return f"{nodes.min}" if nodes.min == nodes.max else f"{nodes.min} or more" if nodes.max is None else f"{nodes.min} to {nodes.max}"


def _models(s: Sample) -> Iterator[tuple[str, ...]]:
    known = library().models()
    for model in (known[n] for n in s.recipe.models):
        yield code(model.name), _size(model), model.huggingface or "", model.modelscope or "", plain(model.note)


def _size(model: Model) -> str:
    shards = f", {model.shards} shards" if model.shards else ""
    return f"{model.size_gb:g} GB{shards}" if model.size_gb else "not known"


def _inventory(s: Sample) -> str:
    return sections(
        f"`{s.file}`{', with the changes of this recipe' * bool(s.changes)}; every key is in [the reference](../inventory.md).",
        block(inventory(s.source), "python"),
        "Its plan, with a reason beside every flag, and without a connection:",
        block(f"python -m roles.plan {s.file}{s.settings} --explain", "sh"),
        "Then, with your own file:",
        block("pyinfra inventories/mine.py deploy/check.py\npyinfra inventories/mine.py deploy/serve.py", "sh"),
    )


def _variants(s: Sample) -> Iterator[str]:
    if not s.recipe.variants:
        return
    yield "## Variants"
    yield 'Chosen in the inventory, such as `"variants": ["' + next(iter(s.recipe.variants)) + '"]`.'
    yield table(
        ["variant", "when", "what it sets"],
        (
            (
                code(name),
                plain(v.why),
                ", ".join(
                    code(f"{prefix}{k}={x.value}" if x else f"no {prefix}{k}")
                    for prefix, settings in (("--", v.flags), ("", v.env), ("--", v.launch))
                    for k, x in settings.items()
                ),
            )
            for name, v in s.recipe.variants.items()
        ),
    )


def _doubts(s: Sample) -> str:
    withdrawn = s.recipe.withdrawn
    known = [
        *([f"Withdrawn by its vendor from {withdrawn.since} on: {withdrawn.why} ({withdrawn.source})"] if withdrawn else []),
        *(f"{model}: {doubt}" for model, doubt in s.recipe.doubts.items()),
        *(f"The plan of this inventory warns: {w}" for w in s.plan.warnings),
        *(f"Left out of it: {item}" for item in s.plan.left_out),
    ]
    none = "" if known else "None in its data."
    return sections(
        none,
        bullets(map(plain, known)),
        "What is known to go wrong at run time stands, with its remedy, in [the doctor's rules](../doctor.md). Where this plan differs "
        "from its page, and why, stands in `tests/fixtures/seeds/differences.yaml`.",
    )


def _verified(s: Sample) -> str:
    verified = data()["verified"]
    engine = s.recipe.engine
    parser = verified["parsers"].get(engine)
    read = f"{parser['of']} {' and '.join(parser['releases'])}{', ' * ('but' in parser)}{parser.get('but', '')}" if parser else "no"
    hardware = verified["hardware"].get(s.name, "no: no such machine was at hand yet")
    return table(
        ["", ""],
        [
            (
                "commands compared with the vendor page",
                "yes" if s.name in verified["page"] else "no: none of the pages prints this command",
            ),
            ("read by the engine's own parser", read),
            ("served and proven in [the lab](../lab.md), on simulated accelerators", verified["lab"].get(s.name, "not this recipe itself")),
            ("on hardware", hardware),
        ],
    )


def index(all_names: list[str]) -> str:
    """docs/recipes.md."""
    rows = []
    for s in map(sample, all_names):
        lab = data()["verified"]["lab"].get(s.name, "no")
        rows.append(
            (f"[{s.name}](recipes/{file(s.name)})", plain(s.plan.title), _nodes(s.recipe.nodes), ", ".join(s.recipe.formats), plain(lab))
        )
    return sections(
        "# Recipes",
        "Written by `make golden`. A recipe is what runs on a replica: engine, machine and layout. The inventory names one of them, and "
        "[its other keys](inventory.md) change it. [architecture.md](architecture.md#recipes) tells how a recipe file is written.",
        table(["recipe", "what it is", "nodes", "weights", "served in the lab"], rows),
        "The recipes under `lab/` are these with a small engine for processors; see [the lab](lab.md). None was run on accelerators yet.",
    )
