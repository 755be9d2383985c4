"""The ceilings: precoder and beam of the true channel."""

from __future__ import annotations

import torch

from linksim.blocks.universal.base import ChannelView, UniversalBlock, UniversalShape
from linksim.core.registry import register
from linksim.mimo.angle_delay import dft_codebook
from linksim.mimo.precoding import band_precoder


@register("universal", "true_channel")
class TrueChannel(UniversalBlock):
    """What no model can be better at: the band's dominant singular vectors and the strongest beam of the true channel.

    Source: T. Lo, "Maximum ratio transmission", IEEE Trans. Commun. 47(10), 1999.
    """

    knows_truth = True

    def tasks(self) -> dict[str, str]:
        return {"precoding": "channel", "beam": "channel"}

    def prepare(self, shape: UniversalShape) -> None:
        self.panel, self.num_streams = shape.panel, shape.num_streams

    def answer(self, task: str, view: ChannelView) -> torch.Tensor:
        if task == "beam":
            return (view.h.mT @ dft_codebook(self.panel).to(view.h)).abs().square().sum((1, 2))
        return band_precoder(view.h, self.num_streams)
