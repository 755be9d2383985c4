"""Run a scenario: plan, resume, simulate in rounds until the intervals are narrow enough, report."""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from rich.console import Console

from linksim import __version__
from linksim.errors import ScenarioError
from linksim.experiment.execute import make_executor
from linksim.experiment.plan import ChannelPoint, Plan, format_value, make_plan
from linksim.experiment.progress import CONVENTIONS, LiveProgress, print_header
from linksim.experiment.results import Results
from linksim.experiment.statistics import Interval, interval_of, percentiles, summarize_unit, total
from linksim.experiment.store import Store
from linksim.metrics.catalogue import metric
from linksim.scenario.load import load_scenario, scenario_hash
from linksim.scenario.schema import Scenario


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
    """
    if not isinstance(scenario, Scenario):
        scenario_text = scenario_text or Path(scenario).read_text(encoding="utf-8")
        scenario = load_scenario(scenario)
    console = console or Console(quiet=True)
    folder = Path(output) if output is not None else Path("results") / scenario.name
    with Store(folder, scenario_hash(scenario), fresh) as store:
        return _Session(scenario, store, console, scenario_text, report).go(workers, ray_address)


class _Session:
    """One run: the state between opening the folder and closing it."""

    def __init__(self, scenario: Scenario, store: Store, console: Console, text: str, report: bool) -> None:
        self.scenario = scenario
        self.plan: Plan = make_plan(scenario)
        self.store = store
        self.console = console
        self.text = text
        self.report = report
        self.device = resolve_device(scenario.run.device)
        earlier = store.read_manifest() or {}
        self.earlier_s = float(earlier.get("wall_time_s", 0.0))
        self.began = time.monotonic()
        self.axes = [axis.column for axis in self.plan.axes]
        self.summaries: dict[int, dict[int, pd.DataFrame]] = {i: {} for i in range(len(self.plan.channel_points))}
        self.counters: dict[tuple[int, int], dict[str, Any]] = {}
        self.wanted = dict.fromkeys(self.summaries, 0)

    def go(self, workers: int, ray_address: str | None) -> Results:
        from linksim.training.checkpoint import prepare

        blocks = prepare(self.scenario, self.device, self.console)
        executor = make_executor(self.scenario, self.device, workers, ray_address)
        print_header(self.console, self.plan, versions(), self.device, str(self.store.folder),
                     executor.description, blocks)
        self._write_manifest("partial")
        try:
            with LiveProgress(self.console, self.scenario.run.stopping.metric) as progress:
                self._simulate(executor, progress)
        except KeyboardInterrupt:
            raise Interrupted(self._finish("partial")) from None
        finally:
            executor.close()
        return self._finish("done")

    def _simulate(self, executor: Any, progress: LiveProgress) -> None:
        per_round = self.scenario.run.units_per_round
        finished = self.store.units()
        active = set(self.summaries)
        round_number = 0
        while active:
            round_number += 1
            units = [(c, k) for c in sorted(active)
                     for k in range((round_number - 1) * per_round, round_number * per_round)]
            for c in active:
                self.wanted[c] = round_number * per_round
            target = max(self.plan.min_units(), round_number * per_round)
            progress.expect(sum(target if c in active else wanted for c, wanted in self.wanted.items()))
            missing = []
            for c, k in units:
                path = finished.get((self.plan.channel_points[c].label, k))
                if path is None:
                    missing.append((c, k))
                else:
                    self._take(c, k, self.store.read_unit(path))
                    progress.resumed(1)
            for result in executor.run(missing):
                label = self.plan.channel_points[result.channel_point].label
                self.store.write_unit(label, result.chunk, result.table)
                self._take(result.channel_point, result.chunk, result.table)
                progress.unit_done(self.scenario.run.chunk_size)
            for c in sorted(active):
                intervals = self._watched(c)
                drops = self.wanted[c] * self.scenario.run.chunk_size
                progress.round_done(self._point_label(self.plan.channel_points[c]), drops, intervals)
                if self._enough(self.wanted[c], intervals):
                    active.discard(c)

    def _take(self, channel_point: int, chunk: int, table: pa.Table) -> None:
        self.summaries[channel_point][chunk] = summarize_unit(table, self.axes)
        self.counters[channel_point, chunk] = json.loads((table.schema.metadata or {}).get(b"linksim", b"{}"))

    def _sums(self, channel_point: int) -> pd.DataFrame | None:
        """Sums over the units that the stopping rule asked for, in their own order."""
        chunks = [k for k in sorted(self.summaries[channel_point]) if k < self.wanted[channel_point]]
        return total([self.summaries[channel_point][k] for k in chunks]) if chunks else None

    def _watched(self, channel_point: int) -> dict[str, Interval]:
        """Widest interval of the watched metric for each method at a channel point; bounds are not watched."""
        sums = self._sums(channel_point)
        methods = {method.name for method in self.scenario.methods}
        watched = metric(self.scenario.run.stopping.metric)
        widest: dict[str, Interval] = {}
        for key, row in sums.iterrows():
            method = key[0] if isinstance(key, tuple) else key
            interval = interval_of(watched, row, self.scenario.run.confidence) if method in methods else None
            if interval and (method not in widest or interval.half_width > widest[method].half_width):
                widest[method] = interval
        return widest

    def _enough(self, units: int, intervals: dict[str, Interval]) -> bool:
        stopping = self.scenario.run.stopping
        if units < self.plan.min_units():
            return False
        if not stopping.adaptive or units >= self.plan.max_units():
            return True
        return all(i.half_width <= stopping.half_width for i in intervals.values())

    def _point_label(self, point: ChannelPoint) -> str:
        values = self.plan.points[point.points[0][0]]
        named = [f"{axis.label} {format_value(values[axis.key])}" for axis in self.plan.axes if axis.stage == "channel"]
        return ", ".join(named) or "all points"

    def _finish(self, status: str) -> Results:
        self.store.write_text("metrics.csv", self._metrics().to_csv(index=False))
        self._write_manifest(status)
        if self.report and any(self.summaries.values()):
            from linksim.report.build import build_report

            build_report([self.store.folder])
        return Results(self.store.folder)

    def _metrics(self) -> pd.DataFrame:
        confidence = self.scenario.run.confidence
        rows = []
        percentile_names = [n for n in self.plan.shown_metrics() if metric(n).reduction == "percentile"]
        found = self._percentiles(percentile_names, confidence)
        counts: dict[tuple[Any, ...], int] = {}
        for c in range(len(self.plan.channel_points)):
            sums = self._sums(c)
            if sums is None:
                continue
            for key, row in sums.iterrows():
                key = key if isinstance(key, tuple) else (key,)
                counts[key] = int(row["count"])
                for name in self.plan.shown_metrics():
                    if name not in percentile_names:
                        interval = interval_of(metric(name), row, confidence)
                        if interval:
                            rows.append((key, name, interval))
        rows += [(key, name, interval) for name, by_key in found.items() for key, interval in by_key.items()]
        order = {name: i for i, name in enumerate(self.plan.method_names)}
        metric_order = {name: i for i, name in enumerate(self.plan.shown_metrics())}
        rows.sort(key=lambda row: (metric_order[row[1]], order[row[0][0]], row[0][1:]))
        records = [
            {"method": key[0], "metric": name, "value": i.value, "ci_low": i.low, "ci_high": i.high,
             "num_drops": counts.get(key, 0), **dict(zip(self.axes, key[1:]))}
            for key, name, i in rows
        ]
        columns = ["method", "metric", "value", "ci_low", "ci_high", "num_drops", *self.axes]
        return pd.DataFrame(records, columns=columns)

    def _percentiles(self, names: list[str], confidence: float) -> dict[str, dict[tuple[Any, ...], Interval]]:
        if not names:
            return {}
        finished = self.store.units()
        files = [finished[point.label, k] for c, point in enumerate(self.plan.channel_points)
                 for k in sorted(self.summaries[c]) if k < self.wanted[c]]
        return {name: percentiles(metric(name), files, self.axes, confidence) for name in names} if files else {}

    def _write_manifest(self, status: str) -> None:
        counters: dict[str, int] = {}
        notes: set[str] = set()
        for (c, k), about in self.counters.items():
            if k < self.wanted[c]:
                notes |= set(about.get("notes", []))
                for name, count in about.get("counters", {}).items():
                    counters[name] = counters.get(name, 0) + count
        period_s = self.scenario.channel.csi_period_ms * 1e-3
        manifest = {
            "scenario_name": self.scenario.name,
            "description": self.scenario.description,
            "status": status,
            "hash": scenario_hash(self.scenario),
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "versions": versions(),
            "seed": self.scenario.seed,
            "chunk_size": self.scenario.run.chunk_size,
            "device": self.device,
            "wall_time_s": round(self.earlier_s + time.monotonic() - self.began, 3),
            "axes": [vars(axis) | {"values": list(axis.values)} for axis in self.plan.axes],
            "methods": self.plan.method_records(),
            "metrics": self.plan.shown_metrics(),
            "horizon_s": [period_s * (step + 1) for step in range(self.scenario.channel.num_future)],
            "notes": [*sorted(notes), *(f"{name}: {count}" for name, count in sorted(counters.items()))],
            "counters": counters,
            "conventions": CONVENTIONS,
            "scenario": self.scenario.model_dump(mode="json"),
            "scenario_text": self.text,
        }
        self.store.write_text("manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def versions() -> dict[str, str]:
    """Versions that a number may depend on."""
    names = {"torch": "torch", "sionna": "sionna-no-rt"}
    found = {"linksim": __version__}
    for label, distribution in names.items():
        for candidate in (distribution, label):
            try:
                found[label] = metadata.version(candidate)
                break
            except metadata.PackageNotFoundError:
                continue
    return {**found, "TR 38.901": "19.2", "python": platform.python_version()}


def resolve_device(asked: str) -> str:
    """The torch device that ``run.device`` names.

    :raises ScenarioError: a GPU asked for where there is none.
    """
    import torch

    if asked == "auto":
        return "cuda:0" if torch.cuda.is_available() else "cpu"
    if asked.startswith("cuda") and not torch.cuda.is_available():
        raise ScenarioError(f"run.device: {asked} asked for, but torch sees no GPU; use cpu or auto")
    return "cuda:0" if asked == "cuda" else asked


