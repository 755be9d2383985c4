"""Run a scenario: plan, resume, simulate in rounds until the intervals are narrow enough, report."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from linksim.core.errors import StoreError
from linksim.core.heartbeat import Heartbeat, doing
from linksim.core.interruption import raise_missed
from linksim.core.packages import versions
from linksim.core.printing import say, visible
from linksim.core.shipped import located
from linksim.experiment.channel_preparation import prepare_channels
from linksim.experiment.execute import LocalExecutor, RayExecutor, check_executor, make_executor
from linksim.experiment.failure import named_blocks
from linksim.experiment.machine import resolve_device
from linksim.experiment.plan import ChannelPoint, Plan, format_value, make_plan
from linksim.experiment.progress import CONVENTIONS, LiveProgress, print_header
from linksim.experiment.table import gaps, intervals, metrics_table
from linksim.loading.load import load_scenario
from linksim.loading.memory import check_workers
from linksim.metrics.catalogue import metric, plugged_facts
from linksim.results.results import Results
from linksim.results.statistics import Interval, RunningTotal, interval_of, summarize_unit
from linksim.results.store import Store
from linksim.results.unit_file import told
from linksim.scenario.channel import horizon_s
from linksim.scenario.identity import scenario_hash
from linksim.scenario.points import resolved_at, sweep_points
from linksim.scenario.resolved import resolve
from linksim.scenario.schema import Scenario

QUICK_SECONDS = 30.0
"""After which a quick look begins no unit."""

_RESUMED = "resumed: some units are from an earlier run with "


class Interrupted(Exception):
    """Ctrl-C during a run; what was finished is in ``results`` and the run can be resumed."""

    def __init__(self, results: Results) -> None:
        super().__init__("interrupted")
        self.results = results


def run(scenario: Scenario | str | Path, *, output: str | Path | None = None, workers: int = 1,
        ray_address: str | None = None, fresh: bool = False, console: Console | None = None,
        scenario_text: str = "", report: bool = True) -> Results:
    """Run a scenario to its results; resumes what the folder already holds.

    :param scenario: a checked scenario, or the path of a file.
    :param output: the folder; ``results/<name>`` by default.
    :param workers: more than one runs on Ray.
    :param ray_address: of a Ray cluster.
    :param fresh: replace earlier results in the folder.
    :param console: where progress is shown; silent by default.
    :param scenario_text: the file as written, for the report.
    :param report: draw figures and the HTML report.
    :raises ScenarioError: the scenario is wrong.
    :raises StoreError: the folder cannot be used.
    :raises Interrupted: Ctrl-C.
    :raises Exception: a block's own; finished units are kept.
    """
    if not isinstance(scenario, Scenario):
        scenario_text = scenario_text or located(Path(scenario)).read_text(encoding="utf-8")
        scenario = load_scenario(scenario)
    console = console or Console(quiet=True)
    folder = Path(output) if output is not None else Path("results") / scenario.name
    device = resolve_device(scenario.run.device)
    check_executor(workers, ray_address)
    if not ray_address:  # a cluster has machines of its own
        check_workers([resolved_at(scenario, point) for point in sweep_points(scenario)], workers)
    with Heartbeat(partial(say, console)):
        blocks = _planned_blocks(scenario, device)
        with doing("starting Ray") if workers > 1 or ray_address else contextlib.nullcontext():
            executor = make_executor(scenario, device, workers, ray_address)
        try:
            print_header(console, make_plan(scenario), versions(), device, str(folder), executor.description, blocks)
            prepare_channels(scenario, console)
            with Store(folder, scenario_hash(scenario), scenario.seed, fresh) as store:
                return _Session(scenario, store, device, console, scenario_text, report).go(executor, blocks)
        finally:
            executor.close()


def _planned_blocks(scenario: Scenario, device: str) -> list[str]:
    """What is said beforehand of all that learns; what cannot be loaded or trained is found now.

    :raises LinksimError: a checkpoint or a training that does not fit.
    """
    if not any(block.learns for method in resolve(scenario).methods for block in method.blocks):
        return []  # without torch
    from linksim.training.preparation import check_parts, planned_parts  # start-up

    with named_blocks(scenario, "in training"), doing("checking what is trained"):
        check_parts(scenario, device)
        return planned_parts(scenario)


class _Session:
    """One run: the state between opening the folder and closing it."""

    def __init__(self, scenario: Scenario, store: Store, device: str, console: Console, text: str,
                 report: bool) -> None:
        self.scenario = scenario
        self.plan: Plan = make_plan(scenario)
        self.store = store
        self.console = console
        self.text = text
        self.report = report
        self.device = device
        self.earlier = store.earlier
        self.began = time.monotonic()
        self.axes = [axis.column for axis in self.plan.axes]
        self.totals = [RunningTotal() for _ in self.plan.channel_points]
        self.wanted = [0] * len(self.totals)
        self.counters: Counter[str] = Counter()
        self.notes: set[str] = set()
        self.gaps: list[str] = []
        self.trained: list[str] = []
        self.marked = False

    def go(self, executor: LocalExecutor | RayExecutor, told: list[str]) -> Results:
        """:param told: what the header says of each trained block."""
        from linksim.training.preparation import prepare_parts  # start-up

        with named_blocks(self.scenario, "in training"):
            self.trained = prepare_parts(self.scenario, self.device, self.console)
        for line in self.trained:
            if line not in told:
                say(self.console, line)
        try:
            with LiveProgress(self.console, self.plan) as progress:
                self._simulate(executor, progress)
        except KeyboardInterrupt:
            # where nothing has been written, what the folder held before is more than what was read of it
            kept = not self.marked and (self.earlier or self.store.replacing)
            raise Interrupted(Results(self.store.folder) if kept else self._finish("partial")) from None
        finally:
            executor.close()
        with doing("writing metrics, figures and report"):
            return self._finish("done")

    def _simulate(self, executor: Any, progress: LiveProgress) -> None:
        """Units in rounds, until the stopping rule is content with every channel point.

        The rule looks at whole rounds only, and not before ``min_drops``: the number of drops does not depend on
        who finishes first, and the first batch is as long as it can be, for many workers.
        """
        per_round = self.scenario.run.units_per_round
        finished = self.store.units()
        active = set(range(len(self.totals)))
        while active:
            first = max(self.wanted[c] for c in active)
            last = min(first + per_round, self.plan.max_units()) if first else self.plan.min_units()
            units = [(c, k) for k in range(first, last) for c in sorted(active)]
            for c in active:
                self.wanted[c] = last
            progress.expect(sum(self.wanted))
            missing = []
            for c, k in units:
                path = finished.get((self.plan.channel_points[c].label, k))
                if path is None:
                    missing.append((c, k))
                else:
                    self._take(c, k, self._read(path))
                    progress.resumed(1)
            for result in executor.run(missing):
                if not self.marked:
                    self.store.begin(self._manifest)
                    self.marked = True
                label = self.plan.channel_points[result.channel_point].label
                self.store.write_unit(label, result.chunk, result.table)
                self._take(result.channel_point, result.chunk, result.table)
                raise_missed()
                progress.unit_done(self.scenario.run.chunk_size)
                if len(self.totals[result.channel_point].chunks) % per_round == 0:
                    self._show(result.channel_point, progress)
                if self.scenario.run.quick and time.monotonic() - self.began > QUICK_SECONDS:
                    return  # nothing is lost: the same command goes on
            for c in sorted(active):
                if not any(point == c for point, _ in missing):
                    self._show(c, progress)
                if self._enough(c, self.wanted[c], self._watched(c)):
                    active.discard(c)

    def _read(self, path: Path) -> pa.Table:
        table, about = self.store.read_unit(path)
        if about.num_drops != self.scenario.run.chunk_size:
            raise StoreError(f"{path}: belongs to another run ({about.num_drops} drops, here "
                             f"{self.scenario.run.chunk_size}); delete it and run again")
        return table

    def _show(self, channel_point: int, progress: LiveProgress) -> None:
        drops = self._num_drops(channel_point)
        label = self._point_label(self.plan.channel_points[channel_point])
        progress.round_done(label, drops, self._watched(channel_point))

    def _take(self, channel_point: int, chunk: int, table: pa.Table) -> None:
        counted = table.filter(pc.field("drop") < self.plan.max_drops)
        self.totals[channel_point].add(chunk, summarize_unit(counted, self.axes))
        about = told(table)
        self.counters.update(about["counters"])
        self.notes.update(about["notes"])

    def _num_drops(self, channel_point: int) -> int:
        """Drops that count so far: those of the units taken, up to `Plan.max_drops`."""
        end = max(self.totals[channel_point].chunks, default=-1) + 1
        return min(end * self.scenario.run.chunk_size, self.plan.max_drops)

    def _watched(self, channel_point: int) -> dict[str, Interval]:
        """Widest interval of the watched metric for each method at a channel point; bounds are not watched."""
        sums = self.totals[channel_point].sums()
        methods = {method.name for method in self.scenario.methods}
        watched = metric(self.scenario.run.stopping.metric)
        widest: dict[str, Interval] = {}
        for key, row in () if sums is None else sums.iterrows():
            method = key[0] if isinstance(key, tuple) else key
            interval = interval_of(watched, row, self.scenario.run.confidence) if method in methods else None
            if interval and (method not in widest or interval.half_width > widest[method].half_width):
                widest[method] = interval
        return widest

    def _enough(self, channel_point: int, units: int, intervals: dict[str, Interval]) -> bool:
        stopping = self.scenario.run.stopping
        if units < self.plan.min_units():
            return False
        if not stopping.adaptive or units >= self.plan.max_units():
            return True
        if stopping.block_errors is not None:
            return self._fewest_block_errors(channel_point) >= stopping.block_errors
        return all(i.half_width <= stopping.half_width for i in intervals.values())

    def _fewest_block_errors(self, channel_point: int) -> float:
        """Fewest block errors of any method at any point of a channel point; bounds and the like are not watched."""
        if (sums := self.totals[channel_point].sums()) is None:
            return 0.0
        methods = [method.name for method in self.scenario.methods]
        watched = sums[sums.index.get_level_values("method").isin(methods)]
        return float(watched.loc[watched["n block_errors"] > 0, "block_errors"].min())

    def _point_label(self, point: ChannelPoint) -> str:
        values = self.plan.points[point.points[0][0]]
        named = [f"{axis.label} {format_value(values[axis.key])}" for axis in self.plan.axes if axis.stage == "channel"]
        return ", ".join(named) or "all points"

    def _finish(self, status: str) -> Results:
        sums = [found for one in self.totals if (found := one.sums()) is not None]
        units = self.store.units()
        files = [units[point.label, k] for point, one in zip(self.plan.channel_points, self.totals) for k in one.chunks]
        found = intervals(self.plan, sums, files)
        self.gaps = gaps(self.plan, sums, found)
        digest = self.store.write_text("metrics.csv", metrics_table(self.plan, found).to_csv(index=False))
        self.store.write_manifest({**self._manifest(status), "metrics_sha256": digest})
        if self.report and any(total.chunks for total in self.totals):
            from linksim.report.build import build_report  # start-up

            build_report([self.store.folder], say=partial(say, self.console))
        return Results(self.store.folder)

    def _manifest(self, status: str) -> dict[str, Any]:
        return {
            "scenario_name": self.scenario.name,
            "description": self.scenario.description,
            "status": status,
            "hash": scenario_hash(self.scenario),
            "command": visible(shlex.join([*_program(), *sys.argv[1:]])),
            "versions": versions(),
            "seed": self.scenario.seed,
            "chunk_size": self.scenario.run.chunk_size,
            "num_drops": {point.label: self._num_drops(c) for c, point in enumerate(self.plan.channel_points)},
            "device": self.device,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_time_s": round(self.earlier.get("wall_time_s", 0.0) + time.monotonic() - self.began, 3),
            "axes": [vars(axis) | {"values": list(axis.values)} for axis in self.plan.axes],
            "methods": self.plan.method_records(),
            "trained": self.trained,
            "metrics": self.plan.shown_metrics(),
            "plugged_metrics": plugged_facts(self.plan.shown_metrics()),
            "horizon_s": horizon_s(self.scenario.channel),
            "notes": [*self.plan.shortcuts(), *self._cut_short(), *sorted(self.notes), *self._resumed_elsewhere(),
                      *self.gaps,
                      *(f"{name}: {count}" for name, count in sorted(self.counters.items()))],
            "counters": dict(sorted(self.counters.items())),
            "conventions": CONVENTIONS,
            "scenario": self.scenario.model_dump(mode="json"),
            "scenario_text": self.text,
        }

    def _cut_short(self) -> list[str]:
        """A note where a quick look ended before all of its units were simulated."""
        done, wanted = sum(len(one.chunks) for one in self.totals), len(self.totals) * self.plan.max_units()
        if not self.scenario.run.quick or done == wanted:
            return []
        return [f"{done} of {wanted} work units were simulated within {QUICK_SECONDS:g} s; the same command goes on"]

    def _resumed_elsewhere(self) -> list[str]:
        """A note where earlier units of this folder may differ in their last digits."""
        here = {**versions(), "device": self.device}
        before = {**self.earlier.get("versions", {}), "device": self.earlier.get("device", self.device)}
        changed = [f"{name} {before[name]}" for name in before if before[name] != here.get(name)]
        notes = self.earlier.get("notes", [])
        kept = [note for note in ([notes] if isinstance(notes, str) else notes) if note.startswith(_RESUMED)]
        return [*kept, *([_RESUMED + ", ".join(changed)] if changed else [])]


def _program() -> list[str]:
    """What was called, without its folder: ``run_sim.py``, ``linksim``, ``python -m linksim``."""
    name = Path(sys.argv[0]).name
    return ["python", "-m", "linksim"] if name == "__main__.py" else [name]
