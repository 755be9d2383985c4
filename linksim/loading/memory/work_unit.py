"""Memory of a unit's channels and of what every method goes through: acquisition, precoding, bounds."""

from __future__ import annotations

from collections.abc import Iterator

from linksim.channel.source import source_of
from linksim.loading.memory.sizes import COMPLEX, DOUBLE, Need, Sizes
from linksim.scenario.resolved import ResolvedScenario

RAYS, _PATHS = 420, 24
"""Rays and paths of a link, about: the models have up to 20 clusters of 20 rays."""

_BYTES_OF_RAY = 300


def held(scenario: ResolvedScenario, size: Sizes) -> Iterator[Need]:
    """What stays until the unit is done."""
    yield Need((size.past + 2 * size.ahead) * COMPLEX, "channels of a unit", size.largest())
    if scenario.acquisition.type != "perfect":
        yield Need(size.past * COMPLEX, "their histories as they are seen", size.largest())
    estimating = [method for method in scenario.methods if method.predictor is not None]
    yield Need(len(estimating) * size.ahead * COMPLEX, "what the methods predict", size.largest())
    codecs = {method.feedback for method in estimating if method.feedback is not None}
    if codecs:
        yield Need((2 + len(codecs)) * size.past * COMPLEX, "reported histories", size.largest())
    yield Need(size.links * RAYS * _BYTES_OF_RAY, "rays of a unit", size.largest("run.chunk_size",
                                                                                "channel.num_users"))


def passing(scenario: ResolvedScenario, size: Sizes) -> Iterator[Need]:
    """What comes and goes: only the largest of these counts."""
    channel, link = scenario.channel, scenario.link
    both = size.past + size.ahead
    delays = size.links * _PATHS * size.tones * COMPLEX
    one_link = (_PATHS + RAYS) * size.ue * size.bs * COMPLEX * (1 if size.bs < 1024 else size.history)
    yield Need(both * COMPLEX * (1 if getattr(channel, "beam_squint", False) else 0.3) + delays + one_link,
               "drawing the channels of a unit", size.largest())
    if scenario.acquisition.type == "awgn":
        yield Need(3 * size.past * COMPLEX, "noise of the histories", size.largest())
    elif scenario.acquisition.type == "pilots":
        covariance = size.tones**2 * COMPLEX * 4 if scenario.acquisition.estimator == "lmmse" else 0
        yield Need(11 * size.past * COMPLEX + covariance, "pilot estimates", size.largest())
    yield Need(5 * size.ahead * COMPLEX, "measuring what is predicted", size.largest())
    streams = size.users * link.num_streams_per_user
    seen = {method.precoder.name for method in scenario.methods}
    weights = size.resources * (3 * size.bs * max(streams, size.ue) * COMPLEX + 6 * streams**2 * DOUBLE)
    yield Need(weights, "precoding", size.largest())
    if "svd" in seen and size.users > 1:
        yield Need(weights + 3 * size.resources * size.bs**2 * COMPLEX, "block diagonalisation",
                   size.largest("run.chunk_size", "channel.bs_array.rows", "channel.bs_array.columns",
                                "channel.num_subcarriers", "channel.num_future"))
    if link.mode != "rate":
        coding = link.coding
        resources = size.tones * channel.subcarrier_spacing_khz / coding.scs_khz * coding.data_symbols
        elements = size.links * size.future * resources * link.num_streams_per_user
        per_element = 700 if link.mode == "coded" else 60
        yield Need(elements * per_element, "transport blocks", size.largest(
            "run.chunk_size", "channel.num_users", "channel.num_future", "channel.num_subcarriers"))
    yield from (Need(*held) for held in source_of(channel).memory(channel))
    yield from _bounds(scenario, size)


def _bounds(scenario: ResolvedScenario, size: Sizes) -> Iterator[Need]:
    columns = RAYS * (2 if scenario.channel.ue_array.polarization == "single" else 4)
    if any(bound.name.startswith("genie") for bound in scenario.bounds):
        factors: float = size.drops * columns * (2 * size.ue * size.bs + size.history + size.future + 2 * size.tones)
        factors *= 1.3  # phases and repeated columns stand beside them
        one = 6 * columns**2 + columns * (2 * size.bs * size.history + size.ue * size.bs * size.future)
        yield Need((factors + one) * DOUBLE, "the genie bound (bounds)", size.largest())
    if any(bound.name == "sum_capacity" for bound in scenario.bounds) and size.users == 1:
        smaller = min(size.ue, size.bs)
        yield Need(size.resources * (2 * size.ue * size.bs + 6 * smaller**2) * DOUBLE, "the sum capacity (bounds)",
                   size.largest())
