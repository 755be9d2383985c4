"""From a scenario to work units: sweep points grouped by channel, seeds that depend on nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace

from linksim.channel.source import source_of
from linksim.core.seeding import stream_seed
from linksim.scenario.identity import NOT_DRAWN, channel_fields
from linksim.scenario.points import axis_stage, axis_values, resolved_at, simulated_points
from linksim.scenario.resolved import Block, ResolvedMethod, ResolvedScenario, resolve
from linksim.scenario.schema import Scenario, axis_column

_UNITS = {"db": "dB", "kmh": "km/h", "ms": "ms", "mhz": "MHz", "ghz": "GHz", "khz": "kHz", "ns": "ns",
          "hz": "Hz", "deg": "degrees", "m": "m"}
_WORDS = {"snr": "SNR", "csi": "CSI", "bs": "BS", "ue": "UE"}


_KNOWS_CHANNEL = "The transmitter knows the true channel at the future time"

_USES_LIMIT = "The transmitter uses the genie's estimate: a reference, not a bound on rate or similarity"


@dataclass(frozen=True)
class Axis:
    """A sweep axis: dotted key, result column, label with unit, values, first stage it invalidates."""

    key: str
    column: str
    label: str
    values: tuple[float | str, ...]
    stage: str


@dataclass(frozen=True)
class ChannelPoint:
    """Sweep points that share every drop.

    :param identity: canonical JSON of what decides the drops; names the random stream and the files.
    :param points: index into the plan's points, and resolved scenario, of each.
    """

    identity: str
    points: tuple[tuple[int, ResolvedScenario], ...]

    @property
    def label(self) -> str:
        return f"{stream_seed(0, self.identity):016x}"[:10]


@dataclass(frozen=True)
class Plan:
    """All that a run will compute.

    :param methods: those that are simulated, bounds not among them.
    :param stored_units: whole chunks that channel files hold for every channel point; None where drops are drawn.
    """

    scenario: Scenario
    methods: tuple[ResolvedMethod, ...]
    bounds: tuple[Block, ...]
    axes: tuple[Axis, ...]
    points: tuple[dict[str, float | str], ...]
    channel_points: tuple[ChannelPoint, ...]
    stored_units: int | None = None

    @property
    def method_names(self) -> list[str]:
        """Methods, then bounds, in plotting order."""
        names = [method.name for method in self.methods if not method.only_teaches]
        return [*names, *self._limits("link"), *self._limits("title")]

    def _limits(self, fact: str) -> dict[str, Block]:
        """Bounds by their curves' names, or by those of links with their estimates."""
        return {bound.spec.facts[fact]: bound for bound in self.bounds if fact in bound.spec.facts}

    def method_records(self) -> list[dict[str, str]]:
        """What the manifest says of each curve."""
        kinds = {**{method.name: "reference" for method in self.methods if _is_reference(method)},
                 **dict.fromkeys(self._limits("link"), "reference"), **dict.fromkeys(self._limits("title"), "bound")}
        return [{"name": name, "kind": kinds.get(name, "method"), "summary": self._summary(name)}
                for name in self.method_names]

    def _summary(self, name: str) -> str:
        if name in (limits := self._limits("title")):
            return _summary_of(limits[name])
        if name in self._limits("link"):
            return _USES_LIMIT
        method = next(method for method in self.methods if method.name == name)
        if method.universal is not None:
            return _summary_of(method.universal)
        sender = f"Captions sent by {method.semantic.name}; " if method.semantic is not None else ""
        if method.predictor is None:
            return sender + _KNOWS_CHANNEL
        reports = "" if method.feedback is None else f"CSI reported by {method.feedback.title()}; "
        return sender + reports + _summary_of(method.predictor)

    def shortcuts(self) -> list[str]:
        """What was made short, for all who see the results."""
        run, notes = self.scenario.run, []
        if run.quick:
            notes.append(f"a quick look: {self.max_drops} drops at the ends and the middle of every axis; run without "
                         "--quick for results")
        if run.left_out:
            notes.append(f"left out, not being trained here: {', '.join(run.left_out)}")
        return notes

    def shown_metrics(self) -> list[str]:
        """Reported metrics, with the NMSE of each predicted step where NMSE is reported."""
        shown = list(self.scenario.metrics)
        if "nmse_db" in shown and self.scenario.channel.num_future > 1:
            shown += [f"nmse_step_{step + 1}_db" for step in range(self.scenario.channel.num_future)]
        return list(dict.fromkeys(shown))

    @property
    def max_drops(self) -> int:
        """Drops per channel point that count at the most.

        Units are simulated whole, since a drop's values do not depend on how many are wanted; of the last one, what is
        beyond is left out of all results, and is there for a run that wants more.
        """
        run = self.scenario.run
        wanted = run.stopping.max_drops if run.stopping.adaptive else run.stopping.min_drops
        return wanted if self.stored_units is None else min(wanted, self.stored_units * run.chunk_size)

    def max_units(self) -> int:
        """Work units per channel point at the most."""
        return -(-self.max_drops // self.scenario.run.chunk_size)

    def min_units(self) -> int:
        """Work units before the first look at the stopping rule."""
        run = self.scenario.run
        return min(-(-run.stopping.min_drops // run.chunk_size), self.max_units())


def make_plan(scenario: Scenario) -> Plan:
    """Resolve every sweep point and group the points by the drops they share."""
    points = simulated_points(scenario)
    axes = tuple(
        Axis(key, axis_column(key), axis_label(key), tuple(axis_values(scenario, key)), axis_stage(key))
        for key in scenario.sweep
    )
    groups: dict[str, list[tuple[int, ResolvedScenario]]] = {}
    for index, point in enumerate(points):
        resolved = resolved_at(scenario, point)
        resolved = replace(resolved, methods=resolved.simulated)
        groups.setdefault(channel_identity(resolved), []).append((index, resolved))
    whole = resolve(scenario)
    return Plan(scenario, whole.simulated, whole.bounds, axes, tuple(points),
                tuple(ChannelPoint(identity, tuple(group)) for identity, group in groups.items()),
                _stored_units([group[0][1] for group in groups.values()]))


def _summary_of(block: Block) -> str:
    """What its docstring says of it, and the options that the file gives."""
    chosen = ", ".join(f"{key} {value}" for key, value in block.given.items())
    return block.spec.summary.rstrip(".") + (f" ({chosen})" if chosen else "")


def _is_reference(method: ResolvedMethod) -> bool:
    """Whether a method is a link like others, that is told the channel and nothing more."""
    return method.knows_channel and method.semantic is None


def channel_identity(scenario: ResolvedScenario) -> str:
    """What decides the drops: the channel's fields that differ from the defaults, and the chunk size.

    Two scenarios with the same channel and seed see the same drops, whatever their names and methods. Channel files
    and scenes count by their digests, not by where they lie.
    """
    return _identity(scenario, ())


def unit_seed(scenario: Scenario, point: ChannelPoint, chunk: int) -> int:
    """Seed of a work unit, from (seed, channel point, chunk index) alone.

    Channel files do not enter it: on drops that were stored from a scenario, noise is the one of that scenario.
    """
    resolved = point.points[0][1]
    identity = _identity(resolved, NOT_DRAWN) if source_of(resolved.channel).is_stored else point.identity
    return stream_seed(scenario.seed, "test", identity, chunk)


def _identity(scenario: ResolvedScenario, left_out: Iterable[str]) -> str:
    channel = channel_fields(scenario.channel, left_out)
    return json.dumps({"channel": channel, "chunk_size": scenario.run.chunk_size}, sort_keys=True)


def _stored_units(scenarios: list[ResolvedScenario]) -> int | None:
    held = [source_of(scenario.channel).num_drops(scenario.channel) for scenario in scenarios]
    known = [drops for drops in held if drops is not None]
    return min(known) // scenarios[0].run.chunk_size if len(known) == len(held) else None


def format_value(value: float | str) -> str:
    """An axis value for people."""
    return value.replace("_", " ") if isinstance(value, str) else f"{value:g}"


def axis_label(key: str) -> str:
    """A label for an axis: ``link.snr_db`` becomes ``link SNR (dB)``."""
    if key.endswith("training.fraction"):
        return "share of training drops"
    words = axis_column(key).split("_")
    unit = _UNITS.get(words[-1]) if len(words) > 1 else None
    text = " ".join(_WORDS.get(word, word) for word in (words[:-1] if unit else words))
    if key == "link.snr_db":
        text = "link SNR"
    return f"{text} ({unit})" if unit else text
