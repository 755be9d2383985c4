"""A synthetic run folder, as the engine writes it: invented curves of plausible shape."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

from linksim.report import style

SNR_AXIS = {"key": "link.snr_db", "column": "snr_db", "label": "SNR (dB)", "stage": "precoding"}
SPEED_AXIS = {
    "key": "channel.speed_kmh", "column": "speed_kmh", "label": "UE speed (km/h)", "stage": "channel",
}
METHODS = [
    ("perfect CSI", "reference"), ("hold", "method"), ("Wiener", "method"), ("AR(4)", "method"),
    ("Kalman", "method"), ("PAD", "method"), ("matrix pencil", "method"), ("ridge", "method"),
    ("GRU", "method"), ("Transformer", "method"), ("LLM4CP", "method"), ("CSI-ALM", "method"),
    ("genie LMMSE bound", "bound"), ("sum capacity", "bound"),
]
METRICS = ["nmse_db", "sgcs", "rate_bps_hz", "sum_rate_bps_hz"]
NUM_STEPS = 4


def synthetic_values(place: int, snr_db: float, speed_kmh: float) -> dict[str, float]:
    """Every metric of the method at that place; perfect CSI (0) has NMSE −∞, the capacity (13) only rates."""
    quality_db = 1.1 * ((place * 5) % 13)
    error_db = -math.inf if place == 0 else -24 + quality_db + 9 * math.log10(1 + speed_kmh / 10)
    error = 10 ** (error_db / 10)
    rate = math.log2(1 + 10 ** (snr_db / 10) / (1 + error * 10 ** (snr_db / 10)))
    if place == 13:
        return {"rate_bps_hz": rate + 0.8, "sum_rate_bps_hz": 2 * rate + 1.6}
    steps = {f"nmse_step_{step}_db": error_db + 1.5 * (step - 2) for step in range(1, NUM_STEPS + 1)}
    return {
        "nmse_db": error_db, "sgcs": 1 / (1 + error),
        "rate_bps_hz": rate, "sum_rate_bps_hz": 2 * rate, **steps,
    }


@pytest.fixture(autouse=True)
def quick_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two thirds of the time of a figure is the subsetting of TrueType fonts for its PDF."""
    monkeypatch.setitem(style.RC, "pdf.fonttype", 3)


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run folder below ``tmp_path`` and returns it; see `write`."""
    return lambda folder="run", **options: write(tmp_path / folder, **options)


@pytest.fixture
def methods() -> list[tuple[str, str]]:
    """Name and kind of every method of the synthetic run, in plot order."""
    return METHODS


def write(
    folder: Path, *, snr: tuple[float, ...] = (-10.0, 0.0, 10.0, 20.0, 30.0),
    speed: tuple[float, ...] = (3.0, 30.0, 60.0, 120.0), methods: list[tuple[str, str]] = METHODS,
    missing: Callable[[str, float, float], bool] = lambda method, snr_db, speed_kmh: False,
    num_drops: int = 40, **manifest: Any,
) -> Path:
    """A run of ``methods`` over ``snr`` x ``speed``; a single value makes no axis.

    :param missing: says which points (method, snr_db, speed_kmh) were not simulated.
    :param manifest: keys to replace in the manifest.
    """
    axes = [{**axis, "values": list(values)}
            for axis, values in ((SNR_AXIS, snr), (SPEED_AXIS, speed)) if len(values) > 1]
    columns = [axis["column"] for axis in axes]
    random = numpy.random.default_rng(7)
    rows, drops = [], []
    for (place, (name, _)), snr_db, speed_kmh in product(enumerate(methods), snr, speed):
        point = {"snr_db": snr_db, "speed_kmh": speed_kmh}
        point = {column: point[column] for column in columns}
        gone = missing(name, snr_db, speed_kmh)
        values = synthetic_values(place, snr_db, speed_kmh)
        for metric, value in values.items():
            half = 0.02 * abs(value) if metric.endswith("hz") else 0.3 if metric.endswith("db") else 0.004
            known = ["", "", "", 0] if gone else [value, value - half, value + half, num_drops]
            rows.append({"method": name, "metric": metric,
                         **dict(zip(("value", "ci_low", "ci_high", "num_drops"), known)), **point})
        if not gone:
            size = 2 * num_drops
            nmse = 10 ** (values.get("nmse_db", math.nan) / 10) * random.gamma(4, 0.25, size)
            drops.append(pandas.DataFrame({
                "drop": numpy.repeat(numpy.arange(num_drops), 2), "user": numpy.tile([0, 1], num_drops),
                "method": name, **point, "nmse": nmse.astype("float32"),
                "rate_bps_hz": (values["rate_bps_hz"] * random.gamma(9, 1 / 9, size)).astype("float32"),
            }))
    (folder / "drops").mkdir(parents=True)
    pandas.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    for number, part in enumerate((drops[::2], drops[1::2])):
        if part:
            pandas.concat(part).to_parquet(folder / "drops" / f"0123456789-{number:06d}.parquet")
    content = {
        "scenario_name": folder.name, "description": "UMa at 3.5 GHz; invented numbers.", "status": "done",
        "scenario": {"name": folder.name, "link": {"snr_db": snr[0]}, "channel": {"speed_kmh": speed[0]}},
        "scenario_text": f"name: {folder.name}  # <b>as written</b>\nsweep:\n  link.snr_db: {list(snr)}\n",
        "hash": "9f2c1a7e44b0", "versions": {"linksim": "0.1.0", "torch": "2.13.0"},
        "seed": 1, "chunk_size": 64,
        "device": "cpu", "wall_time_s": 754.2, "command": "python run_sim.py scenarios/a.yaml", "axes": axes,
        "methods": [{"name": name, "kind": kind, "summary": f"What {name} does."} for name, kind in methods],
        "metrics": METRICS, "notes": ["Pilots are sparser than the coherence bandwidth."],
        "conventions": {"snr": "Transmit power over noise power per subcarrier."},
        "horizon_s": [0.005 * step for step in range(1, NUM_STEPS + 1)], **manifest,
    }
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def write_categories(write_run: Callable[..., Path]) -> Callable[[], Path]:
    """Writes a run whose only axis has names: the speeds of a run, renamed."""
    names = {3.0: "tdd", 30.0: "fdd_gapped", 60.0: "fdd_adjacent"}
    axis = {**SPEED_AXIS, "key": "channel.duplex", "column": "duplex", "label": "duplex"}

    def rename(path: Path) -> None:
        is_csv = path.suffix == ".csv"
        frame = pandas.read_csv(path) if is_csv else pandas.read_parquet(path)
        frame = frame.rename(columns={"speed_kmh": "duplex"})
        frame["duplex"] = frame["duplex"].map(names)
        frame.to_csv(path, index=False) if is_csv else frame.to_parquet(path)

    def make() -> Path:
        folder = write_run(
            snr=(10.0,), speed=tuple(names), axes=[{**axis, "values": list(names.values())}],
            metrics=["nmse_db", "rate_bps_hz"], horizon_s=None,
        )
        for path in (folder / "metrics.csv", *(folder / "drops").glob("*.parquet")):
            rename(path)
        frame = pandas.read_csv(folder / "metrics.csv")
        frame[~frame["metric"].str.contains("step")].to_csv(folder / "metrics.csv", index=False)
        return folder

    return make
