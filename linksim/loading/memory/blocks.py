"""Memory of blocks while they work on a unit, by kind and name; what is not here takes a few copies of its input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from linksim.loading.memory.networks import network_needs
from linksim.loading.memory.sizes import COMPLEX, DOUBLE, Need, Sizes, placed
from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario

Options = dict[str, Any]

_USERS_AT_ONCE, _WAVES_AT_ONCE, _ENTRIES_AT_ONCE = 8, 2**19, 2**24
"""What a sparse Bayesian predictor takes at once."""


def block_needs(scenario: ResolvedScenario, size: Sizes) -> Iterator[Need]:
    """What the methods' blocks take, each while it works."""
    for index, method in enumerate(scenario.methods):
        if (block := method.predictor) is not None:
            name, options = block.name, block.options
            own = _ESTIMATES[name](options, scenario, size) if name in _ESTIMATES else 0.0
            copies = (6 * size.past + 4 * size.ahead) * COMPLEX
            # a fit takes all drops, and plane waves take a few users at once already
            splits = name != "ridge" and "frequency_rank" not in options
            yield placed(Need(copies + own, name, size.largest_of(block.spec, options), splits),
                         f"methods.{index}.predictor")
            if reaches_band(name, options, scenario, method):
                yield Need((6 * size.links * size.tones**2 + 8 * size.tones**3 + 16 * size.tones**2) * DOUBLE
                           + 3 * size.past * COMPLEX, f"{name}: another band by its delays", "channel.num_subcarriers")
        if (codec := method.feedback) is not None:
            yield placed(Need(6 * size.past * COMPLEX + _codec(codec.name, codec.options, size), codec.name,
                              size.largest_of(codec.spec, codec.options)), f"methods.{index}.feedback")
    yield from network_needs(scenario, size)


def _over_time(options: Options, scenario: ResolvedScenario, size: Sizes) -> float:
    return 12 * size.links * size.history**2 * DOUBLE


def _per_order(options: Options, scenario: ResolvedScenario, size: Sizes) -> float:
    return float(size.bins * (3 * (options["order"] + 1)**2 + 6 * options["order"]) * COMPLEX)


def _prony(options: Options, scenario: ResolvedScenario, size: Sizes) -> float:
    return float(size.bins * (3 * (options["order"] + 1)**2 + 2 * size.history) * DOUBLE)


def _vector_kalman(options: Options, scenario: ResolvedScenario, size: Sizes) -> float:
    return float(10 * size.links * (options["order"] * size.bs)**2 + (3 + options["order"]) * size.past) * DOUBLE


def _matrix_pencil(options: Options, scenario: ResolvedScenario, size: Sizes) -> float:
    window = options["pencil_fraction"] * size.history + 1
    return float(size.bins * (2 * window**2 + 2 * size.history) * DOUBLE)


def wave_sizes(options: Options, scenario: ResolvedScenario, size: Sizes) -> tuple[int, float, float, float, float]:
    """Sizes of a sparse Bayesian predictor: beams, times and tones that are taken together, Doppler shifts, delays."""
    channel = scenario.channel
    doppler_hz = channel.speed_kmh / 3.6 * channel.carrier_frequency_ghz * 1e9 / 3e8
    cycles = 2 * doppler_hz * channel.csi_period_ms * 1e-3 * size.history
    window = cycles * (size.history + size.future) / size.history
    dopplers = max(options["num_dopplers"], min(math.pi * window, 2 * math.pi * (size.history + size.future)))
    return (channel.bs_array.rows * channel.bs_array.columns, min(size.history, cycles + 8),
            min(size.tones, options["frequency_rank"]), dopplers, min(options["num_delays"], 8 * size.tones))


def _plane_waves(options: Options, scenario: ResolvedScenario, size: Sizes) -> float:
    beams, times, tones, dopplers, delays = wave_sizes(options, scenario, size)
    waves = beams * delays * dopplers
    users, snapshots = max(min(_USERS_AT_ONCE, size.links, _WAVES_AT_ONCE // waves), 1), size.ue * size.bs / beams
    between = 2 * options["num_steps"] * (30 + 3 * options["hidden_size"]) if "num_steps" in options else 0
    matrices = max(min(users * beams * (times * tones)**2, _ENTRIES_AT_ONCE), (times * tones)**2)
    heard = scenario.acquisition
    precise = 2 if heard.type == "perfect" or heard.csi_snr_db >= 40 else 1  # double where there is next to no noise
    return (precise * 4 * matrices + users * waves * (4 + precise * 2 * snapshots + between)) * COMPLEX \
        + users * 12 * size.tones**2 * DOUBLE


def _ridge(options: Options, scenario: ResolvedScenario, size: Sizes) -> float:
    if options["domain"] == "antenna":
        inputs, outputs, classes, terms = size.history * size.tones, size.future * size.tones, 1, 1
    else:
        terms, classes = options["speed_order"] + 1, options["num_snr_classes"]
        inputs, outputs = size.history * terms, size.future
    return classes * inputs * (5 * inputs + 5 * outputs) * DOUBLE + terms * 4 * size.past * COMPLEX


_ESTIMATES: dict[str, Callable[[Options, ResolvedScenario, Sizes], float]] = {
    "wiener": _over_time, "vector_prony": _over_time, "ar": _per_order, "kalman": _per_order, "pad": _prony,
    "vector_kalman": _vector_kalman, "matrix_pencil": _matrix_pencil, "sparse_bayesian": _plane_waves,
    "unfolded_sparse_bayesian": _plane_waves, "csi_alm_ad": _plane_waves, "csi_alm_ad_light": _plane_waves,
    "ridge": _ridge,
}


def reaches_band(name: str, options: Options, scenario: ResolvedScenario, method: ResolvedMethod) -> bool:
    """Whether a predictor extrapolates the delay profile into another band."""
    if scenario.channel.duplex == "tdd" or method.feedback is not None:
        return False
    return options.get("band") == "sparse" or (name == "ridge" and options["domain"] == "angle_delay")


def _codec(name: str, options: Options, size: Sizes) -> float:
    if "delay_oversampling" in options:
        delays, beams = options["delay_oversampling"] * size.tones, options["beam_oversampling"]**2 * size.bs
        return float(8 * size.ue * delays * beams * DOUBLE)
    if name in ("klt", "context"):
        kept = options["num_table_drops"] * size.users * size.ue * size.bs * size.tones * COMPLEX * 4
        return float(kept + 6 * (size.bs**2 + size.tones**2) * DOUBLE)
    return 0.0
