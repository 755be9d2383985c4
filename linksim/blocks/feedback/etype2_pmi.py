"""PMI of the Rel-16 enhanced Type II codebook: its indices, their bits, and the precoder they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb

import torch

from linksim.blocks.feedback.bits import BitReader, BitWriter, choice_bits
from linksim.blocks.feedback.ports import Ports, beam_groups
from linksim.core.errors import ReportError, ScenarioError

COMBINATIONS = {
    1: (2, 4, 8, 1), 2: (2, 4, 8, 2), 3: (4, 4, 8, 1), 4: (4, 4, 8, 2),
    5: (4, 4, 4, 3), 6: (4, 2, 4, 2), 7: (6, 4, None, 2), 8: (6, 4, None, 3),
}
"""paramCombination: L, 1 / p of ranks 1 and 2, 1 / p of ranks 3 and 4, 4 beta (TS 38.214, Table 5.2.2.2.5-1)."""

REFERENCE_LEVELS = 15
"""p(1) = 2^((k - 15) / 4) for k = 1 ... 15; 0 is reserved (TS 38.214, Table 5.2.2.2.5-2)."""

DIFFERENTIAL_LEVELS = 8
"""p(2) = 2^((k - 7) / 2) for k = 0 ... 7 (TS 38.214, Table 5.2.2.2.5-3)."""

NUM_PHASES = 16


@dataclass(frozen=True)
class Etype2Sizes:
    """Sizes that both sides derive from the configuration.

    :param num_subbands: N3.
    :param num_beams: L.
    :param num_taps: M of this rank.
    :param max_nonzero: K0: coefficients that are not zero, at most so many in a layer and twice so many in all.
    """

    ports: Ports
    num_layers: int
    num_subbands: int
    num_beams: int
    num_taps: int
    max_nonzero: int

    @classmethod
    def of(cls, ports: Ports, num_layers: int, num_subbands: int, combination: int,
           precoders_per_subband: int) -> Etype2Sizes:
        """M = ceil(p N3 / R) and K0 = ceil(beta 2 L M of rank 1).

        :raises ScenarioError: a combination that the standard excludes for these ports, this rank or R, or that has
            fewer coefficients than layers.

        Source: TS 38.214, 5.2.2.2.5.
        """
        where = f"feedback 'etype2', option 'combination': {combination}"
        if combination > 2 and ports.positions == 2:
            raise ScenarioError(f"{where}, but a panel of 4 ports has 1 and 2")
        if combination > 6 and ports.positions < 16:
            raise ScenarioError(f"{where} needs 32 ports, but the panel has {2 * ports.positions}")
        if combination > 6 and (num_layers > 2 or precoders_per_subband == 2):
            raise ScenarioError(f"{where} excludes ranks above 2 and precoders_per_subband 2")
        beams, low_rank, high_rank, beta = COMBINATIONS[combination]

        def taps(divisor: int) -> int:
            return -(-num_subbands // (divisor * precoders_per_subband))

        max_nonzero = -(-beta * 2 * beams * taps(low_rank) // 4)
        if 2 * max_nonzero < num_layers:
            raise ScenarioError(f"{where} has {2 * max_nonzero} coefficients for {num_layers} layers in {num_subbands} "
                                "subbands: more subbands or a higher combination needed")
        return cls(ports, num_layers, num_subbands, beams, taps(low_rank if num_layers < 3 else high_rank), max_nonzero)

    @property
    def max_total(self) -> int:
        """Coefficients that are not zero, in all layers."""
        return self.max_nonzero * min(self.num_layers, 2)

    @property
    def windowed(self) -> bool:
        """N3 > 19: the taps lie in a window of 2 M, whose start is reported."""
        return self.num_subbands > 19

    @property
    def num_candidates(self) -> int:
        """Taps among which those other than tap 0 are chosen."""
        return (2 * self.num_taps if self.windowed else self.num_subbands) - 1

    def report_bits(self, num_nonzero: int) -> int:
        """Length of a report with K_NZ = ``num_nonzero`` coefficients, K_NZ itself included.

        Source: TS 38.212, Tables 6.3.2.1.2-1A and 6.3.2.1.2-2A, and the number of non-zero coefficients of part 1.
        """
        layers, rows = self.num_layers, 2 * self.num_beams
        strongest = choice_bits(num_nonzero) if layers == 1 else layers * choice_bits(rows)
        return (
            choice_bits(self.max_total) + choice_bits(self.ports.groups)
            + choice_bits(comb(self.ports.positions, self.num_beams)) + strongest
            + (choice_bits(2 * self.num_taps) if self.windowed else 0)
            + layers * (choice_bits(comb(self.num_candidates, self.num_taps - 1)) + rows * self.num_taps + 4)
            + (3 + 4) * (num_nonzero - layers)
        )


@dataclass(frozen=True)
class Etype2Layer:
    """One layer; row i of a table is beam i of the first, or i - L of the second polarisation, column f is tap f.

    :param taps: n3 of the M taps, ascending, the first 0.
    :param strongest: i*: the coefficient of tap 0 that is 1.
    :param reference: k(1) of the polarisation that the strongest coefficient is not in, 1 to 15.
    :param nonzero: which of the ``[2 L, M]`` coefficients are not zero.
    :param differential: k(2), 7 for the strongest, 0 where the coefficient is zero.
    :param phases: c, 0 for the strongest and where the coefficient is zero.
    """

    taps: tuple[int, ...]
    strongest: int
    reference: int
    nonzero: tuple[tuple[bool, ...], ...]
    differential: tuple[tuple[int, ...], ...]
    phases: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Etype2Pmi:
    """Indices of TS 38.214, 5.2.2.2.5.

    :param group: O2 q1 + q2, from i1,1 = [q1 q2].
    :param beams: n of the L beams, ascending, from i1,2.
    :param window: M_initial, 0 to 1 - 2 M, from i1,5; 0 where none is reported.
    """

    group: int
    beams: tuple[int, ...]
    window: int
    layers: tuple[Etype2Layer, ...]

    @property
    def num_nonzero(self) -> int:
        """K_NZ: coefficients of all layers that are not zero."""
        return sum(map(sum, (row for layer in self.layers for row in layer.nonzero)))


def write_pmi(pmi: Etype2Pmi, sizes: Etype2Sizes) -> BitWriter:
    """The report: K_NZ of part 1, then groups 0, 1 and 2 of part 2.

    Group 0: i1,1, i1,2, i1,8. Group 1: i2,3, i1,5, i1,6, then the elements of i1,7, i2,4 and i2,5 of highest
    priority. Group 2: the rest of i1,7, i2,4 and i2,5.

    Source: TS 38.214, 5.2.3 (which element is in which group); TS 38.212, Tables 6.3.2.1.2-4A and -5A (order of the
    fields in a group).
    """
    total, positions = pmi.num_nonzero, sizes.ports.positions
    writer = BitWriter()
    writer.write_choice(total - 1, sizes.max_total, "K_NZ")
    writer.write_choice(pmi.group, sizes.ports.groups, "i1,1")
    writer.write_combination([positions - 1 - n for n in pmi.beams], positions, "i1,2")
    for layer in pmi.layers:
        if sizes.num_layers == 1:
            writer.write_choice(sum(row[0] for row in layer.nonzero[:layer.strongest + 1]) - 1, total, "i1,8")
        else:
            writer.write_choice(layer.strongest, 2 * sizes.num_beams, "i1,8")
    for layer in pmi.layers:
        writer.write(layer.reference, 4, "i2,3")
    if sizes.windowed:
        writer.write_choice(pmi.window % (2 * sizes.num_taps), 2 * sizes.num_taps, "i1,5")
    for layer in pmi.layers:
        places = [_place_of_tap(tap, pmi.window, sizes) for tap in layer.taps[1:]]
        writer.write_combination([sizes.num_candidates - place for place in places], sizes.num_candidates, "i1,6")

    elements = list(_by_priority([layer.taps for layer in pmi.layers], sizes))
    flags = [pmi.layers[l].nonzero[i][f] for l, i, f in elements]
    reported = [(l, i, f) for (l, i, f), flag in zip(elements, flags)
                if flag and (i, f) != (pmi.layers[l].strongest, 0)]
    flags_split, reported_split = len(flags) - total // 2, max(0, -(-total // 2) - sizes.num_layers)
    for flags_part, reported_part in ((slice(flags_split), slice(reported_split)),
                                      (slice(flags_split, None), slice(reported_split, None))):
        for flag in flags[flags_part]:
            writer.write(flag, 1, "i1,7")
        for l, i, f in reported[reported_part]:
            writer.write(pmi.layers[l].differential[i][f], 3, "i2,4")
        for l, i, f in reported[reported_part]:
            writer.write(pmi.layers[l].phases[i][f], 4, "i2,5")
    return writer


def read_pmi(reader: BitReader, sizes: Etype2Sizes) -> Etype2Pmi:
    """Inverse of `write_pmi`.

    :raises ReportError: no PMI of these sizes.
    """
    layers, rows, positions = range(sizes.num_layers), 2 * sizes.num_beams, sizes.ports.positions
    total = reader.read_choice(sizes.max_total, "K_NZ") + 1
    group = reader.read_choice(sizes.ports.groups, "i1,1")
    beams = tuple(positions - 1 - n for n in reversed(reader.read_combination(positions, sizes.num_beams, "i1,2")))
    strongest = [reader.read_choice(total if sizes.num_layers == 1 else rows, "i1,8") for _ in layers]
    references = [reader.read(4, "i2,3") for _ in layers]
    if 0 in references:
        raise ReportError("report is corrupted: i2,3 is 0, which is reserved")
    window = -(-reader.read_choice(2 * sizes.num_taps, "i1,5") % (2 * sizes.num_taps)) if sizes.windowed else 0
    taps = []
    for _ in layers:
        places = reader.read_combination(sizes.num_candidates, sizes.num_taps - 1, "i1,6")
        taps.append((0, *sorted(_tap_of_place(sizes.num_candidates - place, window, sizes) for place in places)))

    elements = list(_by_priority(taps, sizes))
    flags_split, reported_split = len(elements) - total // 2, max(0, -(-total // 2) - sizes.num_layers)
    reported_total = max(total - sizes.num_layers, 0)
    flags: list[int] = []
    values: dict[str, list[int]] = {"i2,4": [], "i2,5": []}
    for num_flags, num_reported in ((flags_split, reported_split),
                                    (len(elements) - flags_split, reported_total - reported_split)):
        flags += [reader.read(1, "i1,7") for _ in range(num_flags)]
        for field, num_bits in (("i2,4", 3), ("i2,5", 4)):
            values[field] += [reader.read(num_bits, field) for _ in range(num_reported)]
    if sum(flags) != total:
        raise ReportError(f"report is corrupted: {total} coefficients announced, {sum(flags)} found")

    nonzero = [[[False] * sizes.num_taps for _ in range(rows)] for _ in layers]
    for (l, i, f), flag in zip(elements, flags):
        nonzero[l][i][f] = bool(flag)
    if sizes.num_layers == 1:
        at_tap_0 = [i for i in range(rows) if nonzero[0][i][0]]
        if strongest[0] >= len(at_tap_0):
            raise ReportError("report is corrupted: the strongest coefficient is none of tap 0")
        strongest = [at_tap_0[strongest[0]]]
    if not all(nonzero[l][strongest[l]][0] for l in layers):
        raise ReportError("report is corrupted: a strongest coefficient is zero")
    if max(sum(map(sum, table)) for table in nonzero) > sizes.max_nonzero:
        raise ReportError(f"report is corrupted: a layer of more than {sizes.max_nonzero} coefficients")

    differential = [[[0] * sizes.num_taps for _ in range(rows)] for _ in layers]
    phases = [[[0] * sizes.num_taps for _ in range(rows)] for _ in layers]
    for l in layers:
        differential[l][strongest[l]][0] = 7
    reported = [(l, i, f) for (l, i, f), flag in zip(elements, flags) if flag and (i, f) != (strongest[l], 0)]
    for (l, i, f), k, c in zip(reported, values["i2,4"], values["i2,5"], strict=True):
        differential[l][i][f], phases[l][i][f] = k, c
    return Etype2Pmi(group, beams, window, tuple(
        Etype2Layer(taps[l], strongest[l], references[l], *(tuple(map(tuple, table[l]))
                                                            for table in (nonzero, differential, phases)))
        for l in layers))


def layer_coefficients(layer: Etype2Layer) -> torch.Tensor:
    """p(1) p(2) phi of every coefficient: complex128, ``[2 L, M]``."""
    k2, c = torch.tensor(layer.differential), torch.tensor(layer.phases)
    half = len(k2) // 2
    other = torch.arange(2 * half) // half != layer.strongest // half
    p1 = other.double() * (layer.reference - REFERENCE_LEVELS) / 4
    amplitude = 2.0 ** p1[:, None] * 2.0 ** ((k2.double() - 7) / 2) * torch.tensor(layer.nonzero)
    return torch.polar(amplitude, 2 * torch.pi * c.double() / NUM_PHASES)


def subband_coefficients(coefficients: torch.Tensor, taps: torch.Tensor, num_subbands: int) -> torch.Tensor:
    """The sum over taps of coefficient x exp(j 2 pi t n3 / N3): ``[..., 2 L, M]`` to ``[..., 2 L, subband t]``.

    :param taps: int64, ``[..., M]``.
    """
    turns = (taps.unsqueeze(-1) * torch.arange(num_subbands, device=taps.device) % num_subbands).double() / num_subbands
    return coefficients @ torch.exp(2j * torch.pi * turns)


def precoder_of(pmi: Etype2Pmi, sizes: Etype2Sizes) -> torch.Tensor:
    """The precoder of every subband: complex128, ``[subband, layer, 2, N1 * N2]``, unit norm.

    Zero in a subband where all coefficients cancel, for which the standard defines no precoder.
    """
    beams = beam_groups(sizes.ports)[pmi.group, list(pmi.beams)]
    layers = []
    for layer in pmi.layers:
        x = subband_coefficients(layer_coefficients(layer), torch.tensor(layer.taps), sizes.num_subbands)
        norm = torch.linalg.vector_norm(x, dim=0)
        x = torch.where(norm > 1e-9, x / norm.clamp_min(1e-9), 0)
        layers.append(torch.einsum("pbs,ba->spa", x.unflatten(0, (2, -1)), beams))
    return torch.stack(layers, 1)


def _place_of_tap(tap: int, window: int, sizes: Etype2Sizes) -> int:
    """Number of a tap other than 0 among the candidates, from 1 on."""
    if not sizes.windowed or tap <= window + 2 * sizes.num_taps - 1:
        return tap
    return tap - (sizes.num_subbands - 2 * sizes.num_taps)


def _tap_of_place(place: int, window: int, sizes: Etype2Sizes) -> int:
    """Inverse of `_place_of_tap` (TS 38.214, 5.2.2.2.5: n3 from n and M_initial)."""
    if not sizes.windowed or place <= window + 2 * sizes.num_taps - 1:
        return place
    return place + sizes.num_subbands - 2 * sizes.num_taps


def _by_priority(taps: list[tuple[int, ...]], sizes: Etype2Sizes) -> Iterator[tuple[int, int, int]]:
    """(layer, coefficient, tap index) of all elements by falling priority: tap by tap, those next to tap 0 first.

    Source: TS 38.214, 5.2.3: Pri(l, i, f) = 2 L v pi(f) + v i + l, pi(f) = min(2 n3, 2 (N3 - n3) - 1).
    """
    def value(element: tuple[int, int, int]) -> int:
        l, i, f = element
        tap = taps[l][f]
        distance = min(2 * tap, 2 * (sizes.num_subbands - tap) - 1)
        return (2 * sizes.num_beams * distance + i) * sizes.num_layers + l

    yield from sorted(((l, i, f) for l in range(sizes.num_layers) for i in range(2 * sizes.num_beams)
                       for f in range(sizes.num_taps)), key=value)
