"""Type I single-panel codebook: one beam, a phase between the polarisations in every subband."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from linksim.blocks.feedback.bits import BitReader, BitWriter, choice_bits
from linksim.blocks.feedback.codebook import Codebook, Setting, even_then_odd
from linksim.blocks.feedback.ports import TIE, Ports, beam_grid
from linksim.core.registry import register
from linksim.core.types import PositiveFloat


@dataclass(frozen=True)
class Type1Pmi:
    """Indices of TS 38.214, 5.2.2.2.1, mode 1.

    :param l: i1,1: beam of the first dimension; ``m``: i1,2, of the second.
    :param offset: i1,3: where the second layer's beam lies (0 for one layer).
    :param phases: i2 of every subband: the second polarisation is turned by pi/2 times this.
    """

    l: int
    m: int
    offset: int
    phases: tuple[int, ...]


def beam_offsets(ports: Ports) -> tuple[tuple[int, int], ...]:
    """(k1, k2) by i1,3: the beam of the second layer relative to the first's (TS 38.214, Table 5.2.2.2.1-3)."""
    o1, o2 = ports.o1, ports.o2
    if ports.n2 == 1:
        return tuple((o1 * step, 0) for step in range(2 if ports.n1 == 2 else 4))
    return (0, 0), (o1, 0), (0, o2), (o1, o2) if ports.n1 == ports.n2 else (2 * o1, 0)


def widths(setting: Setting) -> tuple[int, int, int, int]:
    """Bits of i1,1, i1,2, i1,3 and of i2 in one subband (TS 38.212, Table 6.3.1.1.2-1)."""
    ports = setting.ports
    beams = choice_bits(ports.o1 * ports.n1), choice_bits(ports.o2 * ports.n2)
    return (*beams, 0, 2) if setting.num_layers == 1 else (*beams, choice_bits(len(beam_offsets(ports))), 1)


@register("feedback", "type1")
class Type1(Codebook):
    """Type I single-panel codebook, mode 1, ranks 1 and 2, a co-phasing for every subband.

    W = [v_{l,m}; phi v_{l,m}] for one layer, and [v_{l',m'}; -phi v_{l',m'}] for a second. The terminal chooses the
    PMI whose layers hold most of the energy of its subbands' strongest eigenvectors.

    Sources: TS 38.214, 5.2.2.2.1, Tables 5.2.2.2.1-3, -5 and -6; widths and order of the fields: TS 38.212,
    Tables 6.3.1.1.2-1, 6.3.2.1.2-4 and -5. The tables were written down from knowledge of the standard; they were
    not compared with its text entry by entry. Mode 2 and ranks 3 to 8 are left out.

    :param rank: layers reported.
    :param subband_size: the smaller or the larger of the two sizes of TS 38.214, Table 5.2.1.4-2.
    :param resource_block_khz: width of 12 subcarriers; the narrowest with at most 275 blocks in the band if empty.
    """

    def __init__(self, rank: Literal[1, 2] = 1, subband_size: Literal["small", "large"] = "small",
                 resource_block_khz: PositiveFloat | None = None) -> None:
        super().__init__()
        self.rank = rank
        self.subband_size = subband_size
        self.resource_block_khz = resource_block_khz

    def search(self, v: torch.Tensor, setting: Setting) -> list[Type1Pmi]:
        ports = setting.ports
        grid = beam_grid(ports).to(v.device)
        size_l, size_m = grid.shape[:2]
        beams = torch.einsum("uskpa,lma->pusklm", v, grid.conj())
        num_phases = 4 if setting.num_layers == 1 else 2

        def held(sign: int) -> torch.Tensor:
            """Energy of [v_lm; sign phi v_lm] for every phi: ``[user, subband, phase, l, m]``."""
            return torch.stack([
                (beams[0] + sign * (-1j) ** phase * beams[1]).abs().square().sum(2) / 2 for phase in range(num_phases)
            ], 2)

        if setting.num_layers == 1:
            energy = held(1).unsqueeze(3)
        else:
            other = held(-1)
            energy = held(1).unsqueeze(3) + torch.stack(
                [other.roll((-k1, -k2), (-2, -1)) for k1, k2 in beam_offsets(ports)], 3)
        # [user, subband, phase, offset, l, m]: the best phase in every subband, then the best beams. With both layers
        # in one beam all phases hold the same: the first is taken, not the one that rounding favours.
        best, phase = (energy - TIE * torch.arange(num_phases, device=v.device)[:, None, None, None]).max(2)
        chosen = best.sum(1).flatten(1).argmax(-1)
        phases = phase.flatten(2).gather(2, chosen[:, None, None].expand(-1, phase.shape[1], 1)).squeeze(2)
        return [
            Type1Pmi(index // size_m % size_l, index % size_m, index // (size_l * size_m), tuple(row))
            for index, row in zip(chosen.tolist(), phases.tolist())
        ]

    def write(self, pmi: Type1Pmi, setting: Setting) -> BitWriter:
        bits_l, bits_m, bits_offset, bits_phase = widths(setting)
        writer = BitWriter()
        writer.write(pmi.l, bits_l, "i1,1")
        writer.write(pmi.m, bits_m, "i1,2")
        writer.write(pmi.offset, bits_offset, "i1,3")
        for subband in even_then_odd(setting.num_subbands):
            writer.write(pmi.phases[subband], bits_phase, "i2")
        return writer

    def read(self, reader: BitReader, setting: Setting) -> Type1Pmi:
        ports = setting.ports
        l = reader.read_choice(ports.o1 * ports.n1, "i1,1")
        m = reader.read_choice(ports.o2 * ports.n2, "i1,2")
        offset = reader.read_choice(len(beam_offsets(ports)), "i1,3") if setting.num_layers == 2 else 0
        phases = {subband: reader.read(widths(setting)[3], "i2") for subband in even_then_odd(setting.num_subbands)}
        return Type1Pmi(l, m, offset, tuple(phases[subband] for subband in range(setting.num_subbands)))

    def precoder(self, pmi: Type1Pmi, setting: Setting) -> torch.Tensor:
        grid = beam_grid(setting.ports)
        turned = 1j ** torch.tensor(pmi.phases, dtype=torch.complex128)[:, None]
        layers = []
        for layer in range(setting.num_layers):
            k1, k2 = beam_offsets(setting.ports)[pmi.offset] if layer else (0, 0)
            beam = grid[(pmi.l + k1) % grid.shape[0], (pmi.m + k2) % grid.shape[1]]
            sign = -1 if layer else 1
            layers.append(torch.stack([beam.expand(len(turned), -1), sign * turned * beam], 1) / 2**0.5)
        return torch.stack(layers, 1)

    def least_bits(self, setting: Setting) -> int:
        *wideband, phase = widths(setting)
        return sum(wideband) + phase * setting.num_subbands
