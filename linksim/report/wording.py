"""How metrics, values and sweep points are put into words."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from linksim.metrics.catalogue import Metric, metric
from linksim.report.load import Axis

MISSING = "–"


def describe(name: str) -> Metric:
    """The catalogue's entry, or a bare one for a metric of a plug-in or of a newer version."""
    try:
        return metric(name)
    except KeyError:
        unit = "dB" if name.endswith("_db") else "bit/s/Hz" if name.endswith("_bps_hz") else ""
        label = name.removesuffix("_bps_hz").removesuffix("_db").replace("_", " ")
        definition = "no definition in this version's catalogue"
        return Metric(name, label, unit, definition, name, "mean", higher_is_better=True, needs_link=True)


def capitalised(text: str) -> str:
    """First letter upper, the rest as it is (``SNR`` stays, and so does ``mAP``)."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def with_unit(label: str, unit: str) -> str:
    """``NMSE (dB)``; a label that ends in brackets already gets ``in dB``, not a second pair."""
    label = capitalised(label)
    if not unit:
        return label
    return f"{label} in {unit}" if label.endswith(")") else f"{label} ({unit})"


def axis_name(axis: Axis) -> str:
    """The label without its unit: ``SNR (dB)`` is ``SNR``."""
    return _split(axis.label)[0]


def point_text(axes: Iterable[Axis], point: Mapping[str, float | str]) -> str:
    """A sweep point in words, e.g. ``SNR = 10 dB, speed = 30 km/h``; empty for no axis."""
    parts = []
    for axis in axes:
        if axis.column in point:
            name, unit = _split(axis.label)
            parts.append(f"{name} = {parameter_text(point[axis.column])} {unit}".rstrip())
    return ", ".join(parts)


def parameter_text(value: float | str) -> str:
    """A parameter's value without needless zeros: ``10``, ``0.25``, ``−5``, ``3.5e+09``; a name as it is."""
    if isinstance(value, str):
        return value
    return f"{value:.6g}".replace("-", "−", 1) if value < 0 else f"{value:.6g}"


def value_text(value: float, low: float, high: float, metric_name: str) -> str:
    """``value ± half the interval``, with the decimals the unit deserves; ``–`` for a missing value."""
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    decimals = _decimals(metric_name)
    text = f"{value:.{decimals}f}".replace("-", "−")
    half = (high - low) / 2
    return f"{text} ± {half:.{decimals}f}" if math.isfinite(half) else text


def duration_text(seconds: float) -> str:
    """``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def file_stem(text: str) -> str:
    """A file name of letters, digits, ``_``, ``-`` and ``.`` only: a metric's name comes from a file."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "figure"


def _split(label: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.*?)\s*\(([^()]*)\)", label)
    return (found[1], found[2]) if found else (label, "")


def _decimals(metric_name: str) -> int:
    unit = describe(metric_name).unit
    return 2 if unit == "dB" else 3 if unit else 4
