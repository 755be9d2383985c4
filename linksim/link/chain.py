"""The chain: one chunk of drops through acquisition, prediction, precoding and transmission.

Every stage is computed once for all the sweep points that share it; methods see the same drops and noise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.trained import LearnedPredictor
from linksim.channel.drops import Drops
from linksim.channel.source import chunk_of_drops, source_notes
from linksim.core import registry
from linksim.core.csi import Csi, Observation, by_resource
from linksim.core.errors import NumericalError
from linksim.core.heartbeat import doing
from linksim.core.seeding import generator, stream_seed
from linksim.link.evaluation import count_deficient, csi_measures, link_measures, mend
from linksim.link.feedback import Reported, downlink_at_terminal, last_report_error, report_history
from linksim.link.parts import predicted
from linksim.link.pilot_notes import pilot_notes
from linksim.loading.memory import drops_at_once
from linksim.metrics.capacity import sum_capacity
from linksim.metrics.catalogue import metric
from linksim.metrics.genie import genie_lmmse, genie_lmmse_reports
from linksim.metrics.rate_distortion import genie_rate_distortion
from linksim.mimo.receiver import achievable_rate, stream_sinr
from linksim.nr.acquisition import acquire
from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario
from linksim.scenario.schema import BOUNDS, GENIE_CSI, Acquisition
from linksim.training.part import named_method
from linksim.training.preparation import Built

CAPACITY_SAMPLES = 8
"""Resources of a drop on which the sum capacity is computed: it is far dearer than a rate."""


_ERRORS = ("nmse", "squared_")
"""Measures that a genie bounds; its similarity and rate are those of one more link, `GENIE_CSI`."""

Estimates = dict[Any, tuple[torch.Tensor, dict[str, torch.Tensor]]]
"""By predictor key: the estimate ``[batch, time, subcarrier, user, ue_ant, bs_ant]``, and its measures."""


@dataclass
class ChunkResult:
    """Per-drop measures of one chunk.

    :param rows: per sweep point and method, measures ``[drop, user]``; a measure that a method does not have is
        absent.
    :param counters: how often unusable CSI was mended, by kind and method.
    :param notes: warnings about the scenario that only the drops reveal.
    """

    rows: list[tuple[int, str, dict[str, torch.Tensor]]] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    notes: set[str] = field(default_factory=set)


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
    result.notes |= source_notes(first.channel) | set(drops.notes)
    true = by_resource(drops.future.h)
    capacities: dict[float, dict[str, torch.Tensor]] = {}
    genies: Estimates = {}
    floors: dict[int, torch.Tensor] = {}
    at_once = drops_at_once(first)
    told = [method.name for method in first.methods if method.knows_channel]
    if told and _shares_streams(first) and any(needs_link(scenario) for _, scenario in points):
        for name in told:
            _count_deficient(true, name, first, result)
    for acquisition in dict.fromkeys(scenario.acquisition for _, scenario in points):
        group = [(index, scenario) for index, scenario in points if scenario.acquisition == acquisition]
        noise = generator(stream_seed(seed, "acquisition"))
        history, observation = acquire(drops.history, acquisition, noise)
        if acquisition.type == "pilots" and chunk_index == 0:  # once: the note is the same however many units there are
            result.notes |= pilot_notes(drops.history, acquisition, first.channel)
        estimates: Estimates = {}
        reports = _Reports(drops, acquisition, seed, built)
        for index, scenario in group:
            for method in scenario.methods:
                key = estimate_key(scenario, method)
                if method.predictor is not None and key not in estimates:
                    predictor = built.of(scenario, method, "predictor")
                    with named_method(method.name), doing(f"reports of {method.name}"):
                        reported = None if method.feedback is None else reports.of(scenario, method)
                    known = history if reported is None else reported.history
                    with named_method(method.name), doing(f"prediction by {method.name}"), torch.inference_mode(), \
                            _precision(predictor, scenario, device):
                        csi = predicted(predictor, known, drops.future.time_s, drops.future.frequency_hz, at_once)
                    estimates[key] = _scored(csi, method.name, scenario, drops, result,
                                             reported is not None and reported.directions_only)
                    if reported is not None:
                        estimates[key][1]["feedback_bits"] = reported.num_bits
                        if not reported.directions_only:
                            estimates[key][1]["nmse_reported"] = last_report_error(reported, reports.downlink)
                        if reported.num_concealed:
                            result.counters[f"reports that could not be decoded: {method.name}"] += \
                                reported.num_concealed
            for bound in _genies(scenario):
                # estimators that start from the same samples share the bound
                late = scenario.feedback.delay_periods if bound == "genie_lmmse_reports" else 0
                seen = (bound, acquisition.type, acquisition.csi_snr_db, late)
                if seen not in genies:
                    with doing(GENIE_CSI[bound]):
                        csi = genie_lmmse(drops, observation) if bound == "genie_lmmse" else \
                            genie_lmmse_reports(drops, reports.observation, len(drops.history.time_s) - late)
                    genies[seen] = _scored(csi, GENIE_CSI[bound], scenario, drops, result)
                estimates[bound] = genies[seen]
            with doing("the link's measures"):
                result.rows += _rows(index, scenario, drops, true, estimates, built, seed)
            with doing("answers to tasks"):
                result.rows += _answered(index, scenario, drops, history, built)
            if "genie_rate_distortion" in scenario.bounds:
                bits = scenario.feedback.bits
                if bits not in floors:
                    floors |= _floors(drops, [other.feedback.bits for _, other in points])
                result.rows.append((index, BOUNDS["genie_rate_distortion"], {"nmse": floors[bits]}))
            if "sum_capacity" in scenario.bounds and needs_link(scenario):
                if scenario.link.snr_db not in capacities:
                    capacities[scenario.link.snr_db] = _capacity(true, scenario)
                result.rows.append((index, BOUNDS["sum_capacity"], capacities[scenario.link.snr_db]))
    if first.run.maps:
        places = _places(drops)
        result.rows = [(index, name, {**measures, **places}) for index, name, measures in result.rows]
    return result


def _answered(index: int, scenario: ResolvedScenario, drops: Drops, history: Csi, built: Built
              ) -> list[tuple[int, str, dict[str, torch.Tensor]]]:
    """Rows of the methods that answer tasks."""
    asked = [method for method in scenario.methods if method.universal is not None and not method.only_teaches]
    if not asked:
        return []
    from linksim.channel.ray_traced.places import places_of
    from linksim.link.universal import answers, task_link_measures, task_measures

    places, true = places_of(drops, scenario.channel), drops.future
    rows = []
    for method in asked:
        with named_method(method.name):
            found = answers(built.of(scenario, method, "universal"), history, true, places)
        measures = task_measures(found, true, places)
        if needs_link(scenario):
            measures |= task_link_measures(found, true, places, 10 ** (-scenario.link.snr_db / 10))
        rows.append((index, method.name, measures))
    return rows


def _places(drops: Drops) -> dict[str, torch.Tensor]:
    """Where users stand, seen from the base station, metres, each ``[batch, user]``."""
    rays = drops.uplink_rays
    place = rays.position_user_m - rays.position_bs_m
    return {"east_m": place[..., 0], "north_m": place[..., 1]}


def estimate_key(scenario: ResolvedScenario, method: ResolvedMethod) -> str:
    """Two methods with the same key share one estimate of the future; empty where there is none."""
    if method.predictor is None:
        return ""
    reports = "" if method.feedback is None else f"{method.feedback.key} {scenario.feedback!r} "
    return reports + method.predictor.key


class _Reports:
    """Reported histories of one acquisition, each computed once."""

    def __init__(self, drops: Drops, acquisition: Acquisition, seed: int, built: Built) -> None:
        self._drops, self._acquisition, self._seed, self._built = drops, acquisition, seed, built
        self._known: dict[str, Reported] = {}

    @cached_property
    def downlink(self) -> Csi:
        """The true channel that reports tell of, at the history's times."""
        return self._drops.downlink_history()

    @cached_property
    def _at_terminal(self) -> tuple[Csi, Observation]:
        return downlink_at_terminal(self.downlink, self._acquisition, self._seed)

    @property
    def observation(self) -> Observation:
        """What the terminals' estimates of the downlink are made from."""
        return self._at_terminal[1]

    def of(self, scenario: ResolvedScenario, method: ResolvedMethod) -> Reported:
        """What the base station has of this method's reports."""
        last_only = method.predictor.name == "hold"
        key = f"{method.feedback.key} {scenario.feedback!r} {last_only}"
        if key not in self._known:
            codec = self._built.of(scenario, method, "feedback")
            error = self._built.report_errors.get(method.feedback.key, 0.0)
            with torch.inference_mode():
                self._known[key] = report_history(self._at_terminal[0], codec, scenario.feedback, self._seed, last_only,
                                                  error)
        return self._known[key]


def _precision(predictor: Predictor, scenario: ResolvedScenario, device: str) -> torch.autocast:
    """The context that gives a predictor trained by gradient descent the precision of the run, and others their own."""
    mixed = scenario.run.precision != 32 and isinstance(predictor, LearnedPredictor)
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=mixed)


def needs_link(scenario: ResolvedScenario) -> bool:
    """Whether any reported metric depends on precoder and link SNR."""
    return any(metric(name).needs_link for name in [*scenario.metrics, scenario.run.stopping.metric])


def _scored(csi: Csi, name: str, scenario: ResolvedScenario, drops: Drops, result: ChunkResult,
            directions_only: bool = False) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A usable estimate by resource, and its measures."""
    csi = _usable(csi, name, scenario, result)
    h_hat = by_resource(csi.h)
    # where nothing can be learnt the genie's link is left out
    if _shares_streams(scenario) and (name not in GENIE_CSI.values() or h_hat.any()):
        _count_deficient(h_hat, name, scenario, result)
    return h_hat, csi_measures(csi.h, drops.future.h, directions_only)


def _shares_streams(scenario: ResolvedScenario) -> bool:
    """Whether there are several streams that a precoder keeps apart."""
    return scenario.channel.num_users * scenario.link.num_streams_per_user > 1


def _genies(scenario: ResolvedScenario) -> list[str]:
    return [bound for bound in GENIE_CSI if bound in scenario.bounds]


def _rows(index: int, scenario: ResolvedScenario, drops: Drops, true: torch.Tensor, estimates: Estimates,
          built: Built, seed: int) -> list[tuple[int, str, dict[str, torch.Tensor]]]:
    noise_variance = 10 ** (-scenario.link.snr_db / 10)
    entries = [(m.name, estimate_key(scenario, m), m.precoder.create()) for m in scenario.methods
               if m.universal is None]
    sending = {m.name: m for m in scenario.methods if m.semantic is not None}
    genies = _genies(scenario)
    entries += [(GENIE_CSI[bound], bound, scenario.precoder.create()) for bound in genies if estimates[bound][0].any()]
    if "perfect_csi_zf" in scenario.bounds and needs_link(scenario):
        entries.append((BOUNDS["perfect_csi_zf"], "", registry.create("precoder", "zf")))
    rows = []
    for name, key, precoder in entries:
        h_hat, measures = estimates[key] if key else (true, {})
        if key in genies:
            measures = {key: value for key, value in measures.items() if not key.startswith(_ERRORS)}
        if needs_link(scenario):
            weights = precoder.precode(h_hat, noise_variance, scenario.link.num_streams_per_user)
            measures = {**measures, **link_measures(weights, true, noise_variance)}
            if scenario.link.mode != "rate":
                from linksim.link.block_errors import block_measures

                measures |= block_measures(scenario.written, drops, true, h_hat, weights,
                                           measures.get("feedback_bits"), seed)
            if name in sending:
                from linksim.link.retrieval import retrieve

                codec = built.of(scenario, sending[name], "semantic")
                with named_method(name):
                    measures |= retrieve(codec, true, h_hat, weights, noise_variance, scenario.semantic, seed)
        rows.append((index, name, measures))
    for bound in genies:
        errors = {key: value for key, value in estimates[bound][1].items() if key.startswith(_ERRORS)}
        rows.append((index, BOUNDS[bound], errors))
    return rows


def _floors(drops: Drops, bits: list[int | None]) -> dict[int, torch.Tensor]:
    """Least NMSE of a report ``[batch, user]``, linear, at each of these sizes; one decomposition serves all."""
    sizes = sorted({size for size in bits if size is not None})
    return dict(zip(sizes, genie_rate_distortion(drops, sizes).unbind(-1)))


def _capacity(true: torch.Tensor, scenario: ResolvedScenario) -> dict[str, torch.Tensor]:
    """Sum capacity per drop: its gap to RZF with perfect CSI on a few resources, added to RZF's mean over all.

    The gap varies far less over a drop than the capacity, and is never negative, so that the bound lies above
    the reference in every drop.
    """
    batch, time, subcarrier, user = true.shape[:4]
    noise_variance = 10 ** (-scenario.link.snr_db / 10)
    weights = registry.create("precoder", "rzf").precode(true, noise_variance, true.shape[4])
    rate = achievable_rate(stream_sinr(true, weights, noise_variance)).sum(-1).flatten(1)
    # one user's capacity is a single water-filling, cheap enough for every resource
    samples = time * subcarrier if user == 1 else min(CAPACITY_SAMPLES, time * subcarrier)
    picked = ((torch.arange(samples) + 0.5) * (time * subcarrier / samples)).long()
    picked = picked.to(true.device)
    gap = sum_capacity(true.flatten(1, 2)[:, picked], noise_variance) - rate[:, picked]
    capacity = rate.mean(1) + gap.mean(1).to(rate)
    return {"sum_rate_bps_hz": capacity[:, None].expand(batch, user)}


def _check_finite(drops: Drops) -> None:
    """The truth itself is never mended."""
    for name, csi in (("history", drops.history), ("future", drops.future)):
        bad = (~torch.isfinite(csi.h)).flatten(1).any(1).nonzero().flatten().tolist()
        if bad:
            raise NumericalError(f"channel: the {name} of drop {bad[0]} of this chunk has entries that are not finite: "
                                 "check the channel section or the imported data")


def _usable(csi: Csi, name: str, scenario: ResolvedScenario, result: ChunkResult) -> Csi:
    csi, bad = mend(csi)
    if bad:
        if scenario.link.unusable_csi == "raise":
            raise NumericalError(
                f"method {name!r}: {bad} entries of its CSI are not finite (link.unusable_csi: mend goes on)"
            )
        result.counters[f"non-finite CSI entries set to zero: {name}"] += bad
    return csi


def _count_deficient(h_hat: torch.Tensor, name: str, scenario: ResolvedScenario, result: ChunkResult) -> None:
    deficient = count_deficient(h_hat, scenario.link.num_streams_per_user)
    if deficient.any():
        if scenario.link.unusable_csi == "raise":
            drop = int(deficient.nonzero()[0])
            raise NumericalError(f"method {name!r}: its CSI is rank deficient on {int(deficient[drop])} resources in "
                                 f"drop {drop} of this chunk (link.unusable_csi: mend goes on)")
        result.counters[f"rank-deficient resources regularised: {name}"] += int(deficient.sum())
