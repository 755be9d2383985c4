"""IdasNet: self-information picks the elements that are reported, two residual networks restore the rest.

The decoder is LLMCsiNet's preliminary decoder f_PD too. 3,362 parameters; the paper says 3.36 K, for both, whatever the
compression.

Source: LLMCsiNet, Section IV-C, Fig. 3 and Table IV; Z. Yin et al., "Deep CSI Compression for Massive MIMO: A
Self-information Model-driven Neural Network", IEEE Trans. Wireless Commun. 21(10), 2022. The text says that a residual
network's input is "concatenated" with its feature maps; sizes are not given. CsiNet's RefineNets, whose input is added,
and a 3 x 3 convolution with biases have just the published number of parameters, and are taken for it. The last
convolution has neither normalisation nor activation: the window is signed.
"""

from __future__ import annotations

import torch

from linksim.blocks.feedback.masked import MaskedCodec
from linksim.blocks.feedback.networks.csinet import RefineNet
from linksim.blocks.feedback.networks.layers import begin_small
from linksim.blocks.feedback.rules import several_numbers
from linksim.core.registry import register


class PreliminaryDecoder(torch.nn.Sequential):
    """The filled matrix K to the preliminary H_p, both ``[n, 2, rows, beams]`` with zero for zero."""

    def __init__(self) -> None:
        refinements = RefineNet(), RefineNet()
        for refinement in refinements:
            begin_small(refinement.path[-1])
        super().__init__(*refinements, torch.nn.Conv2d(2, 2, 3, padding="same"))


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
