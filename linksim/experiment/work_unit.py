"""One work unit: simulate a chunk and return its per-drop rows as an Arrow table. Runs in any process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from linksim.core.errors import LinksimError, NumericalError
from linksim.experiment.failure import named_blocks
from linksim.experiment.plan import Plan, make_plan, unit_seed
from linksim.scenario.plugins import load_plugins
from linksim.scenario.schema import Scenario, axis_column


@dataclass(frozen=True)
class UnitResult:
    """What a unit brings home. ``table`` carries counters and notes in its schema's metadata."""

    channel_point: int
    chunk: int
    table: pa.Table


class UnitRunner:
    """Simulates units of one scenario; one per process, so that plans and trained blocks are made once.

    :raises LinksimError: a plugin or a checkpoint is missing here.
    """

    def __init__(self, scenario: Scenario, device: str) -> None:
        import torch  # start-up

        from linksim.training.preparation import Built  # start-up

        torch.set_num_threads(scenario.run.threads_per_worker)
        load_plugins(scenario.plugins)
        self.plan: Plan = make_plan(scenario)
        self.device = device
        with named_blocks(scenario, "loading its checkpoint"):
            self.built = Built.load(scenario, device)

    def run(self, channel_point: int, chunk: int) -> UnitResult:
        """Simulate chunk number ``chunk`` of a channel point.

        :raises LinksimError: unusable CSI where the scenario asks to stop; a GPU's memory is too small; a measure that
            is infinite.
        :raises Exception: whatever a block raises, with a note about the block and its line.
        """
        import torch  # start-up

        from linksim.link.chain import simulate_chunk  # start-up

        point = self.plan.channel_points[channel_point]
        seed = unit_seed(self.plan.scenario, point, chunk)
        with named_blocks(self.plan.scenario, f"channel point {channel_point}, chunk {chunk}"):
            try:
                result = simulate_chunk(list(point.points), seed, self.device, self.built, chunk)
            except torch.OutOfMemoryError:
                size = self.plan.scenario.run.chunk_size
                fix = f"try run.chunk_size={size // 2}" if size > 1 else "use a larger GPU or run.device=cpu"
                raise LinksimError(f"{size} drops at once do not fit the memory of {self.device}: {fix}") from None
        chunk_size = self.plan.scenario.run.chunk_size
        first_drop = chunk * chunk_size
        users = point.points[0][1].channel.num_users
        drop, user = (grid.ravel() for grid in np.mgrid[first_drop:first_drop + chunk_size, 0:users])
        names = sorted({measure for _, _, measures in result.rows for measure in measures})
        columns: dict[str, list[Any]] = {name: [] for name in ("drop", "user", "point")}
        measured: dict[str, list[pa.Array]] = {name: [] for name in names}
        methods: list[int] = []
        for index, method, measures in result.rows:
            columns["drop"].append(drop)
            columns["user"].append(user)
            columns["point"].append(np.full(drop.shape, index))
            methods += [self.plan.method_names.index(method)] * len(drop)
            for name in names:
                value = measures.get(name)
                # null is a measure that the method does not have, NaN one without a value in this drop
                measured[name].append(pa.nulls(len(drop), pa.float32()) if value is None else pa.array(
                    _finite(value.detach().cpu().float().numpy().ravel(), name, method, drop)))
        return UnitResult(channel_point, chunk, self._table(columns, methods, measured, result.counters, result.notes))

    def _table(self, columns: dict[str, list[Any]], methods: list[int], measured: dict[str, list[pa.Array]],
               counters: dict[str, int], notes: set[str]) -> pa.Table:
        joined = {name: np.concatenate(parts) for name, parts in columns.items()}
        index = joined.pop("point")
        data: dict[str, Any] = {
            "drop": pa.array(joined.pop("drop"), pa.int32()),
            "user": pa.array(joined.pop("user"), pa.int16()),
            "method": pa.DictionaryArray.from_arrays(pa.array(methods, pa.int16()), self.plan.method_names),
        }
        for key in self.plan.scenario.sweep:
            values = [self.plan.points[i][key] for i in index]
            kind = pa.string() if isinstance(values[0], str) else pa.float64()
            data[axis_column(key)] = pa.array(values, kind)
        data |= {name: pa.concat_arrays(parts) for name, parts in measured.items()}
        about = {"counters": dict(counters), "notes": sorted(notes)}
        return pa.table(data).replace_schema_metadata({"linksim": json.dumps(about)})


def _finite(values: np.ndarray, measure: str, method: str, drops: np.ndarray) -> np.ndarray:
    """The values of a measure; NaN where a drop has none.

    :raises NumericalError: one is infinite; names measure, method and drop.
    """
    if len(infinite := np.flatnonzero(np.isinf(values))):
        raise NumericalError(f"method {method!r}: {measure} of drop {drops[infinite[0]]} is infinite: powers are "
                             "beyond what single precision holds; check SNR, gains and normalization")
    return values
