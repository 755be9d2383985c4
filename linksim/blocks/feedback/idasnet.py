"""IdasNet: self-information picks the elements that are reported, two residual networks restore the rest."""

from __future__ import annotations

import torch

from linksim.blocks.feedback.masked import MaskedCodec
from linksim.blocks.feedback.networks.idasnet import PreliminaryDecoder
from linksim.blocks.feedback.requirements import several_numbers
from linksim.core.registry import register


@register("feedback", "idasnet", trains=True, requires=several_numbers)
class IdasNetCodec(MaskedCodec):
    """Self-information encoder and a decoder of two residual networks: LLMCsiNet without its language model.

    Source: Yin, Xu, Xie, Zhang and Wang, "Deep CSI compression for massive MIMO: a self-information model-driven neural
    network", IEEE Trans. Wireless Commun. 21(10), 2022, as LLMCsiNet describes it.
    """

    @property
    def sides(self) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
        return [self.selector], [self.preliminary]

    def make_decoder(self, rows: int, beams: int) -> None:
        self.preliminary = PreliminaryDecoder()

    def restored(self, filled: torch.Tensor) -> torch.Tensor:
        return self.preliminary(filled)
