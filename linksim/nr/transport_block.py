"""One transport block's way into coded bits and back: CRCs, segmentation, LDPC code, redundancy versions,
scrambling.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sionna.phy.fec.ldpc import LDPC5GDecoder
from sionna.phy.fec.scrambling import Descrambler
from sionna.phy.nr import TBEncoder
from sionna.phy.nr.utils import TransportBlockNR

from linksim.nr.slots import LEAST_RATE, MCS_TABLES, NUM_MCS, SlotFormat

_LEAST_RATE_OF_LARGE, _LARGEST_OF_LOW_RATES = 1 / 3, 3840
"""Base graph 1 ends at this rate in Sionna, base graph 2 at this size."""


@dataclass(frozen=True)
class BlockSizes:
    """Transport blocks by MCS, each ``[MCS]``; those that cannot be have an order of 0.

    :param order: bits of a symbol; ``rate``, target code rate.
    :param num_bits: of the block, ``code_block``, of a code block with its CRCs; ``num_code_blocks``.
    :param true_rate: of the code blocks, CRCs included: sizes of blocks are rounded.
    """

    order: torch.Tensor
    rate: torch.Tensor
    num_bits: torch.Tensor
    code_block: torch.Tensor
    num_code_blocks: torch.Tensor
    true_rate: torch.Tensor

    @property
    def usable(self) -> torch.Tensor:
        return self.order > 0


def block_sizes(slot: SlotFormat, mcs_table: int) -> BlockSizes:
    """Block sizes of every MCS of a table in a slot.

    Source: TS 38.214, 5.1.3.2, from the coded bits of a slot; rates below 1/5 are left out, since Sionna's code has
    none.
    """
    order, rate = torch.zeros(NUM_MCS, dtype=torch.int32), torch.zeros(NUM_MCS)
    for mcs, entry in enumerate(MCS_TABLES[mcs_table]):
        order[mcs], rate[mcs] = entry
    usable = (order > 0) & (rate >= LEAST_RATE)
    known = torch.where(usable, order, 2), torch.where(usable, rate, 0.5)
    coded = known[0] * slot.num_symbols
    num_bits, code_block, count = TransportBlockNR().transport_block_size(known[0], known[1], coded)
    true_rate = (code_block * count).double() / coded
    usable &= (true_rate > _LEAST_RATE_OF_LARGE) | (code_block <= _LARGEST_OF_LOW_RATES)
    return BlockSizes(torch.where(usable, order, 0), rate, num_bits.long(), code_block.long(), count.long(), true_rate)


REDUNDANCY_VERSIONS = (0, 2, 3, 1)
"""In the order of transmissions (TS 38.214, 5.1.2.1)."""


class TransportBlockCode:
    """Blocks of one size, on the CPU or wherever their bits are.

    :param num_bits: of a block; ``num_coded``, of each transmission.
    :param rate: target code rate, which chooses the base graph; ``order``, bits of a symbol; ``num_layers``, streams.
    :param iterations: of belief propagation.

    Source: TS 38.212, 5 and 7.2, through Sionna's `TBEncoder`, `LDPC5GEncoder` and `LDPC5GDecoder`. Sionna's
    `TBEncoder` knows one redundancy version; its parts know all four.
    """

    def __init__(self, num_bits: int, num_coded: int, rate: float, order: int, num_layers: int, iterations: int,
                 device: str = "cpu") -> None:
        self.num_bits, self.num_coded, self.order = num_bits, num_coded, order
        self._parts = parts = TBEncoder(num_bits, num_coded, rate, order, num_layers, channel_type="PDSCH",
                                        device=device)
        if parts.k_padding:
            raise ValueError(f"a block of {num_bits} bits is none of TS 38.214 for {num_coded} coded bits")
        # that of one transmission leaves out the part of the graph which it does not reach
        self._alone, self._joint = (LDPC5GDecoder(parts.ldpc_encoder, num_iter=iterations, hard_out=True,
                                                  return_infobits=True, harq_mode=several, device=device)
                                    for several in (False, True))
        self._descrambler = Descrambler(parts.scrambler, binary=False, device=device)

    def encode(self, bits: torch.Tensor, version: int) -> torch.Tensor:
        """Coded bits ``[block, coded]`` of blocks ``[block, bit]`` in a redundancy version."""
        parts = self._parts
        whole = parts.tb_crc_encoder(bits.float())
        segments = whole.reshape(len(bits), parts.num_cbs, -1)
        if parts.cb_crc_encoder is not None:
            segments = parts.cb_crc_encoder(segments)
        coded = parts.ldpc_encoder(segments, rv=[version])[..., 0, :].reshape(len(bits), 1, -1)
        # the inverse permutation puts bits back; its own inverse deals them out
        dealt = coded[..., parts.output_perm_inv.argsort()][..., :parts.cw_lengths_sum]
        return parts.scrambler(dealt)[:, 0]

    def decode(self, llr: Sequence[torch.Tensor], versions: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Blocks ``[block, bit]`` and which passed their CRC, bool, ``[block]``.

        :param llr: of each transmission, ``[block, coded]``, log of the chance of a one over that of a zero.
        :param versions: of each transmission.
        """
        parts = self._parts
        found = [self._gathered(one) for one in llr]
        segments = self._alone(found[0]) if list(versions) == [0] else self._joint(torch.stack(found, -2),
                                                                                   rv=list(versions))
        if parts.cb_crc_encoder is not None:
            segments = segments[..., :-parts.cb_crc_encoder.crc_length]
        whole = segments.reshape(len(llr[0]), -1)
        bits = whole[:, :self.num_bits]
        passed = (parts.tb_crc_encoder(bits) == whole).all(-1)
        return bits, passed

    def _gathered(self, llr: torch.Tensor) -> torch.Tensor:
        """By code block, zeros for what was not sent: ``[block, code block, coded]``."""
        parts = self._parts
        plain = self._descrambler(llr.float()[:, None])
        length = parts.ldpc_encoder.n
        missing = plain.new_zeros(len(plain), 1, length * parts.num_cbs - plain.shape[-1])
        return torch.cat([plain, missing], -1)[..., parts.output_perm_inv].reshape(len(plain), parts.num_cbs, length)


def code_of(sizes: BlockSizes, mcs: int, slot: SlotFormat, iterations: int) -> TransportBlockCode:
    """The code of an MCS in a slot."""
    order = int(sizes.order[mcs])
    return _code(int(sizes.num_bits[mcs]), order * slot.num_symbols, float(sizes.rate[mcs]), order, slot.num_streams,
                 iterations)


_code = functools.lru_cache(maxsize=64)(TransportBlockCode)
