"""python -m roles.plan INVENTORY: the plan, without a connection."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from roles.plan import diff
from roles.plan.cluster import overrides
from roles.plan.errors import PlanError
from roles.plan.plan import Plan, make
from roles.plan.show import readable
from roles.plan.source import read_inventory

EPILOG = """\
examples:
  python -m roles.plan inventories/a2.py --explain
  python -m roles.plan inventories/a2.py --set model=MiniMax-M2.7 --set flags.max-num-seqs=64
  python -m roles.plan inventories/a2.py --json > before.json
  python -m roles.plan inventories/a2.py --set version=0.20.2rc1 --diff before.json

exit status: 0 the plan was made; 2 something in the inventory, recipe or command line is wrong (all of it is said)"""


def main(argv: list[str] | None = None) -> int:
    """Print what was asked for; 0, or 2 with one sentence per problem."""
    parser = argparse.ArgumentParser(
        prog="python -m roles.plan",
        description="Show what an inventory would run on its nodes: every command, step and port. Connects to nothing.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("inventory", metavar="INVENTORY", help="an inventory file, such as inventories/a2.py")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the plan as JSON (the contract other tools read)")
    form.add_argument("--explain", action="store_true", help="say why every flag and variable is there, and from which source")
    form.add_argument(
        "--diff", metavar="OTHER", help="what would change from OTHER (an inventory, or a plan saved with --json) to this one"
    )
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a cluster key; flags.NAME, env.NAME, ports.NAME reach inside",
    )
    args = parser.parse_args(argv)
    try:
        print(_output(args), end="")
        sys.stdout.flush()
    except PlanError as e:
        for problem in e.problems:
            print(problem, file=sys.stderr)
        return 2
    except BrokenPipeError:
        sys.stderr.close()  # the reader has seen enough, as `| head` does
    return 0


def _output(args: argparse.Namespace) -> str:
    plan = _plan(args.inventory, args.set)
    if args.json:
        return json.dumps(plan.data(), indent=2, ensure_ascii=False) + "\n"
    if args.diff:
        other = diff.load(Path(args.diff)) if args.diff.endswith(".json") else _plan(args.diff, []).data()
        changes = list(diff.lines(other, json.loads(json.dumps(plan.data()))))
        return "".join(f"{line}\n" for line in changes or ["no difference: the same would run"])
    return readable(plan, args.explain)


def _plan(inventory: str, settings: list[str]) -> Plan:
    return make(read_inventory(inventory), overrides(settings))


if __name__ == "__main__":
    sys.exit(main())
