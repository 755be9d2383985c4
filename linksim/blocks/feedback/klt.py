"""Karhunen-Loeve transform with reverse water-filling and an entropy-coded scalar quantiser."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from linksim.blocks.feedback.base import ReportGrid
from linksim.blocks.feedback.bits import BitReader, BitWriter
from linksim.blocks.feedback.learned import ClosedFormCodec, FeedbackShape
from linksim.blocks.feedback.quantizer import SCALE_BITS, scale_code, scale_of
from linksim.blocks.feedback.symbols import (
    EVEN,
    NUM_CLASSES,
    NUM_DIRECT,
    NUM_TOKENS,
    classes_of,
    code_lengths,
    frequency_tables,
    magnitudes_of,
    read_number,
    symbols_of,
    tokens_of,
)
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveInt

STEP_BITS = 8
_STEPS_PER_OCTAVE = 16
"""Steps of the quantiser stand 0.38 dB apart; number 0 sends no values at all."""

_NEGLIGIBLE = 1e-6
"""Share of the energy that the frequency basis may lose to truncation."""


@register("feedback", "klt", trains=True)
class KltCodec(ClosedFormCodec):
    """Karhunen-Loeve transform of training drops, with entropy-coded values at a budget of bits.

    The basis is separable: eigenvectors of the antennas' covariance times those of the subcarriers', each averaged
    over training drops of unit power. Every coefficient has its trained variance. Reverse water-filling at rates that
    are not large is one quantiser step for all coefficients, those whose deviation is below 1/64 of it left out; the
    encoder takes the finest step whose report fits the budget. Terminal antennas are coded as independent.

    One covariance for all drops describes none of them: this is a codec, and no bound.

    :param bits: per report, at most.
    :param num_table_drops: training drops kept to learn variances and token frequencies.

    Source: reverse water-filling, Cover and Thomas, Theorem 10.3.3; uniform threshold quantiser with entropy coding,
    Farvardin and Modestino, IEEE Trans. Inf. Theory 30(3), 1984.
    """

    def __init__(self, bits: PositiveInt = 512, num_table_drops: PositiveInt = 500) -> None:
        super().__init__()
        self.bits = bits
        self.num_table_drops = num_table_drops
        self._forget()

    def _forget(self) -> None:
        self._sums: list[torch.Tensor] = []
        self._kept: dict[bool, list[torch.Tensor]] = {False: [], True: []}

    def prepare(self, shape: FeedbackShape) -> None:
        self.shape = shape
        antennas, tones = shape.panel.num_antennas, shape.num_subcarriers
        self.register_buffer("antenna_basis", torch.eye(antennas, dtype=torch.complex64))
        self.register_buffer("tone_basis", torch.eye(tones, dtype=torch.complex64))
        self.register_buffer("deviation", torch.ones(antennas * tones, dtype=torch.float32))
        self.register_buffer("tables", torch.ones(NUM_CLASSES, NUM_TOKENS, dtype=torch.int32))
        self.register_buffer("centroids", torch.arange(NUM_DIRECT, dtype=torch.float32).repeat(NUM_CLASSES, 1))

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        antennas, tones = self.shape.panel.num_antennas, self.shape.num_subcarriers
        kept = state["tone_basis"].shape[-1] if "tone_basis" in state and state["tone_basis"].ndim else 0
        if 0 < kept <= tones:  # as many as the training drops' energy takes
            self.tone_basis = torch.eye(tones, kept, dtype=torch.complex64)
            self.deviation = torch.ones(antennas * kept, dtype=torch.float32)
        super().restore(state)

    def minimum_bits(self, grid: ReportGrid) -> int:
        return SCALE_BITS + STEP_BITS

    # Training

    def observe(self, csi: Csi, validation: bool) -> None:
        h = _normalized(csi.h.cpu())  # [row, bs_ant, subcarrier], a row for each UE antenna
        if not validation:
            if not self._sums:
                self._sums = [torch.zeros(n, n, dtype=torch.complex128) for n in h.shape[1:]]
            self._sums[0] += (h @ h.mH).sum(0)
            by_tone = h.flatten(0, 1)
            self._sums[1] += by_tone.mT @ by_tone.conj()
        room = self.num_table_drops - sum(len(part) for part in self._kept[validation])
        if room > 0:
            self._kept[validation].append(h[:room])

    def solve(self) -> float:
        antenna_power, self.antenna_basis = _eigenbasis(self._sums[0])
        tone_power, tone_basis = _eigenbasis(self._sums[1])
        needed = int((tone_power.cumsum(0) < (1 - _NEGLIGIBLE) * tone_power.sum()).sum()) + 1
        self.tone_basis = tone_basis[:, :needed].contiguous()
        kept = torch.cat(self._kept[False])
        coefficients = self._forward(kept)
        prior = torch.outer(antenna_power, tone_power[:needed]).flatten()
        prior = prior / prior.sum()
        power = coefficients.abs().square().double()
        power = power.sum(0) / power.sum()
        # a few drops' worth of the separable model, against chance in the sample
        weight = 5 / (len(kept) + 5)
        share = (1 - weight) * power + weight * prior
        size = antenna_power.numel() * len(tone_power)
        self.deviation = (share * size / 2).sqrt().float()
        self._fit_tables(coefficients)
        held_out = torch.cat(self._kept[True] or self._kept[False])
        self._forget()
        return self._score(held_out)

    def _fit_tables(self, coefficients: torch.Tensor) -> None:
        counts = torch.zeros(NUM_CLASSES, NUM_TOKENS, dtype=torch.float64)
        sums = torch.zeros(NUM_CLASSES, NUM_DIRECT, dtype=torch.float64)
        rows = coefficients[:_TABLE_ROWS]
        for number in range(8, 2**STEP_BITS, 12):
            step = self._step(number)
            classes = classes_of(self.deviation, step)
            sent = classes >= 0
            ratio = torch.view_as_real(rows[:, sent]).abs().double() / step
            magnitude = magnitudes_of(ratio, 1.0)
            token = tokens_of(magnitude)
            at = (classes[sent][:, None] * NUM_TOKENS + token).flatten()
            counts += torch.bincount(at, minlength=counts.numel()).reshape(counts.shape)
            direct = (classes[sent][:, None] * NUM_DIRECT + token)[token < NUM_DIRECT]
            sums += torch.bincount(direct, ratio[token < NUM_DIRECT], minlength=sums.numel()).reshape(sums.shape)
        seen = counts[:, :NUM_DIRECT]
        middle = torch.arange(NUM_DIRECT, dtype=torch.float64)
        # each cell counts once at its middle: a cell seen once or never must not stand anywhere
        centroids = (sums + middle) / (seen + 1)
        centroids[:, 0] = 0
        self.centroids = centroids.float()
        self.tables = frequency_tables(counts).int()

    def _score(self, h: torch.Tensor) -> float:
        """NMSE of the rows that `observe` kept at the budget."""
        error = 0.0
        tables = self._tables()
        for row in h[:_SCORED_ROWS]:
            coefficient = self._forward(row[None])
            number = self._finest(coefficient, tables, self.bits - SCALE_BITS - STEP_BITS)
            decoded = self._backward(self._reproduced(coefficient, number))
            error += float((decoded - row).abs().square().sum() / row.abs().square().sum().clamp_min(1e-30))
        return error / max(len(h[:_SCORED_ROWS]), 1)

    # Coding

    def encode_users(self, csi: Csi) -> list[BitWriter]:
        self.check_shape(ReportGrid.of(csi))
        tables = self._tables()
        writers = []
        for h in csi.h.cpu().flatten(0, 1).squeeze(-2):  # [ue_ant, bs_ant, subcarrier]
            writer = BitWriter()
            code = scale_code(h.abs().square().mean().sqrt())
            writer.write(int(code), SCALE_BITS, "scale")
            if int(code):
                self._write_values(writer, self._forward(h / scale_of(code)), tables)
            writers.append(writer)
        return writers

    def _write_values(self, writer: BitWriter, coefficient: torch.Tensor, tables: list[list[int]]) -> None:
        number = self._finest(coefficient, tables, self.bits - SCALE_BITS - STEP_BITS)
        while True:
            attempt = BitWriter()
            attempt.write(number, STEP_BITS, "step")
            if number:
                attempt.write_symbols(*self._symbols(coefficient, number, tables))
            if attempt.num_bits + writer.num_bits <= self.bits:
                writer.append(attempt)
                return
            number -= 1

    def decode_users(self, readers: Sequence[BitReader], grid: ReportGrid) -> torch.Tensor:
        self.check_shape(grid)
        tables = self._tables()
        decoded = []
        for reader in readers:
            scale = reader.read(SCALE_BITS, "scale")
            number = reader.read(STEP_BITS, "step") if scale else 0
            coefficient = torch.zeros(grid.num_ue_antennas, len(self.deviation), dtype=torch.complex64)
            if number:
                coefficient = self._read_values(reader, number, tables, grid.num_ue_antennas)
            decoded.append(self._backward(coefficient) * scale_of(torch.tensor(scale)))
        h = torch.stack(decoded).unflatten(0, grid.shape[:2])
        return h.unsqueeze(-2).to(torch.complex64)

    def _finest(self, coefficient: torch.Tensor, tables: list[list[int]], budget: int) -> int:
        """Number of the finest step whose expected length fits the budget, by bisection."""
        lengths = code_lengths(torch.tensor(tables))
        low, high = 0, 2**STEP_BITS - 1
        while low < high:
            middle = (low + high + 1) // 2
            classes, sent = self._sent(middle)
            magnitude = magnitudes_of(torch.view_as_real(coefficient[:, sent]), self._step(middle))
            length = float(lengths[classes[:, None].expand(magnitude.shape[1:]), tokens_of(magnitude)].sum())
            if length + 1 <= budget:
                low = middle
            else:
                high = middle - 1
        return low

    def _sent(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Classes and places of the coefficients sent with a step, in the order of the report: strong ones first."""
        classes = classes_of(self.deviation, self._step(number))
        order = torch.argsort(self.deviation, descending=True, stable=True)
        places = order[classes[order] >= 0]
        return classes[places], places

    def _symbols(self, coefficient: torch.Tensor, number: int, tables: list[list[int]]
                 ) -> tuple[list[int], list[Sequence[int]]]:
        classes, sent = self._sent(number)
        parts = torch.view_as_real(coefficient[:, sent])  # [ue_ant, place, 2]
        magnitude = magnitudes_of(parts, self._step(number))
        symbols: list[int] = []
        used: list[Sequence[int]] = []
        every = classes[None, :, None].expand(magnitude.shape)
        for index, one, negative in zip(every.flatten().tolist(), magnitude.flatten().tolist(),
                                        (parts < 0).flatten().tolist()):
            written = symbols_of(one, negative)
            symbols += written
            used += [tables[index], *[EVEN] * (len(written) - 1)]
        return symbols, used

    def _read_values(self, reader: BitReader, number: int, tables: list[list[int]], ue_ant: int) -> torch.Tensor:
        classes, sent = self._sent(number)
        stream = reader.symbols()
        numbers = [read_number(stream, tables[index]) for _ in range(ue_ant) for index in classes.tolist()
                   for _ in range(2)]
        stream.finish()
        magnitude = torch.tensor([one for one, _ in numbers]).reshape(ue_ant, len(sent), 2)
        negative = torch.tensor([sign for _, sign in numbers]).reshape(magnitude.shape)
        coefficient = torch.zeros(ue_ant, len(self.deviation), dtype=torch.complex64)
        coefficient[:, sent] = self._value(magnitude, negative, classes, number)
        return coefficient

    def _value(self, magnitude: torch.Tensor, negative: torch.Tensor, classes: torch.Tensor, number: int
               ) -> torch.Tensor:
        direct = self.centroids[classes[None, :, None].expand(magnitude.shape), magnitude.clamp_max(NUM_DIRECT - 1)]
        value = torch.where(magnitude < NUM_DIRECT, direct, magnitude.float()) * self._step(number)
        return torch.view_as_complex(torch.where(negative, -value, value).contiguous())

    def _reproduced(self, coefficient: torch.Tensor, number: int) -> torch.Tensor:
        """What a decoder would have, without the bits between."""
        result = torch.zeros_like(coefficient)
        if number:
            classes, sent = self._sent(number)
            parts = torch.view_as_real(coefficient[:, sent])
            result[:, sent] = self._value(magnitudes_of(parts, self._step(number)), parts < 0, classes, number)
        return result

    def _step(self, number: int) -> float:
        return (0.5 * self.shape.panel.num_antennas * self.shape.num_subcarriers) ** 0.5 * \
            2 ** (-number / _STEPS_PER_OCTAVE)

    def _tables(self) -> list[list[int]]:
        return self.tables.tolist()

    def _forward(self, h: torch.Tensor) -> torch.Tensor:
        """``[..., bs_ant, subcarrier]`` to ``[..., coefficient]``."""
        h = h.to(torch.complex64)
        return (self.antenna_basis.mH @ h @ self.tone_basis.conj()).flatten(-2)

    def _backward(self, coefficient: torch.Tensor) -> torch.Tensor:
        g = coefficient.unflatten(-1, (len(self.antenna_basis), -1))
        return self.antenna_basis @ g @ self.tone_basis.mT


_TABLE_ROWS = 200
"""Rows that token frequencies are counted in."""

_SCORED_ROWS = 50


def _normalized(h: torch.Tensor) -> torch.Tensor:
    """Every user at unit power, a row for each UE antenna: ``[row, bs_ant, subcarrier]``, silent users left out."""
    power = h.abs().square().mean((2, 3, 4, 5), keepdim=True)
    unit = (h / power.clamp_min(1e-30).sqrt()).squeeze(-2)
    return unit[power[:, :, 0, 0, 0, 0] > 0].flatten(0, 1).to(torch.complex64)


def _eigenbasis(covariance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues, largest first, and eigenvectors in columns (complex64)."""
    values, vectors = torch.linalg.eigh(covariance)
    return values.flip(0).clamp_min(0), vectors.flip(1).to(torch.complex64)
