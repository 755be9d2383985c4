"""Short payloads, each in one LDPC block over channel uses of different quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from sionna.phy.fec.crc import CRCDecoder, CRCEncoder
from sionna.phy.fec.ldpc import LDPC5GDecoder, LDPC5GEncoder

from linksim.nr.modulation import demodulate, modulate, scrambling, to_strings, to_tensor
from linksim.nr.short_block_plan import ShortBlockPlan, ShortBlockPlanner, crc_bits
from linksim.nr.slots import ORDERS

_LENGTHENINGS = (5.0, 4.0, 3.0, 2.5, 2.0, 1.75, 1.5, 1.3, 1.2, 1.1)
"""Coded bits for each bit of the block in the codes that are built; a code word is cut to what is sent of it."""

_FEW_ITERATIONS = 4
"""What a block with margin needs; only those whose check fails then get them all."""

_CHUNK, _ACCELERATOR_CHUNK = 60_000, 4_000_000
"""Coded bits decoded at a time: on a processor what its cache holds, which is up to 20 times as fast as all at once."""


@dataclass(frozen=True)
class Delivered:
    """What the receiver has of every block.

    :ivar payloads: bits as decoded, right or wrong; empty where nothing was sent.
    :ivar passed: whether the check passed, bool ``[block]``: what the receiver goes by.
    """

    payloads: list[str]
    passed: torch.Tensor


class ShortBlockLink:
    """Payloads as complex symbols and back: CRC, NR LDPC code, interleaver, scrambling, QAM by channel use.

    The code, its CRC and its base graph are NR's (on this project's grid: not the PDSCH). Rate matching takes the
    first bits of the circular buffer and repeats them below rate 1/5, where Sionna's codes end; a fixed interleaver
    spreads them over all channel uses. Modulation, payload and code follow from the `ShortBlockPlan`, which both ends
    have.

    :param planner: rule that makes plans; None for its defaults.
    :param num_iterations: of belief propagation, at most.

    Source: TS 38.212, 5.1 (CRC), 5.3.2 (LDPC), 5.4.2 (rate matching), 7.2.2 (base graph).
    """

    def __init__(self, planner: ShortBlockPlanner | None = None, num_iterations: int = 20) -> None:
        self.planner = planner or ShortBlockPlanner()
        self.num_iterations = num_iterations

    def plan(self, expected_sinr: torch.Tensor, wanted_bits: torch.Tensor | None = None) -> ShortBlockPlan:
        """See `ShortBlockPlanner.plan`."""
        return self.planner.plan(expected_sinr, wanted_bits)

    def transmit(self, payloads: Sequence[str], plan: ShortBlockPlan) -> torch.Tensor:
        """Symbols, complex64 ``[block, use]``, of unit mean power over a block where it sends anything.

        :param payloads: bits of every block, at most the plan's; filled up with zeros.
        :raises ValueError: a payload longer than planned, or their number is not the plan's.
        """
        if len(payloads) != len(plan.payload_bits):
            raise ValueError(f"{len(payloads)} payloads do not match a plan of {len(plan.payload_bits)}")
        too_long = [row for row, size in enumerate(plan.payload_bits.tolist()) if len(payloads[row]) > size]
        if too_long:
            row = too_long[0]
            raise ValueError(f"payload {row} has {len(payloads[row])} bits, its plan {int(plan.payload_bits[row])}")
        device = plan.orders.device
        symbols = torch.zeros(plan.orders.shape, dtype=torch.complex64, device=device)
        for code, rows in _groups(plan):
            bits = to_tensor([payloads[row] for row in rows.tolist()], code.payload_bits).to(device)
            coded = code.encoder(code.crc_encoder(bits))
            orders = plan.orders[rows]
            places, _ = _interleaving(plan.num_coded[rows], code.num_coded)
            slots = coded.gather(1, places)
            slots = (slots - scrambling(slots.shape[1], device)).abs()
            group = symbols[rows]
            for order, where, at in _by_order(orders):
                group[where] = modulate(slots[where[0][:, None], at], order).squeeze(-1)
            symbols[rows] = group
        return symbols * plan.amplitude

    def receive(self, received: torch.Tensor, noise_variance: torch.Tensor, plan: ShortBlockPlan) -> Delivered:
        """Decoded payloads and whether their checks pass.

        :param received: symbols as sent, with noise, complex ``[block, use]``.
        :param noise_variance: of the complex noise as the receiver believes, ``[block, use]``.
        """
        device = received.device
        payloads = [""] * len(received)
        passed = torch.zeros(len(received), dtype=torch.bool)
        received, noise_variance = received / plan.amplitude, noise_variance / plan.amplitude**2
        chunk = _CHUNK if device.type == "cpu" else _ACCELERATOR_CHUNK
        for code, every in _groups(plan):
            for rows in every.split(max(1, chunk // code.num_coded)):
                orders = plan.orders[rows]
                places, filled = _interleaving(plan.num_coded[rows], code.num_coded)
                ratio = torch.zeros(places.shape, device=device)
                for order, where, at in _by_order(orders):
                    y, noise = (part[rows][where].unsqueeze(-1) for part in (received, noise_variance))
                    ratio[where[0][:, None], at] = demodulate(y, noise, order)
                ratio = ratio * (1 - 2 * scrambling(places.shape[1], device)) * filled
                # what is not sent stays at zero, what is sent twice adds up
                coded = torch.zeros(len(rows), code.num_coded, device=device).scatter_add_(1, places, ratio)
                bits, valid = self._decode(code, coded)
                for row, one in zip(rows.tolist(), to_strings(bits)):
                    payloads[row] = one
                passed[rows.cpu()] = valid.cpu()
        return Delivered(payloads, passed)

    def _decode(self, code: _Code, ratio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        few = min(_FEW_ITERATIONS, self.num_iterations)
        bits, valid = code.crc_decoder(code.decoder(ratio, num_iter=few))
        valid = valid.squeeze(-1)
        failed = (~valid).nonzero().flatten()
        if few < self.num_iterations and len(failed):
            again, ok = code.crc_decoder(code.decoder(ratio[failed], num_iter=self.num_iterations))
            bits[failed], valid[failed] = again, ok.squeeze(-1)
        return bits, valid


class _Code:
    """Encoders and decoders of one payload size, code length and base graph."""

    def __init__(self, payload_bits: int, num_coded: int, base_graph: str, device: str) -> None:
        self.payload_bits, self.num_coded = payload_bits, num_coded
        where = {"precision": "single", "device": device}
        num_check = crc_bits(payload_bits)
        self.crc_encoder = CRCEncoder(f"CRC{num_check}", **where)
        self.crc_decoder = CRCDecoder(self.crc_encoder, **where)
        self.encoder = LDPC5GEncoder(payload_bits + num_check, num_coded, bg=base_graph, check_input=False, **where)
        self.decoder = LDPC5GDecoder(self.encoder, **where)


_code = lru_cache(maxsize=256)(_Code)


def _groups(plan: ShortBlockPlan) -> Iterator[tuple[_Code, torch.Tensor]]:
    """Codes in use and the rows that use each."""
    rows: dict[tuple[int, int, str], list[int]] = {}
    for row, (payload, sent) in enumerate(zip(plan.payload_bits.tolist(), plan.num_coded.tolist())):
        if payload:
            rows.setdefault((payload, *_length_and_graph(payload + crc_bits(payload), sent)), []).append(row)
    device = plan.orders.device
    for key in sorted(rows):
        yield _code(*key, str(device)), torch.tensor(rows[key], device=device)


def _length_and_graph(block: int, sent: int) -> tuple[int, str]:
    """Length of the code that the bits sent are the first of (all of, several times, below its rate)."""
    # TS 38.212, 7.2.2; blocks are at most 3824 bits long
    graph = "bg2" if block <= 292 or block <= 0.67 * sent else "bg1"
    fitting = [length for ratio in _LENGTHENINGS if (length := int(ratio * block)) >= sent]
    return min(fitting, default=int(_LENGTHENINGS[0] * block)), graph


def _interleaving(num_sent: torch.Tensor, num_coded: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Coded bit behind every bit sent, int64 ``[row, bit]``, and which of them are sent, as 0 and 1."""
    places = torch.zeros(len(num_sent), int(num_sent.max()), dtype=torch.int64)
    filled = torch.zeros(places.shape)
    for row, count in enumerate(num_sent.tolist()):
        places[row, :count] = _permutation(count) % num_coded
        filled[row, :count] = 1
    return places.to(num_sent.device), filled.to(num_sent.device)


@lru_cache(maxsize=1024)
def _permutation(length: int) -> torch.Tensor:
    return torch.randperm(length, generator=torch.Generator().manual_seed(length))


def _by_order(orders: torch.Tensor) -> Iterator[tuple[int, tuple[torch.Tensor, torch.Tensor], torch.Tensor]]:
    """For every order in use: its symbols' rows and uses, and the places of their bits, ``[symbol, bit]``."""
    start = orders.cumsum(-1) - orders
    for order in ORDERS:
        rows, uses = (orders == order).nonzero(as_tuple=True)
        if len(rows):
            yield order, (rows, uses), start[rows, uses][:, None] + torch.arange(order, device=orders.device)
