"""Type I: widths of the standard, indices through bits, and channels that lie in the codebook."""

from __future__ import annotations

import random

import pytest
import torch

from linksim.blocks.feedback.bits import BitReader
from linksim.blocks.feedback.codebook import Setting
from linksim.blocks.feedback.ports import LAYOUTS, Ports
from linksim.blocks.feedback.type1 import Type1, Type1Pmi, beam_offsets, widths


def random_pmi(setting: Setting, generator: random.Random) -> Type1Pmi:
    ports, rank = setting.ports, setting.num_layers
    return Type1Pmi(
        generator.randrange(4 * ports.n1), generator.randrange(ports.o2 * ports.n2),
        generator.randrange(len(beam_offsets(ports))) if rank == 2 else 0,
        tuple(generator.randrange(4 if rank == 1 else 2) for _ in range(setting.num_subbands)))


@pytest.mark.parametrize(("layout", "rank", "expected"), [
    ((2, 1), 1, (3, 0, 0, 2)), ((2, 1), 2, (3, 0, 1, 1)), ((4, 1), 2, (4, 0, 2, 1)), ((3, 2), 1, (4, 3, 0, 2)),
    ((4, 4), 2, (4, 4, 2, 1)), ((16, 1), 1, (6, 0, 0, 2)),
])
def test_widths_are_those_of_the_standard(layout, rank, expected):
    assert widths(Setting(Ports(*layout), 13, rank)) == expected


@pytest.mark.parametrize("rank", [1, 2])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_indices_survive_the_bits_and_layers_are_orthonormal(layout, rank):
    generator = random.Random(str((layout, rank)))
    codebook, setting = Type1(rank=rank), Setting(Ports(*layout), 5, rank)
    for _ in range(20):
        pmi = random_pmi(setting, generator)
        writer = codebook.write(pmi, setting)
        assert writer.num_bits == codebook.least_bits(setting)
        reader = BitReader(writer.to_bytes(), writer.num_bits)
        assert codebook.read(reader, setting) == pmi
        reader.finish()
        w = codebook.precoder(pmi, setting).flatten(-2)
        torch.testing.assert_close(w @ w.mH, torch.eye(rank, dtype=w.dtype).expand(5, rank, rank))


def test_the_second_layers_beam_is_orthogonal_or_the_same():
    for layout in LAYOUTS:
        ports = Ports(*layout)
        codebook, setting = Type1(rank=2), Setting(ports, 1, 2)
        for offset in range(len(beam_offsets(ports))):
            first, second = codebook.precoder(Type1Pmi(3, 0, offset, (1,)), setting)[0, :, 0]
            overlap = (first.conj() * second).sum().abs().item() * 2
            assert overlap == pytest.approx(1 if offset == 0 else 0, abs=1e-12)


@pytest.mark.parametrize("rank", [1, 2])
def test_a_precoder_of_the_codebook_is_found(rank):
    generator = random.Random(3)
    codebook, setting = Type1(rank=rank), Setting(Ports(4, 2), 7, rank)
    for _ in range(5):
        pmi = random_pmi(setting, generator)
        w = codebook.precoder(pmi, setting)
        phases = torch.exp(2j * torch.pi * torch.rand(7, rank, 1, 1, dtype=torch.float64))
        found = codebook.search((w * phases).unsqueeze(0), setting)[0]
        if rank == 1:
            assert found == pmi
        overlap = w.flatten(-2) @ codebook.precoder(found, setting).flatten(-2).mH
        torch.testing.assert_close(torch.linalg.matrix_norm(overlap).square(), torch.full((7,), float(rank)).double())
