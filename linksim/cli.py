"""The command line: ``linksim run | validate | blocks | schema | train | report``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import yaml

from linksim import __version__
from linksim.errors import LinksimError, ScenarioError

EXIT_DONE, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 2, 130


def main(arguments: list[str] | None = None) -> int:
    """Entry point of ``linksim``. Returns the exit code: 0 done, 2 bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    # idle threads sleep instead of spinning: several workers on one machine would starve each other
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        return options.command(options)
    except LinksimError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def run_command(arguments: list[str] | None = None) -> int:
    """Entry point of ``run_sim.py``: ``linksim run`` without its first word."""
    return main(["run", *(sys.argv[1:] if arguments is None else arguments)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="linksim", description="End-to-end link-level simulator for AI-native MIMO-OFDM on 3GPP channels.")
    parser.add_argument("--version", action="version", version=f"linksim {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a scenario to curves; resumes what is there")
    _scenario_arguments(run)
    run.add_argument("--output", type=Path, metavar="DIR", help="default: results/<scenario name>")
    run.add_argument("--workers", type=_positive, default=1, metavar="N", help="work units in parallel (needs Ray)")
    run.add_argument("--ray", metavar="ADDRESS", help="run on this Ray cluster (auto: the one of this machine)")
    run.add_argument("--fresh", action="store_true", help="replace earlier results instead of resuming")
    run.set_defaults(command=_run)

    validate = commands.add_parser("validate", help="check a scenario file and write nothing")
    _scenario_arguments(validate)
    validate.set_defaults(command=_validate)

    blocks = commands.add_parser("blocks", help="list the blocks that a scenario can name")
    blocks.add_argument("--plugin", action="append", default=[], metavar="FILE")
    blocks.set_defaults(command=_blocks)

    schema = commands.add_parser("schema", help="print the JSON Schema of scenario files, for editors")
    schema.set_defaults(command=_schema)

    train = commands.add_parser("train", help="train what a scenario's learned blocks need and keep checkpoints")
    _scenario_arguments(train)
    train.set_defaults(command=_train)

    report = commands.add_parser("report", help="draw figures and HTML again, or overlay several runs")
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="output folder of a run")
    report.add_argument("--output", type=Path, metavar="DIR", help="where to write an overlay; default: report")
    report.set_defaults(command=_report)
    return parser


def _scenario_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", type=Path, metavar="SCENARIO.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", dest="overrides",
                        help="change one field, e.g. --set channel.speed_kmh=60")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE",
                        help="Python file with blocks of your own; its code is executed")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def _overrides(pairs: list[str]) -> dict[str, Any]:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ScenarioError(f"--set {pair}: write it as key.path=value")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ScenarioError(f"--set {pair}: the value is not YAML") from None
    return found


def _load(options: argparse.Namespace) -> Any:
    from linksim.scenario.load import load_scenario

    return load_scenario(options.scenario, _overrides(options.overrides), options.plugin)


def _run(options: argparse.Namespace) -> int:
    scenario = _load(options)
    from rich.console import Console

    from linksim.experiment.run import Interrupted, run
    from linksim.report.load import load_run
    from linksim.report.terminal import final_table

    console = Console()
    if not console.is_terminal:
        console = Console(width=110)  # a log file has no width of its own
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        results = run(
            scenario, output=options.output, workers=options.workers, ray_address=options.ray,
            fresh=options.fresh, console=console, scenario_text=options.scenario.read_text(encoding="utf-8"),
        )
    except Interrupted as interruption:
        folder = interruption.results.folder
        console.print(f"interrupted: finished units are kept in {folder}; run the same command to go on")
        return EXIT_INTERRUPTED
    final_table(load_run(results.folder), console)
    for note in results.manifest["notes"]:
        console.print(f"note: {note}", style="yellow", highlight=False)
    console.print("written:", *_written(results.folder), sep="\n  ", highlight=False)
    return EXIT_DONE


def _written(folder: Path) -> list[str]:
    figures = sorted((folder / "figures").glob("*.png"))
    names = [folder / "report.html", folder / "metrics.csv", folder / "manifest.json", *figures]
    count = len(list((folder / "drops").glob("*.parquet")))
    return [*(str(name) for name in names if name.exists()), f"{folder / 'drops'} ({count} units)"]


def _validate(options: argparse.Namespace) -> int:
    scenario = _load(options)
    from linksim.experiment.plan import make_plan

    plan = make_plan(scenario)
    print(f"{options.scenario}: valid: {len(plan.method_names)} curves, {len(plan.points)} sweep points, "
          f"{len(plan.channel_points)} channel points")
    return EXIT_DONE


def _blocks(options: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from linksim.registry import catalogue
    from linksim.scenario.load import load_plugins

    load_plugins([str(Path(path).resolve()) for path in options.plugin])
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("kind", "name", "what it is", "options (default)"):
        table.add_column(heading, no_wrap=heading in ("kind", "name"))
    for spec in catalogue():
        defaults = [f"{name}={field.default}" for name, field in spec.options.model_fields.items()]
        table.add_row(spec.kind, spec.name, spec.summary, ", ".join(defaults))
    Console().print(table)
    return EXIT_DONE


def _schema(_: argparse.Namespace) -> int:
    from linksim.scenario.json_schema import scenario_json_schema

    print(json.dumps(scenario_json_schema(), indent=1))
    return EXIT_DONE


def _train(options: argparse.Namespace) -> int:
    scenario = _load(options)
    from rich.console import Console

    from linksim.experiment.run import resolve_device
    from linksim.training.checkpoint import prepare

    for line in prepare(scenario, resolve_device(scenario.run.device), Console()) or ["nothing to train"]:
        print(line)
    return EXIT_DONE


def _report(options: argparse.Namespace) -> int:
    from linksim.report.build import build_report

    for path in build_report(options.runs, options.output):
        print(path)
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
