"""Trained linear prediction: the "DLinear" of this field."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.prediction.band import to_target_band
from linksim.blocks.prediction.learned import ClosedFormPredictor, ProblemShape, TrainingBatch
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import NonNegativeInt, PositiveInt
from linksim.mimo.angle_delay import from_angle_delay, signal_power, to_angle_delay

_LOADINGS = tuple(10.0**exponent for exponent in range(-9, 0))
"""Ridge penalties tried, relative to the mean diagonal of the Gram matrix; validation chooses."""

_SNR_CLASS_DB = 5.0
"""Width of an SNR class in the angle-delay domain, dB."""


@register("predictor", "ridge", trains=True, min_history=2, requires=band_in_reach)
class RidgePredictor(ClosedFormPredictor):
    """Ridge regression fitted on training drops, per antenna or per angle-delay bin with the speed given.

    ``antenna``: one matrix from all history samples and subcarriers of an antenna pair to all future ones
    (16 x 48 to 4 x 48, say); it learns the delay profile and so reaches a neighbouring band by itself.
    ``angle_delay``: one filter over time per class of bin SNR, its taps polynomials in the Doppler that the
    terminal's speed gives; the band is changed afterwards.

    :param domain: see above.
    :param num_snr_classes: of 5 dB each from -10 dB on, ``angle_delay`` only.
    :param speed_order: degree of the polynomial in the Doppler; 0 ignores the speed.
    """

    whole_periods = True

    def __init__(self, domain: Literal["antenna", "angle_delay"] = "angle_delay",
                 num_snr_classes: PositiveInt = 12, speed_order: NonNegativeInt = 8) -> None:
        super().__init__()
        self.domain = domain
        self.num_classes = num_snr_classes if domain == "angle_delay" else 1
        self.speed_order = speed_order if domain == "angle_delay" else 0
        self._sums: dict[bool, list[torch.Tensor]] = {}

    def prepare(self, shape: ProblemShape) -> None:
        if self.domain == "antenna":
            inputs, outputs = shape.num_history * shape.num_subcarriers, shape.num_future * shape.num_subcarriers
        else:
            inputs, outputs = shape.num_history * (self.speed_order + 1), shape.num_future
        self._num_future = shape.num_future
        self._max_cycles = shape.max_doppler_cycles
        self.register_buffer("weight", torch.zeros(self.num_classes, inputs, outputs, dtype=torch.complex64))

    def observe(self, batch: TrainingBatch, validation: bool) -> None:
        target = batch.future if self.domain == "antenna" else batch.uplink_future
        scale = _scale(batch.history)
        features, classes = self._features(batch.history, scale)
        labels = self._to_rows(target.h / scale, target)
        # double precision: the penalties tried reach below the rounding of single precision sums
        features, labels = features.to(torch.complex128), labels.to(torch.complex128)
        sums = self._sums.setdefault(validation, [
            torch.zeros(self.num_classes, features.shape[-1], n, dtype=torch.complex128)
            for n in (features.shape[-1], labels.shape[-1])
        ] + [torch.zeros((), dtype=torch.float64)])
        for index in range(self.num_classes):
            picked = classes == index if self.num_classes > 1 else slice(None)
            x, y = features[picked], labels[picked]
            sums[0][index] += (x.mH @ x).cpu()
            sums[1][index] += (x.mH @ y).cpu()
        sums[2] += labels.abs().square().sum().cpu()

    def solve(self) -> float:
        gram, cross, _ = self._sums[False]
        gram_check, cross_check, energy = self._sums[True]
        best = (torch.inf, None)
        identity = torch.eye(gram.shape[-1], dtype=gram.dtype)
        scale = gram.diagonal(dim1=-2, dim2=-1).real.mean(-1)[:, None, None].clamp_min(1e-30)
        for loading in _LOADINGS:
            weight = torch.linalg.solve(gram + loading * scale * identity, cross)
            error = energy - 2 * (weight.conj() * cross_check).sum().real \
                + (weight.conj() * (gram_check @ weight)).sum().real
            if error < best[0]:
                best = (float(error), weight)
        self.weight.copy_(best[1])
        self._sums = {}
        return best[0] / float(energy)

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        scale = _scale(history)
        features, classes = self._features(history, scale)
        if self.num_classes == 1:
            rows = features @ self.weight[0]
        else:
            rows = torch.zeros(len(features), self._num_future, dtype=features.dtype, device=features.device)
            for index in range(self.num_classes):
                picked = classes == index
                rows[picked] = features[picked] @ self.weight[index]
        batch, user, ue_ant, bs_ant, _, subcarrier = history.h.shape
        if self.domain == "antenna":
            h = rows.reshape(batch, user, ue_ant, bs_ant, self._num_future, -1) * scale
            return history.with_h(h, time_s, frequency_hz)
        bins = rows.reshape(batch, user, ue_ant, bs_ant, subcarrier, self._num_future).mT
        h = from_angle_delay(bins, history.panel) * scale
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, "sparse")

    def _to_rows(self, h: torch.Tensor, csi: Csi) -> torch.Tensor:
        """One row per sequence: antenna pairs with ``time * subcarrier``, or bins with ``time``."""
        if self.domain == "antenna":
            return h.flatten(-2).flatten(0, -2)
        return to_angle_delay(h, csi.panel).mT.flatten(0, -2)

    def _features(self, history: Csi, scale: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of inputs, and the class of each row."""
        rows = self._to_rows(history.h / scale, history)
        if self.domain == "antenna":
            return rows, torch.zeros(len(rows), dtype=torch.long, device=rows.device)
        bins = to_angle_delay(history.h, history.panel)
        noise = history.noise_variance[:, :, None, None, None, None]
        power = signal_power(bins, history.noise_variance)
        snr_db = 10 * torch.log10((power / noise.clamp_min(1e-12)).clamp_min(1e-2))
        classes = ((snr_db + 10) / _SNR_CLASS_DB).clamp(0, self.num_classes - 1).long().mT.flatten()
        # Chebyshev polynomials over the Dopplers of the training set
        share = history.max_doppler_hz * history.sampling_period_s / max(self._max_cycles, 1e-12)
        share = share.nan_to_num(nan=1.0)  # an unknown speed is one like all others
        angle = torch.acos((2 * share - 1).clamp(-1, 1))
        basis = torch.stack([torch.cos(order * angle) for order in range(self.speed_order + 1)], -1)
        per_row = basis.repeat_interleave(len(rows) // basis[..., 0].numel(), 1).flatten(0, 1)
        return (rows.unsqueeze(-1) * per_row.unsqueeze(-2)).flatten(-2), classes


def _scale(history: Csi) -> torch.Tensor:
    """Root mean square of each user's history, broadcastable to ``h``; 1 for an empty one."""
    power = history.h.abs().square().mean((-4, -3, -2, -1), keepdim=True)
    return torch.where(power > 0, power, 1.0).sqrt()
