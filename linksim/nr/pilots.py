"""Pilots of a slot, and what a terminal estimates its effective channels by them."""

from __future__ import annotations

import math

import torch
from scipy.special import j0

from linksim.mimo.noise import complex_normal
from linksim.nr.slots import SlotFormat
from linksim.scenario.coding import NUM_SYMBOLS, Coding

PILOTS = {1: (2,), 2: (2, 11), 3: (2, 7, 11), 4: (2, 5, 8, 11)}
"""Symbols of a slot with pilots, by their number (TS 38.211, Table 7.4.1.1.2-3, mapping type A)."""


def data_symbols(coding: Coding) -> list[int]:
    """Symbols of a slot without pilots."""
    return [symbol for symbol in range(NUM_SYMBOLS) if symbol not in PILOTS[coding.pilot_symbols]]


def pilot_loss(coding: Coding, slot: SlotFormat) -> float:
    """What errors of estimated channels add to a terminal's noise, relative to it, where channels hardly change in a
    slot.

    The estimate of each stream that a terminal wants has an error of its own: the noise of all a tone's subcarriers
    together in a pilot symbol, times what joining pilot symbols leaves of it.
    """
    pilots = torch.tensor(PILOTS[coding.pilot_symbols], dtype=torch.float64)
    data = torch.tensor(data_symbols(coding)).double()
    left = {"perfect": 0.0, "lmmse": 1 / len(pilots),
            "ls": float(lines_between(pilots, data).square().sum(-1).mean())}[coding.receiver]
    return left * slot.num_streams / slot.subcarriers


def estimated_channel(at_pilots: torch.Tensor, pilot_s: torch.Tensor, data_s: torch.Tensor, doppler_hz: torch.Tensor,
                      coding: Coding, noise_variance: float, draw: torch.Generator) -> torch.Tensor:
    """Effective channels at the data symbols from precoded pilots, one tone at a time.

    Streams' pilots lie on subcarriers of their own, with the whole power: all subcarriers of a tone together tell each
    stream with the noise of one at full power.

    :param at_pilots: true, ``[batch, pilot, tone, user, ue_ant, stream]``, streams of all users.
    :param pilot_s: times of the pilots, ``[pilot]``, float64; ``data_s`` of the data, ``[data]``.
    :param doppler_hz: largest of each user, ``[batch, user]``.
    :param noise_variance: of the estimate in one pilot symbol.
    :returns: ``[batch, data, tone, user, ue_ant, stream]``.
    """
    seen = at_pilots + math.sqrt(noise_variance) * complex_normal(at_pilots.shape, draw)
    if coding.receiver == "ls" or (len(pilot_s) == 1 and not doppler_hz.any()):
        return torch.einsum("dp,bpkuas->bdkuas", lines_between(pilot_s, data_s).to(seen.dtype), seen)
    # [batch, user, ue_ant, stream]
    power = (seen.abs().square().mean((1, 2)) - noise_variance).clamp_min(1e-3 * noise_variance)
    apart = 2 * math.pi * doppler_hz.double()[..., None, None]
    own = torch.from_numpy(j0((apart * (pilot_s[:, None] - pilot_s).abs()).numpy()))
    cross = torch.from_numpy(j0((apart * (data_s[:, None] - pilot_s).abs()).numpy()))
    noise = (noise_variance / power.double())[..., None, None] * torch.eye(len(pilot_s), dtype=torch.float64)
    total = own[:, :, None, None] + noise  # [..., pilot, pilot]
    weights = torch.linalg.solve(total, cross[:, :, None, None].mT.expand(*total.shape[:-1], len(data_s))).mT
    return torch.einsum("buasdp,bpkuas->bdkuas", weights.to(seen.dtype), seen)


def lines_between(pilot_s: torch.Tensor, data_s: torch.Tensor) -> torch.Tensor:
    """Weights of pilots at data symbols, ``[data, pilot]``: straight lines between neighbours, drawn on beyond them."""
    if len(pilot_s) == 1:
        return torch.ones(len(data_s), 1, dtype=torch.float64)
    right = torch.searchsorted(pilot_s, data_s).clamp(1, len(pilot_s) - 1)
    share = (data_s - pilot_s[right - 1]) / (pilot_s[right] - pilot_s[right - 1])
    weights = torch.zeros(len(data_s), len(pilot_s), dtype=torch.float64)
    rows = torch.arange(len(data_s))
    weights[rows, right - 1], weights[rows, right] = 1 - share, share
    return weights
