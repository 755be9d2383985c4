"""The command line: ``linksim run | validate | blocks | schema | train | dataset | report | compare``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from linksim import __version__
from linksim.arguments import EXIT_BAD_INPUT, make_parser
from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.interruption import END, ignore_further, interruptible
from linksim.core.llvm import import_failure
from linksim.core.printing import make_console, one_line, prepare_streams, say, write, write_traceback

EXIT_DONE, EXIT_BLOCK_FAILED, EXIT_INTERRUPTED = 0, 1, 130


def main(arguments: list[str] | None = None) -> int:
    """Entry point of ``linksim``.

    :returns: the exit code: 0 done, 1 a block raised an exception (shown with its traceback), 2 bad input,
        130 interrupted.
    """
    prepare_streams()
    options = _parser().parse_args(arguments)
    with interruptible() as came:
        return _ended(options, came)


def _ended(options: argparse.Namespace, came: list[int]) -> int:
    """Run a command, and the exit code of however it ends.

    :param came: signals, see `interruptible`.
    """
    try:
        command: Callable[[argparse.Namespace], int] = options.command
        return command(options)
    except BrokenPipeError:  # `linksim blocks | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except BaseException as error:
        if came or isinstance(error, KeyboardInterrupt):
            came.append(END)
            with contextlib.suppress(OSError, KeyboardInterrupt):
                write("interrupted", to_stderr=True)
            return EXIT_INTERRUPTED
        if not isinstance(error, Exception):
            raise
        return _failed(error)


def _failed(error: Exception) -> int:
    """What is said of an exception, and the exit code."""
    if isinstance(error, LinksimError):
        if isinstance(error.__cause__, Exception) and not isinstance(error.__cause__, LinksimError):
            write_traceback(error.__cause__)  # a plugin's own exception
        _write_error(str(error))
        return EXIT_BAD_INPUT
    from linksim.core.packages import not_set_up  # start-up

    if line := import_failure(error) or not_set_up(error):
        _write_error(line)
        return EXIT_BAD_INPUT
    if isinstance(error, UnicodeEncodeError) and error.encoding == sys.getfilesystemencoding():
        _write_error(f"{error.object}: names of files are written in {error.encoding} here, which lacks "
                     f"{error.object[error.start:error.end]}: set PYTHONUTF8=1, or choose another name")
        return EXIT_BAD_INPUT
    from linksim.experiment.failure import failure_line  # start-up

    line = failure_line(error)
    if line is None:
        raise error
    write_traceback(error)
    _write_error(line)
    return EXIT_BLOCK_FAILED


def command_line(arguments: list[str] | None = None) -> int:
    """`main` as all that a process does."""
    code = main(arguments)
    if code == EXIT_INTERRUPTED:
        ignore_further()
    return code


def run_command(arguments: list[str] | None = None) -> int:
    """Entry point of ``run_sim.py``: ``linksim run`` without its first word."""
    return command_line(["run", *(sys.argv[1:] if arguments is None else arguments)])


def _write_error(message: str) -> None:
    write(f"error: {one_line(message)}", to_stderr=True)


def _parser() -> argparse.ArgumentParser:
    return make_parser({
        "run": _run, "validate": _validate, "blocks": _blocks, "schema": _schema, "train": _train, "dataset": _dataset,
        "ask": _ask, "report": _report, "compare": _compare,
    })


def _overrides(pairs: list[str]) -> dict[str, Any]:
    from linksim.loading.load import parse_value  # start-up

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ScenarioError(f"--set {pair}: write it as key.path=value")
        try:
            found[key] = parse_value(value)
        except ScenarioError as error:
            raise ScenarioError(f"--set {key}: {error}") from None
    return found


def _load(options: argparse.Namespace) -> tuple[Any, str]:
    """The scenario, and the torch device that it is run on here."""
    from linksim.loading.load import cited_scenario  # start-up

    overrides = _overrides(options.overrides)
    for given in getattr(options, "checkpoint", []):
        # as an override it is cited, checked and hashed like one
        method, _, folder = given.rpartition("=")
        overrides |= _checkpoint(options, overrides, method, folder)
    scenario, source = cited_scenario(options.scenario, overrides, options.plugin)
    from linksim.experiment.machine import resolve_device  # start-up

    try:
        return scenario, resolve_device(scenario.run.device)
    except ScenarioError as error:
        raise ScenarioError(f"{source.cite(('run', 'device'))}: {str(error).partition(': ')[2]}") from None


def _checkpoint(options: argparse.Namespace, overrides: dict[str, Any], method: str, folder: str) -> dict[str, Any]:
    """``--checkpoint`` as an override."""
    from linksim.loading.load import load_scenario  # start-up
    from linksim.scenario.resolved import resolve  # start-up

    if not method:
        loaded = resolve(load_scenario(options.scenario, overrides, options.plugin))
        names = [found.name for found in loaded.methods if found.predictor is not None and found.predictor.learns]
        if len(names) != 1:
            has = f"{len(names)} methods are" if names else "no method is"
            raise ScenarioError(f"--checkpoint {folder}: {has} trained" + (
                f": write METHOD={folder}, METHOD one of {', '.join(names)}" if names else ""))
        method = names[0]
    return {f"methods.{method}.predictor.checkpoint": str(Path(folder).resolve())}


def _run(options: argparse.Namespace) -> int:
    if options.workers > 1 or options.ray:
        # idle threads sleep instead of spinning, before torch is loaded: workers would starve each other
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _announce(options)
    scenario, device = _load(options)
    from linksim.experiment.run import Interrupted, run  # start-up
    from linksim.report.load import load_run  # start-up
    from linksim.report.terminal import final_table  # start-up
    from linksim.scenario.source import read_text  # start-up

    console = make_console()
    output = options.output
    if options.quick or options.trained_only:
        scenario, suffix = _shortened(options, scenario, device, console)
        output = output or Path("results") / f"{scenario.name}{suffix}"
    try:
        results = run(
            scenario, output=output, workers=options.workers, ray_address=options.ray,
            fresh=options.fresh, console=console, scenario_text=read_text(options.scenario),
        )
    except Interrupted as interruption:
        folder = interruption.results.folder
        again = "the same command without --fresh" if options.fresh else "the same command"
        say(console, f"interrupted: finished units are kept in {folder}; run {again} to go on")
        return EXIT_INTERRUPTED
    final_table(load_run(results.folder), console)
    for note in results.manifest["notes"]:
        say(console, f"note: {note}", style="yellow")
    _write_files(_written(results.folder))
    return EXIT_DONE


def _shortened(options: argparse.Namespace, scenario: Any, device: str, console: Any) -> tuple[Any, str]:
    """The scenario with what ``--quick`` or ``--trained-only`` changes, and what its folder's name ends in."""
    from linksim.experiment.shortcuts import quick_look, trained_only  # start-up

    if options.quick:
        return quick_look(scenario), "-quick"
    short = trained_only(scenario, device, partial(say, console))
    return short, "-trained-only" if short.run.left_out != scenario.run.left_out else ""


def _announce(options: argparse.Namespace) -> None:
    """The first sign of life: loading torch and reading channel files takes seconds."""
    if _speaks():
        write(f"linksim {__version__}: {options.scenario}")


def _speaks() -> bool:
    """Whether this process does: one of several that share a training."""
    return int(os.environ.get("RANK") or os.environ.get("SLURM_PROCID") or 0) == 0


def _written(folder: Path) -> list[str]:
    figures = sorted((folder / "figures").glob("*.png"))
    names = [folder / "report.html", folder / "metrics.csv", folder / "manifest.json", *figures]
    count = len(list((folder / "drops").glob("*.parquet")))
    return [*(str(name) for name in names if name.exists()), f"{folder / 'drops'} ({count} units)"]


def _write_files(names: Iterable[object]) -> None:
    write("written:", *(f"  {name}" for name in names))


def _validate(options: argparse.Namespace) -> int:
    scenario, _ = _load(options)
    from linksim.experiment.machine import missing_here  # start-up
    from linksim.experiment.plan import make_plan  # start-up

    plan = make_plan(scenario)
    write(f"{options.scenario}: valid: {len(plan.method_names)} curves, {len(plan.points)} sweep points, "
          f"{len(plan.channel_points)} channel points",
          *(f"before a run here: {text}" for text in missing_here(scenario)))
    return EXIT_DONE


def _blocks(options: argparse.Namespace) -> int:
    from linksim.scenario.plugins import load_plugins  # start-up

    load_plugins([str(Path(path).resolve()) for path in options.plugin])
    from linksim.core.registry import KINDS, catalogue, nearest, unreadable  # start-up
    from linksim.metrics.catalogue import metric_specs  # start-up

    specs = [spec for kind in KINDS for spec in (metric_specs() if kind == "metric" else catalogue(kind))]
    if reasons := unreadable():
        write(*(f"not all blocks can be read: {reason}" for reason in reasons), to_stderr=True)
    if options.name is not None:
        picked = [spec for spec in specs if spec.name == options.name]
        if not picked:
            near = nearest(options.name, [spec.name for spec in specs])
            raise LinksimError(f"unknown block {options.name!r}: did you mean {near!r}?")
        write(*"\n\n".join(_explained(spec) for spec in picked).split("\n"))
        return EXIT_DONE
    kind, name = (max(len(getattr(spec, part)) for spec in specs) for part in ("kind", "name"))
    # piped to a file or another program, lines are whole
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    lines = [f"{spec.kind:{kind}}  {spec.name:{name}}  {spec.summary}" for spec in specs]
    write(*(f"{line[:width - 1]}…" if 0 < width < len(line) else line for line in lines))
    return EXIT_DONE


def _explained(spec: Any) -> str:
    """A block's docstring, needs and options."""
    lines = [f"{spec.kind} {spec.name} ({spec.source})", "", spec.doc or "(no description)", ""]
    if spec.kind == "predictor":
        extra = "".join(f" + {factor} x {option}" for option, factor in spec.history_per_option.items())
        lines.append(f"history: at least {spec.min_history}{extra} samples")
        lines.append(f"trained: {'on drops of its own before the run' if spec.trains else 'no'}")
    options = spec.options.model_json_schema().get("properties", {})
    lines.append("options:" if options else "options: none")
    for name, about in options.items():
        default = f"default {json.dumps(about['default'])}" if "default" in about else "required"
        lines.append(f"  {name}: {_type_in_words(about)}; {default}")
    return "\n".join(lines)


def _type_in_words(about: dict[str, Any]) -> str:
    from linksim.core.types import LARGEST  # start-up

    if "anyOf" in about:
        return " or ".join(_type_in_words(part) for part in about["anyOf"])
    if "enum" in about:
        return "one of " + ", ".join(map(json.dumps, about["enum"]))
    if "const" in about:
        return json.dumps(about["const"])
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false",
             "null": "nothing", "array": "list"}
    limits = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {about[key]:g}" for key, sign in limits.items() if abs(about.get(key, LARGEST)) < LARGEST]
    return " ".join([names.get(about.get("type", ""), "any value"), *bounds])


def _schema(_: argparse.Namespace) -> int:
    from linksim.loading.json_schema import scenario_json_schema  # start-up

    write(*json.dumps(scenario_json_schema(), indent=1).split("\n"))
    return EXIT_DONE


def _train(options: argparse.Namespace) -> int:
    if options.status:
        return _train_status(options)
    # a thread draws drops while another trains: idle ones sleep instead of spinning, before torch is loaded
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _announce(options)
    scenario, device = _load(options)
    from linksim.core.heartbeat import Heartbeat  # start-up
    from linksim.experiment.channel_preparation import prepare_channels  # start-up
    from linksim.experiment.failure import named_blocks  # start-up
    from linksim.training.preparation import check_parts, prepare_parts  # start-up

    try:
        console = make_console()
        with Heartbeat(partial(say, console)), named_blocks(scenario, "in training"):
            prepare_channels(scenario, console)
            check_parts(scenario, device, options.method)
            lines = prepare_parts(scenario, device, console, options.method)
    except KeyboardInterrupt:
        write("interrupted: run the same command to go on", to_stderr=True)
        return EXIT_INTERRUPTED
    if _speaks():
        write(*(lines or ["nothing to train"]))
    return EXIT_DONE


def _train_status(options: argparse.Namespace) -> int:
    scenario, _ = _load(options)
    from linksim.training.status import training_status  # start-up

    write(*(training_status(scenario, options.method) or ["nothing to train"]))
    return EXIT_DONE


def _dataset(options: argparse.Namespace) -> int:
    _announce(options)
    scenario, device = _load(options)
    from linksim.experiment.dataset import Export, write_dataset  # start-up

    export = Export(options.num_drops, options.split, options.layout, not options.no_rays)
    written = write_dataset(scenario, options.out, export, device, make_console(), options.overwrite)
    _write_files(written)
    return EXIT_DONE


def _ask(options: argparse.Namespace) -> int:
    from linksim.experiment.ask import ask  # start-up

    write(*ask(options.checkpoint, options.instruction, options.channels, options.drops))
    return EXIT_DONE


def _compare(options: argparse.Namespace) -> int:
    from linksim.report.differences import differences  # start-up
    from linksim.report.load import load_run  # start-up
    from linksim.report.terminal import print_differences  # start-up

    if options.against and not options.method:
        raise ScenarioError("--against: say with --method which method of RUN_A is compared")
    methods = (options.method, options.against or options.method) if options.method else None
    if methods is None and options.first.resolve() == options.second.resolve():
        raise ScenarioError("both runs are the same: name two of its methods with --method and --against")
    runs = load_run(options.first), load_run(options.second)
    found = differences(*runs, options.metric, methods)
    print_differences(found, options.output)
    return EXIT_DONE


def _report(options: argparse.Namespace) -> int:
    from linksim.core.heartbeat import Heartbeat  # start-up
    from linksim.report.build import build_report  # start-up

    say = partial(write, to_stderr=True)
    with Heartbeat(say):
        files = build_report(options.runs, options.output, say)
    write(*map(str, files))
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(command_line())
