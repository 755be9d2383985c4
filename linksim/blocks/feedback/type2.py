"""Rel-15 Type II codebook: a few orthogonal beams, their amplitudes and, in every subband, their phases."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb
from typing import Literal

import torch

from linksim.blocks.feedback.bits import BitReader, BitWriter, choice_bits
from linksim.blocks.feedback.codebook import Codebook, Setting, even_then_odd
from linksim.blocks.feedback.ports import beam_groups, on_beams, strongest_beams
from linksim.core.errors import ReportError, ScenarioError
from linksim.core.registry import register
from linksim.core.types import PositiveFloat

WIDEBAND_AMPLITUDES = (0.0, *(2.0 ** ((k - 7) / 2) for k in range(1, 8)))
"""p(1) by k(1) (TS 38.214, Table 5.2.2.2.3-2)."""

SUBBAND_AMPLITUDES = (0.5**0.5, 1.0)
"""p(2) by k(2) (TS 38.214, Table 5.2.2.2.3-3)."""

FULL_RESOLUTION = {2: 4, 3: 4, 4: 6}
"""K(2) by L: coefficients that have a subband amplitude (TS 38.214, Table 5.2.2.2.3-4)."""


@dataclass(frozen=True)
class Type2Layer:
    """One layer of a Type II PMI; coefficient i is beam i of the first, L + i of the second polarisation.

    :param strongest: i1,3: the coefficient that is 1.
    :param amplitudes: i1,4: k(1) of the 2L coefficients, 7 for the strongest.
    :param phases: i2,1: c of the coefficients in every subband; 0 where none is reported.
    :param subband_amplitudes: i2,2: k(2); 1 where none is reported.
    """

    strongest: int
    amplitudes: tuple[int, ...]
    phases: tuple[tuple[int, ...], ...]
    subband_amplitudes: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Type2Pmi:
    """Indices of TS 38.214, 5.2.2.2.3.

    :param group: O2 q1 + q2, from i1,1 = [q1 q2].
    :param beams: n of the L beams, ascending, from i1,2.
    """

    group: int
    beams: tuple[int, ...]
    layers: tuple[Type2Layer, ...]


@register("feedback", "type2")
class Type2(Codebook):
    """Type II codebook of Rel-15: wideband amplitudes, phases and (if asked for) amplitudes in every subband.

    The terminal takes the orthogonal group and its L beams with most energy, refers every subband to the layer's
    strongest coefficient, and quantises root-mean-square amplitudes and phases to the nearest level; subband amplitudes
    are those of the highest correlation with the eigenvector.

    Sources: TS 38.214, 5.2.2.2.3, and TS 38.212, 6.3.2.1.2: part 1 has the number M of non-zero wideband amplitudes of
    every layer, part 2 i1,1, i1,2, (i1,3 and i1,4 of every layer), then for the even and the odd subbands i2,1 of every
    layer and i2,2 of every layer. Widths and order were compared with a public implementation of TS 38.212 and the
    public text of TS 38.214, 5.2.3. M has ceil(log2(2 L - 1)) bits there and so here, for one layer or two.

    :param num_beams: L; 2 for a panel of 4 ports.
    :param phase_alphabet: N_PSK.
    :param subband_amplitude: amplitudes of the K(2) strongest coefficients in every subband.
    :param rank: layers reported.
    :param subband_size: the smaller or the larger of the two sizes of TS 38.214, Table 5.2.1.4-2.
    :param resource_block_khz: width of 12 subcarriers; the narrowest with at most 275 blocks in the band if empty.
    """

    def __init__(self, num_beams: Literal[2, 3, 4] = 4, phase_alphabet: Literal[4, 8] = 8,
                 subband_amplitude: bool = True, rank: Literal[1, 2] = 1,
                 subband_size: Literal["small", "large"] = "small",
                 resource_block_khz: PositiveFloat | None = None) -> None:
        super().__init__()
        self.num_beams = num_beams
        self.phase_alphabet = phase_alphabet
        self.subband_amplitude = subband_amplitude
        self.rank = rank
        self.subband_size = subband_size
        self.resource_block_khz = resource_block_khz

    def search(self, v: torch.Tensor, setting: Setting) -> list[Type2Pmi]:
        group, beams = strongest_beams(v, setting.ports, self.num_beams)
        x = on_beams(v, setting.ports, group, beams)
        power = x.abs().square().mean(-1)
        strongest = power.argmax(-1)  # [user, layer]
        levels = torch.tensor(WIDEBAND_AMPLITUDES, dtype=torch.float64, device=v.device)
        relative = (power / power.amax(-1, keepdim=True).clamp_min(torch.finfo(power.dtype).tiny)).sqrt()
        k1 = (relative.unsqueeze(-1) - levels).abs().argmin(-1).scatter(-1, strongest.unsqueeze(-1), 7)
        reference = x.gather(2, strongest[..., None, None].expand(-1, -1, 1, x.shape[-1]))
        turned = (x * reference.conj()).angle() / (2 * torch.pi)
        pmis = []
        for user in range(len(x)):
            layers = []
            for layer in range(setting.num_layers):
                amplitudes = tuple(k1[user, layer].tolist())
                i = int(strongest[user, layer])
                alphabet = torch.tensor(self._alphabets(amplitudes, i), device=v.device)[:, None]
                phases = (turned[user, layer] * alphabet).round().long() % alphabet.clamp_min(1)
                scaled = self._amplitudes_in_subbands(x[user, layer], phases, alphabet, amplitudes, i)
                layers.append(Type2Layer(i, amplitudes, _rows(phases.mT), _rows(scaled.mT)))
            pmis.append(Type2Pmi(int(group[user]), tuple(beams[user].tolist()), tuple(layers)))
        return pmis

    def write(self, pmi: Type2Pmi, setting: Setting) -> BitWriter:
        ports = setting.ports
        size = 2 * self.num_beams
        writer = BitWriter()
        for layer in pmi.layers:
            writer.write(sum(k > 0 for k in layer.amplitudes) - 1, choice_bits(size - 1), "M")
        writer.write_choice(pmi.group, ports.groups, "i1,1")
        writer.write_combination([ports.positions - 1 - n for n in pmi.beams], ports.positions, "i1,2")
        for layer in pmi.layers:
            writer.write_choice(layer.strongest, size, "i1,3")
            for i in self._others(layer.strongest):
                writer.write(layer.amplitudes[i], 3, "i1,4")
        for subband in even_then_odd(setting.num_subbands):
            for layer in pmi.layers:
                for i, alphabet in enumerate(self._alphabets(layer.amplitudes, layer.strongest)):
                    if alphabet:
                        writer.write_choice(layer.phases[subband][i], alphabet, "i2,1")
            for layer in pmi.layers:
                for i in sorted(self._scaled(layer.amplitudes, layer.strongest)):
                    writer.write(layer.subband_amplitudes[subband][i], 1, "i2,2")
        return writer

    def read(self, reader: BitReader, setting: Setting) -> Type2Pmi:
        ports = setting.ports
        size = 2 * self.num_beams
        nonzero = [reader.read(choice_bits(size - 1), "M") + 1 for _ in range(setting.num_layers)]
        group = reader.read_choice(ports.groups, "i1,1")
        beams = reader.read_combination(ports.positions, self.num_beams, "i1,2")
        wideband = []
        for expected in nonzero:
            strongest = reader.read_choice(size, "i1,3")
            amplitudes = [7] * size
            for i in self._others(strongest):
                amplitudes[i] = reader.read(3, "i1,4")
            if sum(k > 0 for k in amplitudes) != expected:
                raise ReportError(f"report is corrupted: {expected} amplitudes that are not zero announced, "
                                  f"{sum(k > 0 for k in amplitudes)} found")
            wideband.append((strongest, tuple(amplitudes)))
        phases = [[[0] * size for _ in range(setting.num_subbands)] for _ in wideband]
        scaled = [[[1] * size for _ in range(setting.num_subbands)] for _ in wideband]
        for subband in even_then_odd(setting.num_subbands):
            for layer, (strongest, amplitudes) in enumerate(wideband):
                for i, alphabet in enumerate(self._alphabets(amplitudes, strongest)):
                    if alphabet:
                        phases[layer][subband][i] = reader.read_choice(alphabet, "i2,1")
            for layer, (strongest, amplitudes) in enumerate(wideband):
                for i in sorted(self._scaled(amplitudes, strongest)):
                    scaled[layer][subband][i] = reader.read(1, "i2,2")
        return Type2Pmi(group, tuple(ports.positions - 1 - n for n in reversed(beams)), tuple(
            Type2Layer(*known, tuple(map(tuple, phases[layer])), tuple(map(tuple, scaled[layer])))
            for layer, known in enumerate(wideband)))

    def precoder(self, pmi: Type2Pmi, setting: Setting) -> torch.Tensor:
        beams = beam_groups(setting.ports)[pmi.group, list(pmi.beams)]
        layers = []
        for layer in pmi.layers:
            alphabet = torch.tensor(self._alphabets(layer.amplitudes, layer.strongest))[:, None]
            x = self._coefficients(torch.tensor(layer.phases).mT, alphabet, layer.amplitudes,
                                   torch.tensor(layer.subband_amplitudes).mT)
            layers.append(torch.einsum("pbs,ba->spa", x.unflatten(0, (2, -1)), beams))
        return torch.stack(layers, 1)

    def least_bits(self, setting: Setting) -> int:
        return self.report_bits(setting, [1] * setting.num_layers)

    def report_bits(self, setting: Setting, nonzero: list[int]) -> int:
        """Length of a report whose layers have M non-zero wideband amplitudes, the strongest among them.

        :raises ScenarioError: more than 2 beams of 4 ports.

        Source: TS 38.214, 5.2.2.2.3: i2,1 has min(M, K(2)) - 1 phases of N_PSK and M - min(M, K(2)) of 4.
        """
        ports, size = setting.ports, 2 * self.num_beams
        if self.num_beams > (2 if ports.positions == 2 else ports.positions):
            raise ScenarioError(f"feedback 'type2', option 'num_beams': {self.num_beams}, but a panel of 4 ports has 2")
        total = choice_bits(ports.groups) + choice_bits(comb(ports.positions, self.num_beams))
        for m in nonzero:
            full = min(m, FULL_RESOLUTION[self.num_beams] if self.subband_amplitude else m) - 1
            a_subband = full * choice_bits(self.phase_alphabet) + 2 * (m - 1 - full) + full * self.subband_amplitude
            total += choice_bits(size - 1) + choice_bits(size) + 3 * (size - 1) + setting.num_subbands * a_subband
        return total

    def _others(self, strongest: int) -> list[int]:
        return [i for i in range(2 * self.num_beams) if i != strongest]

    def _full(self, amplitudes: tuple[int, ...], strongest: int) -> list[int]:
        """Coefficients with N_PSK phases, by falling amplitude, then index (TS 38.214, 5.2.2.2.3)."""
        order = sorted((i for i in self._others(strongest) if amplitudes[i]), key=lambda i: (-amplitudes[i], i))
        return order[:FULL_RESOLUTION[self.num_beams] - 1] if self.subband_amplitude else order

    def _scaled(self, amplitudes: tuple[int, ...], strongest: int) -> list[int]:
        """Coefficients with an amplitude in every subband."""
        return self._full(amplitudes, strongest) if self.subband_amplitude else []

    def _alphabets(self, amplitudes: tuple[int, ...], strongest: int) -> list[int]:
        """Size of each coefficient's phase alphabet; 0 where no phase is reported."""
        full = self._full(amplitudes, strongest)
        return [0 if i == strongest or not k else self.phase_alphabet if i in full else 4
                for i, k in enumerate(amplitudes)]

    def _amplitudes_in_subbands(self, x: torch.Tensor, phases: torch.Tensor, alphabet: torch.Tensor,
                                amplitudes: tuple[int, ...], strongest: int) -> torch.Tensor:
        """k(2), ``[coefficient, subband]``: of the sets {|x| / p(1) at least a threshold}, the best in each subband."""
        best = torch.ones_like(phases)
        scaled = self._scaled(amplitudes, strongest)
        if not scaled:
            return best
        p1 = torch.tensor(WIDEBAND_AMPLITUDES, dtype=torch.float64, device=x.device)[list(amplitudes)]
        ratio = x.abs() / p1.clamp_min(1e-3)[:, None]
        highest = torch.full(x.shape[-1:], -1.0, dtype=torch.float64, device=x.device)
        for threshold in (torch.zeros_like(ratio[0]), *ratio[scaled], torch.full_like(ratio[0], torch.inf)):
            candidate = torch.ones_like(phases)
            candidate[scaled] = (ratio[scaled] >= threshold).long()
            held = (self._coefficients(phases, alphabet, amplitudes, candidate).conj() * x).sum(0).abs()
            best = torch.where(held > highest, candidate, best)
            highest = torch.maximum(held, highest)
        return best

    @staticmethod
    def _coefficients(phases: torch.Tensor, alphabet: torch.Tensor, amplitudes: tuple[int, ...],
                      scaled: torch.Tensor) -> torch.Tensor:
        """The linear combination with unit norm in every subband: ``[coefficient, subband]``."""
        p1 = torch.tensor(WIDEBAND_AMPLITUDES, dtype=torch.float64, device=phases.device)[list(amplitudes)]
        p2 = torch.tensor(SUBBAND_AMPLITUDES, dtype=torch.float64, device=phases.device)[scaled]
        x = torch.polar(p1[:, None] * p2, 2 * torch.pi * phases.double() / alphabet.clamp_min(1))
        return x / torch.linalg.vector_norm(x, dim=0)


def _rows(table: torch.Tensor) -> tuple[tuple[int, ...], ...]:
    return tuple(map(tuple, table.tolist()))
