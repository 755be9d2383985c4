"""How long a work unit takes, before anything is allocated: multiplications counted, without torch.

An estimate is right within a factor of about three: it tells seconds from hours, and what takes them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from linksim.core.errors import ScenarioError
from linksim.core.heartbeat import rounded
from linksim.loading.memory.blocks import reaches_band, wave_sizes
from linksim.loading.memory.networks import angle_delay_network, network_of
from linksim.loading.memory.sizes import NO_SIZES, Sizes
from linksim.loading.memory.work_unit import RAYS
from linksim.scenario.resolved import Block, ResolvedMethod, ResolvedScenario

LONGEST_S = 86_400.0
"""Longest duration of a unit: it is what a kill loses."""

_PRODUCT_S, _NETWORK_S, _NETWORK_BF16_S, _PASS_S = 3e-10, 3e-11, 1.5e-11, 4e-9
"""Seconds of one core: a complex product in a matrix product, a real one in a network, an entry gone through."""

_PASSES = {"draw": 12, "acquire": 6, "predict": 20}
"""Passes over every entry, about."""

_RESOURCE_S = 1e-5
"""Seconds of precoding and SINR on a resource, whatever its size."""

_DECODER_PASSES = 400
"""Passes over a code's bits, in an iteration of its decoder."""

_BITS_OF_WAVE, _WAVE_STEPS = 8, 400
"""Bits of a wave off the grid, and steps when one is added: the gains of all are solved for together each time."""

_BAND_STEPS = 400
"""Products of matrices over tones with which another band is reached."""

_CAPACITY_RESOURCES, _CAPACITY_STEPS = 8, 40


@dataclass(frozen=True)
class Work:
    """What something takes of one core, in seconds, and the field that is to be smaller."""

    seconds: float
    what: str
    field: str


def unit_seconds(points: Iterable[ResolvedScenario]) -> tuple[float, Work]:
    """Seconds that a work unit takes on this machine, and what takes most of them.

    :param points: the sweep points that share the unit's drops. What they share counts once.
    """
    shared: dict[str, Work] = {}
    own: list[Work] = []
    for scenario in points:
        size = Sizes.of(scenario)
        for key, work in _once(scenario, size):
            shared.setdefault(f"{key} {scenario.acquisition!r} {scenario.feedback!r}", work)
        own += _each(scenario, size)
    works = [*shared.values(), *own]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return sum(work.seconds for work in works) / min(cores, 8), max(works, key=lambda work: work.seconds)


def check_duration(scenario: ResolvedScenario) -> None:
    """Whether a sweep point of a work unit ends within a day.

    :raises ScenarioError: it does not; names the field to shrink, what takes most and the time.
    """
    seconds, most = unit_seconds([scenario])
    if seconds > LONGEST_S:
        raise ScenarioError(f"{most.field}: a work unit would take about {rounded(seconds)} here, most of it for "
                            f"{most.what}, and a day is the most: use less")


def _once(scenario: ResolvedScenario, size: Sizes) -> Iterator[tuple[Any, Work]]:
    """What sweep points share that differ in the link alone, with what tells it apart."""
    entries = size.past + size.ahead
    yield "draw", Work(size.links * RAYS * (size.ue * size.bs + size.tones + size.history + size.future) * _PASS_S
                       + _PASSES["draw"] * entries * _PASS_S, "drawing drops", size.largest())
    yield "acquire", Work(_PASSES["acquire"] * size.past * _PASS_S, "acquisition", size.largest())
    for index, method in enumerate(scenario.methods):
        if (predictor := method.predictor) is not None:
            yield predictor.key, Work(_prediction(method, predictor, scenario, size), predictor.name,
                                      _field(size, predictor, f"methods.{index}.predictor"))
        if (codec := method.feedback) is not None:
            products = _reports(codec.options, scenario, size, method.holds)
            yield codec.key, Work(products * _PRODUCT_S, codec.name, _field(size, codec, f"methods.{index}.feedback"))
    genies = sum(bound.name.startswith("genie") for bound in scenario.bounds)
    if genies:
        columns = RAYS * (2 if scenario.channel.ue_array.polarization == "single" else 4)
        grid = size.ue * (size.bs + size.history + size.tones)
        products = genies * size.links * (columns**2 * grid + columns**3 / 3)
        yield "genies", Work(products * _PRODUCT_S, "genie bounds (bounds)", size.largest())


def _each(scenario: ResolvedScenario, size: Sizes) -> Iterator[Work]:
    """What every sweep point does for itself."""
    link, streams = scenario.link, size.users * scenario.link.num_streams_per_user
    curves = len(scenario.methods) + len(scenario.bounds)
    products = streams * size.bs * (streams + size.users * size.ue) + streams**3
    yield Work(curves * size.resources * (_RESOURCE_S + products * _PRODUCT_S), "the link's measures", size.largest())
    if link.mode == "coded":
        bits = size.links * size.future * size.tones * link.coding.data_symbols * link.num_streams_per_user * 4
        passes = curves * bits * link.coding.decoder_iterations * _DECODER_PASSES
        yield Work(passes * _PASS_S, "LDPC decoding", size.largest())
    if any(bound.name == "sum_capacity" for bound in scenario.bounds):
        resources, users = size.drops * min(_CAPACITY_RESOURCES, size.future * size.tones), size.users
        steps = _CAPACITY_STEPS if users > 1 else 1
        yield Work(resources * steps * users * (4 * (users * size.ue)**3 * _PRODUCT_S + _RESOURCE_S),
                   "the sum capacity (bounds)", size.largest())


def _field(size: Sizes, block: Any, place: str) -> str:
    """The field of a block, or of the sizes, that is furthest above what is usual."""
    field = size.largest_of(block.spec, block.options, NO_SIZES - {"num_iterations", "bits"})
    return field if "." in field else f"{place}.{field}"


def _prediction(method: ResolvedMethod, block: Block, scenario: ResolvedScenario, size: Sizes) -> float:
    seconds = _PASSES["predict"] * (size.past + size.ahead) * _PASS_S
    if reaches_band(block.name, block.options, scenario, method):
        seconds += size.links * _BAND_STEPS * size.tones**3 * _PRODUCT_S
    if block.name in _PRODUCTS:
        return seconds + _PRODUCTS[block.name](block.options, scenario, size) * _PRODUCT_S
    if (network := network_of(block, scenario, size)) is None:
        return seconds
    each = _NETWORK_S if scenario.run.precision == 32 else _NETWORK_BF16_S
    return seconds + (network.parameters + network.frozen) * network.tokens * size.pairs * each


def _waves(options: dict[str, Any], scenario: ResolvedScenario, size: Sizes) -> float:
    beams, times, tones, dopplers, delays = wave_sizes(options, scenario, size)
    samples = times * tones
    steps = options.get("num_steps", 0) + options.get("num_iterations", 0)
    return float(steps) * size.links * beams * (samples**3 + 2 * samples * tones * dopplers
                                                + samples * delays * dopplers)


def _angle_delay(options: dict[str, Any], scenario: ResolvedScenario, size: Sizes) -> float:
    network = angle_delay_network(options)
    products = size.links * (network.parameters + network.frozen) * network.tokens
    one_more = {**options, "num_steps": options["num_steps"] + 1}  # evidence for the network's change
    return _waves(one_more, scenario, size) + products * _NETWORK_S / _PRODUCT_S


def _over_time(options: dict[str, Any], scenario: ResolvedScenario, size: Sizes) -> float:
    return size.links * 20 * size.history**3 + size.past * (size.history + size.future)


def _per_bin(options: dict[str, Any], scenario: ResolvedScenario, size: Sizes) -> float:
    order = options.get("order") or options.get("pencil_fraction", 0.5) * size.history
    return float(size.bins * (order**3 + order**2 * (size.history + size.future)))


def _vector_kalman(options: dict[str, Any], scenario: ResolvedScenario, size: Sizes) -> float:
    state = options["order"] * size.bs
    return float(size.links * (size.history + size.future) * (4 * state**3 + state**2 * size.ue * size.tones))


_PRODUCTS: dict[str, Callable[[dict[str, Any], ResolvedScenario, Sizes], float]] = {
    "sparse_bayesian": _waves, "unfolded_sparse_bayesian": _waves,
    "csi_alm_ad": _angle_delay, "csi_alm_ad_light": _angle_delay, "wiener": _over_time, "vector_prony": _over_time,
    "ar": _per_bin, "kalman": _per_bin, "pad": _per_bin, "matrix_pencil": _per_bin, "vector_kalman": _vector_kalman,
}


def _reports(options: dict[str, Any], scenario: ResolvedScenario, size: Sizes, last_only: bool) -> float:
    """Complex products of all reports of a history, or of its last."""
    bits = options.get("bits") or scenario.feedback.bits or 256
    entries, sent = size.ue * size.bs * size.tones, size.links * (1 if last_only else size.history)
    if "delay_oversampling" in options:
        return float(sent * (25 * bits * entries * options["delay_oversampling"]
                             + (bits / _BITS_OF_WAVE)**3 * _WAVE_STEPS))
    if "num_table_drops" in options:
        return float(entries * (options["num_table_drops"] * size.users * (size.bs + size.tones) + sent * size.bs))
    return sent * entries * 200
