"""Rel-16 enhanced Type II codebook: the Type II coefficients compressed over the band by a few delay taps."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.codebook import Codebook, Setting
from linksim.blocks.feedback.etype2_pmi import Etype2Pmi, Etype2Sizes, precoder_of, read_pmi, write_pmi
from linksim.blocks.feedback.etype2_search import search_pmi
from linksim.core.registry import register
from linksim.core.types import PositiveFloat


@register("feedback", "etype2")
class EnhancedType2(Codebook):
    """Enhanced Type II codebook of Rel-16: L beams, M delay taps, and the K_NZ largest coefficients.

    In subband t a layer is the sum over beams i, polarisations p and taps f of
    v_i p1_p p2_{i,f} phi_{i,f} exp(j 2 pi t n3_f / N3), normalised.

    Sources: TS 38.214, 5.2.2.2.5 and 5.2.3; TS 38.212, 6.3.2.1.2. Compared with quoted text of the standard: which
    combinations are excluded, the groups and priorities of part 2, the order i2,3, i1,5, i1,6 at the head of group 1.
    Compared with public implementations: the table of combinations, the tables of amplitudes, the taps of i1,5 and
    i1,6, the strongest coefficient. Compared with patents on the report: K_NZ of ceil(log2 K0) bits for one layer,
    ceil(log2 2 K0) for more. From knowledge of the standard alone: ceil(log2 K_NZ) bits of i1,8 for one layer, i1,7,
    i2,4, i2,5 in this order at the end of groups 1 and 2. Codebook subset restriction is left out.

    :param combination: paramCombination-r16: L, p and beta.
    :param rank: layers reported.
    :param precoders_per_subband: R, precoders (N3) a CQI subband.
    :param subband_size: the smaller or the larger of the two sizes of TS 38.214, Table 5.2.1.4-2.
    :param resource_block_khz: width of 12 subcarriers; the narrowest with at most 275 blocks in the band if empty.
    """

    def __init__(self, combination: Literal[1, 2, 3, 4, 5, 6, 7, 8] = 6, rank: Literal[1, 2, 3, 4] = 1,
                 precoders_per_subband: Literal[1, 2] = 1, subband_size: Literal["small", "large"] = "small",
                 resource_block_khz: PositiveFloat | None = None) -> None:
        super().__init__()
        self.combination = combination
        self.rank = rank
        self.precoders_per_subband = precoders_per_subband
        self.subband_size = subband_size
        self.resource_block_khz = resource_block_khz

    def sizes(self, setting: Setting) -> Etype2Sizes:
        """What the PMI's fields are dimensioned by.

        :raises ScenarioError: a combination that the standard excludes.
        """
        return Etype2Sizes.of(setting.ports, setting.num_layers, setting.num_subbands, self.combination,
                              self.precoders_per_subband)

    def search(self, v: torch.Tensor, setting: Setting) -> list[Etype2Pmi]:
        return search_pmi(v, self.sizes(setting))

    def write(self, pmi: Etype2Pmi, setting: Setting) -> BitWriter:
        return write_pmi(pmi, self.sizes(setting))

    def read(self, reader: BitReader, setting: Setting) -> Etype2Pmi:
        return read_pmi(reader, self.sizes(setting))

    def precoder(self, pmi: Etype2Pmi, setting: Setting) -> torch.Tensor:
        return precoder_of(pmi, self.sizes(setting))

    def least_bits(self, setting: Setting) -> int:
        return self.sizes(setting).report_bits(setting.num_layers)
