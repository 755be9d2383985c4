"""A unit's drops through a predictor, a few at a time where all at once would not fit the memory."""

from __future__ import annotations

from dataclasses import replace

import torch

from linksim.blocks.prediction.base import Predictor
from linksim.core.csi import Csi


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
