"""The chain: one chunk of drops through acquisition, prediction, precoding and transmission.

Every stage is computed once for all the sweep points that share it; methods see the same drops and noise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.learned import LearnedPredictor
from linksim.channel.drops import Drops
from linksim.channel.source import chunk_of_drops, places_of, source_of
from linksim.core.csi import Csi, by_resource
from linksim.core.errors import NumericalError
from linksim.core.heartbeat import doing
from linksim.core.seeding import generator, stream_seed
from linksim.link.feedback import Reports, last_report_error
from linksim.link.point import ChunkResult, Point, Row, needs_link
from linksim.loading.memory import drops_at_once
from linksim.nr.acquisition import acquire, pilot_floor
from linksim.scenario.channel import Channel
from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario
from linksim.scenario.schema import Acquisition
from linksim.training.part import named_method
from linksim.training.preparation import Built


def predicted(predictor: Predictor, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor,
              drops_at_once: int) -> Csi:
    """What `Predictor.predict` says, from so many drops at a time.

    A prediction never depends on its neighbours in the batch, so the parts are those of the whole, but for the rounding
    of matrix products of another size.

    :param history: ``[batch, user, ue_ant, bs_ant, time, subcarrier]``; the other parameters as of `Predictor.predict`.
    :param drops_at_once: see `linksim.loading.memory.drops_at_once`.
    """
    if drops_at_once >= len(history.h):
        return predictor.predict(history, time_s, frequency_hz)

    def part(first: int) -> Csi:
        some = slice(first, first + drops_at_once)
        return predictor.predict(replace(
            history, h=history.h[some], noise_variance=history.noise_variance[some],
            max_doppler_hz=history.max_doppler_hz[some]), time_s, frequency_hz)

    begun = part(0)
    whole = replace(begun, h=begun.h.new_empty(len(history.h), *begun.h.shape[1:]),
                    noise_variance=history.noise_variance, max_doppler_hz=history.max_doppler_hz)
    whole.h[:drops_at_once] = begun.h
    for first in range(drops_at_once, len(history.h), drops_at_once):
        whole.h[first:first + drops_at_once] = part(first).h
    return whole


_LEAST_DB = -30.0
"""A floor below this one limits nothing that is looked at."""


def pilot_notes(true: Csi, acquisition: Acquisition, channel: Channel) -> set[str]:
    """A note where interpolation between pilots errs by more than half of what noise does.

    The drops themselves are looked at, not their median delay spread: the error is that of the few users whose channels
    change most between two pilots.

    :param true: the true uplink history of some drops.
    """
    floor = pilot_floor(true, acquisition)
    mean_db, worst_db = (float(10 * value.clamp_min(1e-12).log10()) for value in (
        floor.mean(), torch.quantile(floor.flatten(), 0.9)))
    if mean_db < max(_LEAST_DB, -acquisition.csi_snr_db - 3):
        return set()
    # each antenna port has one tone of the comb
    spacing_khz = channel.num_users * channel.ue_array.num_antennas * channel.subcarrier_spacing_khz
    better = " or estimator: lmmse" if acquisition.estimator == "ls" else ""
    return {f"pilots of a user stand {spacing_khz:.0f} kHz apart, and the {acquisition.estimator} estimate errs by "
            f"{mean_db:.1f} dB in {source_of(channel).title(channel)} without any noise ({worst_db:.1f} dB or more for "
            "one user in ten of the first chunk): a floor under every method; use fewer users, a smaller "
            f"channel.subcarrier_spacing_khz{better}"}


Estimates = dict[str, tuple[torch.Tensor, dict[str, torch.Tensor]]]
"""By `estimate_key`: the estimate ``[batch, time, subcarrier, user, ue_ant, bs_ant]``, and its measures."""


def simulate_chunk(points: list[tuple[int, ResolvedScenario]], seed: int, device: str, built: Built,
                   chunk_index: int = 0) -> ChunkResult:
    """Simulate one chunk at one channel point.

    :param points: index and scenario of the sweep points that share this channel.
    :param seed: of the chunk.
    :param device: torch device.
    :param built: the methods' blocks.
    :param chunk_index: which drops of channel files; drawn drops follow from the seed.
    :raises NumericalError: a channel that is not finite; unusable CSI where ``link.unusable_csi`` is ``raise``.
    """
    result = ChunkResult()
    first = points[0][1]
    with doing("drawing drops"):
        drops = chunk_of_drops(first.channel, first.run.chunk_size, seed, chunk_index, device)
    _check_finite(drops)
    if silent := int((~drops.future.h.any(dim=(2, 3, 4, 5))).any(1).sum()):
        result.counters["drops in which a user has a silent channel (all zeros)"] += silent
    result.notes |= set(drops.notes)
    true = by_resource(drops.future.h)
    shared: dict[Any, Any] = {}
    told = [method.name for method in first.methods if method.knows_channel]
    if told and any(needs_link(scenario) for _, scenario in points):
        for name in told:
            result.count_deficient(true, name, first)
    for acquisition in dict.fromkeys(scenario.acquisition for _, scenario in points):
        group = [(index, scenario) for index, scenario in points if scenario.acquisition == acquisition]
        history, observation = acquire(drops.history, acquisition, generator(stream_seed(seed, "acquisition")))
        if acquisition.type == "pilots" and chunk_index == 0:  # once: the note is the same however many units there are
            result.notes |= pilot_notes(drops.history, acquisition, first.channel)
        estimates: Estimates = {}
        reports = Reports(drops, acquisition, seed, built)
        for index, scenario in group:
            point = Point(scenario, drops, true, observation, reports, built, seed, shared, result)
            for method in scenario.methods:
                key = estimate_key(scenario, method)
                if method.predictor is not None and key not in estimates:
                    estimates[key] = _estimated(point, method, history, device)
            with doing("the link's measures"):
                rows = _sent(point, estimates)
            rows += _answered(point, history)
            for bound in scenario.bounds:
                rows += bound.create().rows(point)
            result.rows += [(index, name, measures) for name, measures in rows]
    if first.run.maps:
        places = _places(drops)
        result.rows = [(index, name, {**measures, **places}) for index, name, measures in result.rows]
    return result


def estimate_key(scenario: ResolvedScenario, method: ResolvedMethod) -> str:
    """Two methods with the same key share one estimate of the future; empty where there is none."""
    if method.predictor is None:
        return ""
    reports = "" if method.feedback is None else f"{method.feedback.key} {scenario.feedback!r} "
    return reports + method.predictor.key


def _estimated(point: Point, method: ResolvedMethod, history: Csi, device: str
               ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A method's estimate of the future by resource, from the history or its reports, and its measures."""
    scenario, future, reported = point.scenario, point.drops.future, None
    predictor = point.built.of(scenario, method, "predictor")
    if method.feedback is not None:
        with named_method(method.name), doing(f"reports of {method.name}"):
            reported = point.reports.of(scenario, method)
    with named_method(method.name), doing(f"prediction by {method.name}"), torch.inference_mode(), \
            _precision(predictor, scenario, device):
        csi = predicted(predictor, history if reported is None else reported.history, future.time_s,
                        future.frequency_hz, drops_at_once(scenario))
    h_hat, measures = point.scored(method.name, csi, reported is not None and reported.directions_only)
    if reported is not None:
        measures["feedback_bits"] = reported.num_bits
        if not reported.directions_only:
            measures["nmse_reported"] = last_report_error(reported, point.reports.downlink)
        if reported.num_concealed:
            point.result.counters[f"reports that could not be decoded: {method.name}"] += reported.num_concealed
    return h_hat, measures


def _precision(predictor: Predictor, scenario: ResolvedScenario, device: str) -> torch.autocast:
    """The context that gives a predictor trained by gradient descent the precision of the run, and others their own."""
    mixed = scenario.run.precision != 32 and isinstance(predictor, LearnedPredictor)
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed)


def _sent(point: Point, estimates: Estimates) -> list[Row]:
    """Rows of the methods that transmit with what they know of the channel."""
    rows = []
    for method in (method for method in point.scenario.methods if method.universal is None):
        key = estimate_key(point.scenario, method)
        h_hat, measures = estimates[key] if key else (point.true, {})
        rows.append((method.name, {**measures, **point.link(h_hat, method.precoder, measures.get("feedback_bits"),
                                                            method)}))
    return rows


def _answered(point: Point, history: Csi) -> list[Row]:
    """Rows of the methods that answer tasks."""
    scenario = point.scenario
    asked = [method for method in scenario.methods if method.universal is not None and not method.only_teaches]
    if not asked:
        return []
    from linksim.link.measures import answers, task_link_measures, task_measures  # start-up

    places, true = places_of(point.drops, scenario.channel), point.drops.future
    rows = []
    for method in asked:
        with named_method(method.name), doing("answers to tasks"):
            found = answers(point.built.of(scenario, method, "universal"), history, true, places)
        measures = task_measures(found, true, places)
        if point.needs_link:
            measures |= task_link_measures(found, true, places, point.noise_variance)
        rows.append((method.name, measures))
    return rows


def _places(drops: Drops) -> dict[str, torch.Tensor]:
    """Where users stand, seen from the base station, metres, each ``[batch, user]``."""
    rays = drops.uplink_rays
    place = rays.position_user_m - rays.position_bs_m
    return {"east_m": place[..., 0], "north_m": place[..., 1]}


def _check_finite(drops: Drops) -> None:
    """The truth itself is never mended."""
    for name, csi in (("history", drops.history), ("future", drops.future)):
        bad = (~torch.isfinite(csi.h)).flatten(1).any(1).nonzero().flatten().tolist()
        if bad:
            raise NumericalError(f"channel: the {name} of drop {bad[0]} of this chunk has entries that are not finite: "
                                 "check the channel section or the imported data")
