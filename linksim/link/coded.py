"""Transport blocks through encoder, precoded OFDM over the true channel, pilots, detection and decoder."""

from __future__ import annotations

import functools
import math

import torch
from scipy.special import j0
from sionna.phy.mapping import Constellation, Demapper, Mapper

from linksim.channel.drops import Drops
from linksim.link.slots import Blocks, SlotFormat
from linksim.link.transport_block import REDUNDANCY_VERSIONS, TransportBlockCode
from linksim.scenario.coding import NUM_SYMBOLS, Coding
from linksim.scenario.schema import Scenario
from linksim.seeding import generator, stream_seed

PILOTS = {1: (2,), 2: (2, 11), 3: (2, 7, 11), 4: (2, 5, 8, 11)}
"""Symbols of a slot with pilots, by their number (TS 38.211, Table 7.4.1.1.2-3, mapping type A)."""


def send_blocks(scenario: Scenario, drops: Drops, weights: torch.Tensor, mcs: torch.Tensor, blocks: Blocks,
                slot: SlotFormat, noise_variance: float, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Send a block to every user in every slot, again in the next ones as long as it is lost and may be repeated.

    All users are served in every slot. A user whose block has arrived early gets other symbols, so that interference
    stays what it is.

    :param weights: ``[batch, slot, subcarrier, bs_ant, user * stream]``, held within a slot.
    :param mcs: ``[batch, slot, user]``; a block keeps that of its first slot.
    :returns: MCS, lost and slots used of every block, ``[batch, block, user]``.
    """
    coding = scenario.link.coding
    draw = generator(stream_seed(seed, "coded blocks"))
    tries = coding.transmissions
    starts = range(0, weights.shape[1] - tries + 1, tries)
    mcs = mcs[:, list(starts)]
    lost, used = torch.ones_like(mcs, dtype=torch.bool), torch.zeros_like(mcs, dtype=torch.double)
    for number, start in enumerate(starts):
        waiting = _Waiting(mcs[:, number], blocks, slot, coding, draw)
        for attempt in range(tries):
            used[:, number] += waiting.lost
            received = _through_channel(scenario, drops, weights[:, start + attempt], start + attempt,
                                        waiting.symbols(attempt), slot, noise_variance, draw)
            waiting.hear(*received, attempt)
            if not waiting.lost.any():
                break
        lost[:, number] = waiting.lost
    return mcs, lost, used


class _Waiting:
    """The blocks of one slot and what of them has been heard so far.

    :param mcs: ``[batch, user]``.
    """

    def __init__(self, mcs: torch.Tensor, blocks: Blocks, slot: SlotFormat, coding: Coding, draw: torch.Generator
                 ) -> None:
        self.mcs, self.slot, self.draw = mcs, slot, draw
        self.lost = torch.ones_like(mcs, dtype=torch.bool)
        self.codes = {number: code_of(blocks, number, slot, coding.decoder_iterations)
                      for number in mcs.unique().tolist()}
        self.orders = blocks.order
        self.bits = {number: torch.randint(2, (int((mcs == number).sum()), code.num_bits), generator=draw).float()
                     for number, code in self.codes.items()}
        self.heard: dict[int, list[torch.Tensor]] = {number: [] for number in self.codes}

    def symbols(self, attempt: int) -> torch.Tensor:
        """Of every stream, ``[batch, user, stream, resource]``, unit power; layers take turns symbol by symbol."""
        sent = torch.zeros(*self.mcs.shape, self.slot.num_streams, self.slot.num_resources, dtype=torch.complex64)
        for number, code in self.codes.items():
            coded = code.encode(self.bits[number], REDUNDANCY_VERSIONS[attempt])
            points = _mapper(int(self.orders[number]))(coded)
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
            self.heard[number].append(_demapper(int(self.orders[number]))(points, variance))
            open_ = self.lost[mine]
            if not open_.any():
                continue
            bits, passed = code.decode([llr[open_] for llr in self.heard[number]], REDUNDANCY_VERSIONS[:attempt + 1])
            passed &= (bits == self.bits[number][open_]).all(-1)  # a CRC passes by chance once in 2^16 to 2^24
            still = open_.clone()
            still[open_] = ~passed
            self.lost[mine] = still


def code_of(blocks: Blocks, mcs: int, slot: SlotFormat, iterations: int) -> TransportBlockCode:
    """The code of an MCS in a slot."""
    order = int(blocks.order[mcs])
    return _code(int(blocks.num_bits[mcs]), order * slot.num_resources * slot.num_streams, float(blocks.rate[mcs]),
                 order, slot.num_streams, iterations)


_code = functools.lru_cache(maxsize=64)(TransportBlockCode)


def pilot_loss(coding: Coding, slot: SlotFormat) -> float:
    """What errors of estimated channels add to a terminal's noise, relative to it, where channels hardly change in a
    slot.

    The estimate of each stream that a terminal wants has an error of its own: the noise of all a tone's subcarriers
    together in a pilot symbol, times what joining pilot symbols leaves of it.
    """
    pilots = torch.tensor(PILOTS[coding.pilot_symbols], dtype=torch.float64)
    data = torch.tensor([symbol for symbol in range(NUM_SYMBOLS) if symbol not in pilots.tolist()]).double()
    left = {"perfect": 0.0, "lmmse": 1 / len(pilots),
            "ls": float(_lines(pilots, data).square().sum(-1).mean())}[coding.receiver]
    return left * slot.num_streams / slot.subcarriers


def _through_channel(scenario: Scenario, drops: Drops, weights: torch.Tensor, number: int, symbols: torch.Tensor,
                     slot: SlotFormat, noise_variance: float, draw: torch.Generator
                     ) -> tuple[torch.Tensor, torch.Tensor]:
    """What terminals make of a slot: equalised symbols and their noise, ``[batch, user, stream, resource]``.

    Resources run over subcarriers first, then over symbols.
    """
    coding = scenario.link.coding
    pilots = list(PILOTS[coding.pilot_symbols])
    data = [symbol for symbol in range(NUM_SYMBOLS) if symbol not in pilots]
    centre_s = drops.future.time_s[number:number + 1]
    offsets_s = (torch.arange(NUM_SYMBOLS, dtype=torch.float64) - (NUM_SYMBOLS - 1) / 2) * coding.slot_s / NUM_SYMBOLS
    h = drops.downlink_at(centre_s.cpu() + offsets_s, number).cpu()  # [batch, user, ue_ant, bs_ant, symbol, tone]
    effective = torch.einsum("buantk,bkns->btkuas", h, weights.cpu())
    # [batch, symbol, tone, user, ue_ant, stream of any user]
    known = effective[:, data] if coding.receiver == "perfect" else _estimated(
        effective[:, pilots], offsets_s[pilots], offsets_s[data], drops.future.max_doppler_hz.cpu(), coding,
        noise_variance / slot.subcarriers, draw)
    true = effective[:, data]
    tones, users = true.shape[2], true.shape[3]
    sent = symbols.flatten(1, 2).unflatten(-1, (len(data), tones, slot.subcarriers))
    received = torch.einsum("btkuas,bstkf->btkuaf", true, sent)
    received = received + _noise(received.shape, noise_variance, draw)
    filters, share = _mmse(known, noise_variance * (1 + pilot_loss(coding, slot)), users)
    heard = torch.einsum("btkusa,btkuaf->btkusf", filters, received) / share[..., None]
    variance = ((1 - share) / share)[..., None].expand(*share.shape, slot.subcarriers)
    return tuple(part.permute(0, 3, 4, 1, 2, 5).flatten(3) for part in (heard, variance))


def _estimated(at_pilots: torch.Tensor, pilot_s: torch.Tensor, data_s: torch.Tensor, doppler_hz: torch.Tensor,
               coding: Coding, noise_variance: float, draw: torch.Generator) -> torch.Tensor:
    """Effective channels at the data symbols from precoded pilots, one tone at a time.

    Streams' pilots lie on subcarriers of their own, with the whole power: all subcarriers of a tone together tell each
    stream with the noise of one at full power.

    :param at_pilots: true, ``[batch, pilot, tone, user, ue_ant, stream]``, streams of all users.
    :param noise_variance: of the estimate in one pilot symbol.
    """
    seen = at_pilots + _noise(at_pilots.shape, noise_variance, draw)
    if coding.receiver == "ls" or (len(pilot_s) == 1 and not doppler_hz.any()):
        return torch.einsum("dp,bpkuas->bdkuas", _lines(pilot_s, data_s).to(seen.dtype), seen)
    # [batch, user, ue_ant, stream]
    power = (seen.abs().square().mean((1, 2)) - noise_variance).clamp_min(1e-3 * noise_variance)
    apart = 2 * math.pi * doppler_hz.double()[..., None, None]
    own = torch.from_numpy(j0((apart * (pilot_s[:, None] - pilot_s).abs()).numpy()))
    cross = torch.from_numpy(j0((apart * (data_s[:, None] - pilot_s).abs()).numpy()))
    noise = (noise_variance / power.double())[..., None, None] * torch.eye(len(pilot_s), dtype=torch.float64)
    total = own[:, :, None, None] + noise  # [..., pilot, pilot]
    weights = torch.linalg.solve(total, cross[:, :, None, None].mT.expand(*total.shape[:-1], len(data_s))).mT
    return torch.einsum("buasdp,bpkuas->bdkuas", weights.to(seen.dtype), seen)


def _lines(pilot_s: torch.Tensor, data_s: torch.Tensor) -> torch.Tensor:
    """Weights of pilots at data symbols, ``[data, pilot]``: straight lines between neighbours, drawn on beyond them."""
    if len(pilot_s) == 1:
        return torch.ones(len(data_s), 1, dtype=torch.float64)
    right = torch.searchsorted(pilot_s, data_s).clamp(1, len(pilot_s) - 1)
    share = (data_s - pilot_s[right - 1]) / (pilot_s[right] - pilot_s[right - 1])
    weights = torch.zeros(len(data_s), len(pilot_s), dtype=torch.float64)
    rows = torch.arange(len(data_s))
    weights[rows, right - 1], weights[rows, right] = 1 - share, share
    return weights


def _mmse(known: torch.Tensor, noise_variance: float, users: int) -> tuple[torch.Tensor, torch.Tensor]:
    """LMMSE filters of every user's own streams, ``[..., user, stream, ue_ant]``, and what share of a symbol they let
    through, ``[..., user, stream]``; what other streams send is interference.
    """
    antennas, streams = known.shape[-2:]
    per_user = streams // users
    own = torch.stack([known[..., user, :, user * per_user:(user + 1) * per_user] for user in range(users)], -3)
    if antennas == 1:
        total = known.abs().square().sum(-1, keepdim=True) + noise_variance  # [..., user, 1, 1]
        filters = (own.conj() / total).mT
    else:
        covariance = known @ known.mH + noise_variance * torch.eye(antennas, dtype=known.dtype)
        filters = torch.linalg.solve(covariance, own).mH
    share = (filters @ own).diagonal(dim1=-2, dim2=-1).real
    return filters, share.clamp(1e-6, 1 - 1e-6)


def _noise(shape: torch.Size, variance: float, draw: torch.Generator) -> torch.Tensor:
    return math.sqrt(variance) * torch.randn(shape, dtype=torch.complex64, generator=draw)


@functools.cache
def _constellation(order: int) -> Constellation:
    return Constellation("qam", order)


@functools.cache
def _mapper(order: int) -> Mapper:
    return Mapper(constellation=_constellation(order))


@functools.cache
def _demapper(order: int) -> Demapper:
    return Demapper("app", constellation=_constellation(order))
