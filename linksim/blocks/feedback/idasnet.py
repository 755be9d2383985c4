"""IdasNet: self-information picks the elements that are reported, two residual networks restore the rest."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.feedback.masked import MaskedCodec
from linksim.blocks.feedback.networks.idasnet import PreliminaryDecoder
from linksim.blocks.feedback.requirements import several_numbers
from linksim.core.registry import register
from linksim.core.types import PositiveInt


@register("feedback", "idasnet", trains=True, requires=several_numbers)
class IdasNetCodec(MaskedCodec):
    """Self-information encoder and a decoder of two residual networks: LLMCsiNet without its language model.

    :param num_values: elements reported of each terminal antenna; 221 are the paper's compression of 1/8.
    :param bits: per report, at most.
    :param several_values: one network for all of these numbers of elements; a report has as many as fit.
    :param value_bits: of a value, with several_values.
    :param quantization: of the values.
    :param delay_window: delay rows kept.
    :param selection: "self_information", or a control: the "strongest" elements of the channel itself, "random" ones.

    Source: Yin, Xu, Xie, Zhang and Wang, "Deep CSI compression for massive MIMO: a self-information model-driven neural
    network", IEEE Trans. Wireless Commun. 21(10), 2022, as LLMCsiNet describes it.
    """

    def __init__(self, num_values: PositiveInt = 221, bits: PositiveInt = 2048,
                 several_values: list[PositiveInt] | None = None,
                 value_bits: PositiveInt = 4, quantization: Literal["lloyd_max", "uniform", "none"] = "lloyd_max",
                 delay_window: PositiveInt = 32,
                 selection: Literal["self_information", "strongest", "random"] = "self_information") -> None:
        super().__init__(num_values, several_values or [], value_bits, bits, quantization, delay_window, selection)

    @property
    def sides(self) -> tuple[list[torch.nn.Module], list[torch.nn.Module]]:
        return [self.selector], [self.preliminary]

    def make_decoder(self, rows: int, beams: int) -> None:
        self.preliminary = PreliminaryDecoder()

    def restored(self, filled: torch.Tensor) -> torch.Tensor:
        return self.preliminary(filled)
