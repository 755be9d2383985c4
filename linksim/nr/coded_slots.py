"""Transport blocks through encoder, precoded OFDM over the true channel, pilots, detection and decoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from linksim.core.seeding import generator, stream_seed
from linksim.mimo.noise import complex_normal
from linksim.mimo.receiver import lmmse, own_streams
from linksim.nr.modulation import demodulate, modulate
from linksim.nr.pilots import PILOTS, data_symbols, estimated_channel, pilot_loss
from linksim.nr.slots import SlotFormat
from linksim.nr.transport_block import REDUNDANCY_VERSIONS, BlockSizes, code_of
from linksim.scenario.coding import NUM_SYMBOLS, Coding

_LEAST_SHARE = 1e-6
"""Least share of a symbol that filters leave: streams that are hardly heard are taken for ones of this SINR, none for
better than its inverse."""


@dataclass(frozen=True)
class Downlink:
    """The true downlink in every slot.

    :param at: channel ``[batch, user, ue_ant, bs_ant, time, tone]`` in the slot of a number, at times ``[time]``
        relative to its middle, s; on the CPU.
    :param max_doppler_hz: of each user, ``[batch, user]``.
    :param noise_variance: per complex entry.
    """

    at: Callable[[int, torch.Tensor], torch.Tensor]
    max_doppler_hz: torch.Tensor
    noise_variance: float


def send_blocks(coding: Coding, slot: SlotFormat, sizes: BlockSizes, downlink: Downlink, weights: torch.Tensor,
                mcs: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Send a block to every user in every slot, again in the next ones as long as it is lost and may be repeated.

    All users are served in every slot. A user whose block has arrived early gets other symbols, so that interference
    stays what it is.

    :param weights: ``[batch, slot, tone, bs_ant, user * stream]``, held within a slot.
    :param mcs: ``[batch, slot, user]``; a block keeps that of its first slot.
    :returns: MCS, lost and slots used of every block, ``[batch, block, user]``.
    """
    draw = generator(stream_seed(seed, "coded blocks"))
    tries = coding.transmissions
    starts = range(0, weights.shape[1] - tries + 1, tries)
    mcs = mcs[:, list(starts)]
    lost, used = torch.ones_like(mcs, dtype=torch.bool), torch.zeros_like(mcs, dtype=torch.double)
    for number, start in enumerate(starts):
        waiting = _Waiting(mcs[:, number], sizes, slot, coding, draw)
        for attempt in range(tries):
            used[:, number] += waiting.lost
            waiting.hear(*_through_channel(coding, slot, downlink, weights[:, start + attempt], start + attempt,
                                           waiting.symbols(attempt), draw), attempt)
            if not waiting.lost.any():
                break
        lost[:, number] = waiting.lost
    return mcs, lost, used


class _Waiting:
    """The blocks of one slot and what of them has been heard so far.

    :param mcs: ``[batch, user]``.
    """

    def __init__(self, mcs: torch.Tensor, sizes: BlockSizes, slot: SlotFormat, coding: Coding, draw: torch.Generator
                 ) -> None:
        self.mcs, self.slot, self.draw = mcs, slot, draw
        self.lost = torch.ones_like(mcs, dtype=torch.bool)
        self.codes = {number: code_of(sizes, number, slot, coding.decoder_iterations)
                      for number in mcs.unique().tolist()}
        self.bits = {number: torch.randint(2, (int((mcs == number).sum()), code.num_bits), generator=draw).float()
                     for number, code in self.codes.items()}
        self.heard: dict[int, list[torch.Tensor]] = {number: [] for number in self.codes}

    def symbols(self, attempt: int) -> torch.Tensor:
        """Symbols of every stream, ``[batch, user, stream, resource]``, unit power; layers take turns by symbol."""
        sent = torch.zeros(*self.mcs.shape, self.slot.num_streams, self.slot.num_resources, dtype=torch.complex64)
        for number, code in self.codes.items():
            points = modulate(code.encode(self.bits[number], REDUNDANCY_VERSIONS[attempt]), code.order)
            sent[self.mcs == number] = points.unflatten(-1, (-1, self.slot.num_streams)).mT
        # who has the block already is sent something else of the same power
        other = torch.polar(torch.ones(sent.shape), 2 * math.pi * torch.rand(sent.shape, generator=self.draw))
        return torch.where(self.lost[..., None, None], sent, other)

    def hear(self, received: torch.Tensor, noise: torch.Tensor, attempt: int) -> None:
        """Take what a terminal has equalised, ``[batch, user, stream, resource]``, and its noise; decode all
        together."""
        for number, code in self.codes.items():
            mine = self.mcs == number
            points, variance = (part[mine].mT.flatten(1) for part in (received, noise))
            self.heard[number].append(demodulate(points, variance, code.order))
            open_ = self.lost[mine]
            if not open_.any():
                continue
            bits, passed = code.decode([llr[open_] for llr in self.heard[number]], REDUNDANCY_VERSIONS[:attempt + 1])
            passed &= (bits == self.bits[number][open_]).all(-1)  # a CRC passes by chance once in 2^16 to 2^24
            still = open_.clone()
            still[open_] = ~passed
            self.lost[mine] = still


def _through_channel(coding: Coding, slot: SlotFormat, downlink: Downlink, weights: torch.Tensor, number: int,
                     symbols: torch.Tensor, draw: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """What terminals make of a slot: equalised symbols and their noise, ``[batch, user, stream, resource]``.

    Resources run over subcarriers first, then over symbols.
    """
    noise_variance = downlink.noise_variance
    pilots, data = list(PILOTS[coding.pilot_symbols]), data_symbols(coding)
    offsets_s = (torch.arange(NUM_SYMBOLS, dtype=torch.float64) - (NUM_SYMBOLS - 1) / 2) * coding.slot_s / NUM_SYMBOLS
    effective = torch.einsum("buantk,bkns->btkuas", downlink.at(number, offsets_s), weights.cpu())
    # [batch, symbol, tone, user, ue_ant, stream of any user]
    true = effective[:, data]
    known = true if coding.receiver == "perfect" else estimated_channel(
        effective[:, pilots], offsets_s[pilots], offsets_s[data], downlink.max_doppler_hz.cpu(), coding,
        noise_variance / slot.subcarriers, draw)
    sent = symbols.flatten(1, 2).unflatten(-1, (len(data), true.shape[2], slot.subcarriers))
    received = torch.einsum("btkuas,bstkf->btkuaf", true, sent)
    received = received + math.sqrt(noise_variance) * complex_normal(received.shape, draw)
    filters, share = lmmse(own_streams(known), known, noise_variance * (1 + pilot_loss(coding, slot)))
    share = share.clamp(_LEAST_SHARE, 1 - _LEAST_SHARE)
    heard = torch.einsum("btkusa,btkuaf->btkusf", (filters / share[..., None]).to(received.dtype), received)
    variance = ((1 - share) / share).float()[..., None].expand(heard.shape)
    heard, variance = (part.permute(0, 3, 4, 1, 2, 5).flatten(3) for part in (heard, variance))
    return heard, variance
