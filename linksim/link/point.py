"""A sweep point of a chunk: estimates are scored here, and links transmit with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from linksim.channel.drops import Drops
from linksim.core.csi import Csi, Observation, by_resource
from linksim.core.errors import NumericalError
from linksim.link.feedback import Reports
from linksim.link.measures import count_deficient, csi_measures, link_measures, mend, plugged_measures, retrieve
from linksim.metrics.catalogue import metric
from linksim.mimo.noise import noise_variance_at
from linksim.scenario.resolved import Block, ResolvedMethod, ResolvedScenario
from linksim.training.part import named_method
from linksim.training.preparation import Built

Made = TypeVar("Made")
Row = tuple[str, dict[str, torch.Tensor]]
"""A curve's name and its measures, ``[drop, user]``; one that a curve does not have is absent."""


@dataclass
class ChunkResult:
    """Per-drop measures of one chunk.

    :param rows: index of the sweep point, curve and measures, see `Row`.
    :param counters: how often unusable CSI was mended, by kind and method.
    :param notes: warnings about the scenario that only the drops reveal.
    """

    rows: list[tuple[int, str, dict[str, torch.Tensor]]] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    notes: set[str] = field(default_factory=set)

    def count_deficient(self, h_hat: torch.Tensor, name: str, scenario: ResolvedScenario) -> None:
        """Count the resources of rank-deficient CSI, where there are several streams that a precoder keeps apart.

        :raises NumericalError: there are some, and ``link.unusable_csi`` is ``raise``.
        """
        if scenario.channel.num_users * scenario.link.num_streams_per_user < 2:
            return
        deficient = count_deficient(h_hat, scenario.link.num_streams_per_user)
        if deficient.any():
            if scenario.link.unusable_csi == "raise":
                drop = int(deficient.nonzero()[0])
                raise NumericalError(f"method {name!r}: its CSI is rank deficient on {int(deficient[drop])} resources "
                                     f"in drop {drop} of this chunk (link.unusable_csi: mend goes on)")
            self.counters[f"rank-deficient resources regularised: {name}"] += int(deficient.sum())


def needs_link(scenario: ResolvedScenario) -> bool:
    """Whether any reported metric depends on precoder and link SNR."""
    return any(metric(name).needs_link for name in [*scenario.metrics, scenario.run.stopping.metric])


@dataclass(frozen=True)
class Point:
    """What bounds see (`linksim.bounds.base.Seen`), and what methods are scored by.

    :param shared: what sweep points have in common, see `once`.
    """

    scenario: ResolvedScenario
    drops: Drops
    true: torch.Tensor
    observation: Observation
    reports: Reports
    built: Built
    seed: int
    shared: dict[Any, Any]
    result: ChunkResult

    @property
    def needs_link(self) -> bool:
        return needs_link(self.scenario)

    @property
    def noise_variance(self) -> float:
        return noise_variance_at(self.scenario.link.snr_db)

    @property
    def reports_observation(self) -> Observation:
        return self.reports.observation

    def once(self, key: Any, make: Callable[[], Made]) -> Made:
        """What is the same at all sweep points that share the key, made the first time."""
        if key not in self.shared:
            self.shared[key] = make()
        return self.shared[key]

    def scored(self, name: str, csi: Csi, directions_only: bool = False
               ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """A usable estimate by resource, and its measures.

        :param name: of the curve, for counters and messages.
        :param directions_only: see `csi_measures`.
        :raises NumericalError: it is not usable, and ``link.unusable_csi`` is ``raise``.
        """
        csi, bad = mend(csi.with_h(csi.h.to(self.true.dtype)))
        if bad:
            if self.scenario.link.unusable_csi == "raise":
                raise NumericalError(f"method {name!r}: {bad} entries of its CSI are not finite (link.unusable_csi: "
                                     "mend goes on)")
            self.result.counters[f"non-finite CSI entries set to zero: {name}"] += bad
        h_hat = by_resource(csi.h)
        # with a genie's estimate that knows nothing, nothing is sent
        if h_hat.any() or name in [method.name for method in self.scenario.methods]:
            self.result.count_deficient(h_hat, name, self.scenario)
        measures = csi_measures(csi.h, self.drops.future.h, directions_only)
        if not directions_only:
            measures |= plugged_measures(self.scenario, False, csi.h, self.drops.future.h)
        return h_hat, measures

    def link(self, h_hat: torch.Tensor, precoder: Block, report_bits: torch.Tensor | None = None,
             method: ResolvedMethod | None = None) -> dict[str, torch.Tensor]:
        """Measures of a link that is precoded for this channel; none where nobody asks for them.

        :param h_hat: ``[batch, time, subcarrier, user, ue_ant, bs_ant]``.
        :param report_bits: of one report, ``[batch, user]``; None where there are no reports.
        :param method: whose captions are sent, if it sends some.
        """
        if not self.needs_link:
            return {}
        scenario, noise_variance = self.scenario, self.noise_variance
        with torch.inference_mode():
            weights = self.built.precoder(scenario, precoder).precode(h_hat, noise_variance,
                                                                      scenario.link.num_streams_per_user)
        measures = link_measures(weights, self.true, noise_variance)
        measures |= plugged_measures(scenario, True, weights, self.true, noise_variance)
        if scenario.link.mode != "rate":
            from linksim.link.block_errors import block_measures  # start-up: Sionna's coding takes a second

            measures |= block_measures(scenario.written, self.drops, self.true, h_hat, weights, report_bits, self.seed)
        if method is not None and method.semantic is not None:
            codec = self.built.of(scenario, method, "semantic")
            with named_method(method.name):
                measures |= retrieve(codec, self.true, h_hat, weights, noise_variance, scenario.semantic, self.seed)
        return measures
