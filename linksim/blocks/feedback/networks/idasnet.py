"""IdasNet's decoder, which is LLMCsiNet's preliminary decoder f_PD: two residual networks.

3,362 parameters; the paper says 3.36 K, for both, whatever the compression.

Source: LLMCsiNet, Section IV-C, Fig. 3 and Table IV; Z. Yin et al., "Deep CSI Compression for Massive MIMO: A
Self-information Model-driven Neural Network", IEEE Trans. Wireless Commun. 21(10), 2022. The text says that a residual
network's input is "concatenated" with its feature maps; sizes are not given. CsiNet's RefineNets, whose input is added,
and a 3 x 3 convolution with biases have just the published number of parameters, and are taken for it. The last
convolution has neither normalisation nor activation: the window is signed.
"""

from __future__ import annotations

import torch

from linksim.blocks.feedback.networks.csinet import RefineNet
from linksim.blocks.feedback.networks.layers import begin_small


class PreliminaryDecoder(torch.nn.Sequential):
    """The filled matrix K to the preliminary H_p, both ``[n, 2, rows, beams]`` with zero for zero."""

    def __init__(self) -> None:
        refinements = RefineNet(), RefineNet()
        for refinement in refinements:
            begin_small(refinement.path[-1])
        super().__init__(*refinements, torch.nn.Conv2d(2, 2, 3, padding="same"))
