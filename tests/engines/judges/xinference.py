"""Xinference's own click commands, and at level "config" their bodies up to the first request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import xinference
from xinference.deploy import cmdline


class Refused(Exception):
    """Said by this judge in the place of the server, which is not running."""


class Reached(Exception):
    """The command accepted everything and was about to start or to ask a server."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values


class Client:
    """In the place of the REST client: the first request ends the command."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def _set_token(self, _: Any) -> None:
        pass

    def __getattr__(self, request: str) -> Any:
        def reached(**values: Any) -> None:
            raise Reached({"request": request, **values})

        return reached


def _start(**values: Any) -> None:
    raise Reached(values)


cmdline.RESTfulClient = Client
cmdline.get_stored_token = lambda *_: None
cmdline.start_local_cluster = _start


class Engine:
    def __init__(self, _: Path) -> None:
        self.version: str = xinference.__version__

    def options(self) -> list[str]:
        commands = [cmdline.local, *cmdline.cli.commands.values()]
        return list({o for c in commands for p in c.params for o in (*p.opts, *p.secondary_opts)})

    def check(self, argv: list[str], level: str, _headless: bool) -> dict[str, Any]:
        try:
            return _check(argv, level)
        except click.ClickException as refusal:
            raise Refused(refusal.format_message()) from None


def _check(argv: list[str], level: str) -> dict[str, Any]:
    context = _context(argv)
    # `launch` takes options it does not know and hands them to the engine: a typo ends here.
    config = {key: value for key, value in context.params.items() if value not in (None, ())}
    config["extra"] = list(context.args)
    if level == "parse":
        return config
    try:
        context.command.invoke(context)
    except Reached as reached:
        config |= reached.values
    if context.command.name == "launch":
        config["model_id"] = _built_in(config)
    return config


def _context(argv: list[str]) -> click.Context:
    program, *given = argv
    if program == "xinference-local":
        return cmdline.local.make_context(program, given)
    if program != "xinference":
        raise Refused(f"not an Xinference command this judge knows: {program}")
    group = cmdline.cli.make_context(program, given)
    name, command, rest = cmdline.cli.resolve_command(group, group.protected_args + group.args)
    assert command is not None
    return command.make_context(name, rest, parent=group)


def _built_in(config: dict[str, Any]) -> str | None:
    """The server looks the model up in these files; a name of the user's own is not in them."""
    asked = [config.get(key) for key in ("size_in_billions", "model_format", "quantization")]
    known = _builds(config["model_name"])
    for build, model_id in known.items():
        pairs = zip(asked, build, strict=True)
        if all(want is None or want.lower() == have.lower() for want, have in pairs):
            return model_id
    if not known:
        return None
    builds = ", ".join(" ".join(build) for build in known)
    raise Refused(f"{config['model_name']} has no such build; it has {builds}")


def _builds(model_name: str) -> dict[tuple[str, str, str], str]:
    file = Path(xinference.__file__).parent / "model" / "llm" / "models" / f"{model_name}.json"
    builds = {}
    for family in json.loads(file.read_text(encoding="utf-8")) if file.exists() else []:
        for spec in family["model_specs"]:
            size, form = str(spec["model_size_in_billions"]), spec["model_format"]
            for source in reversed(spec["model_src"].values()):  # Hugging Face comes first
                for quantization in source["quantizations"]:
                    model_id = source["model_id"].format(quantization=quantization)
                    builds[size, form, quantization] = model_id
    return builds
