"""Rel-15 Type II: widths of the standard, indices through bits, and channels that lie in the codebook."""

from __future__ import annotations

import random
from itertools import product
from math import comb

import pytest
import torch

from linksim.blocks.feedback.bits import BitReader
from linksim.blocks.feedback.codebook import Setting
from linksim.blocks.feedback.ports import Ports
from linksim.blocks.feedback.type2 import Type2, Type2Layer, Type2Pmi
from linksim.core.errors import ReportError, ScenarioError


def random_pmi(codebook: Type2, setting: Setting, generator: random.Random) -> Type2Pmi:
    size, subbands = 2 * codebook.num_beams, range(setting.num_subbands)
    layers = []
    for _ in range(setting.num_layers):
        strongest = generator.randrange(size)
        amplitudes = tuple(7 if i == strongest else generator.randrange(8) for i in range(size))
        alphabets = codebook._alphabets(amplitudes, strongest)
        scaled = codebook._scaled(amplitudes, strongest)
        layers.append(Type2Layer(
            strongest, amplitudes,
            tuple(tuple(generator.randrange(alphabet or 1) for alphabet in alphabets) for _ in subbands),
            tuple(tuple(generator.randrange(2) if i in scaled else 1 for i in range(size)) for _ in subbands)))
    beams = sorted(generator.sample(range(setting.ports.positions), codebook.num_beams))
    return Type2Pmi(generator.randrange(setting.ports.groups), tuple(beams), tuple(layers))


def beams_by_the_standards_algorithm(index: int, ports: Ports, num_beams: int) -> list[int]:
    """n of i1,2 as TS 38.214, 5.2.2.2.3, spells it out."""
    s, found = 0, []
    for i in range(num_beams):
        x = max(x for x in range(num_beams - 1 - i, ports.positions - i) if index - s >= comb(x, num_beams - i))
        s += comb(x, num_beams - i)
        found.append(ports.positions - 1 - x)
    return found


@pytest.mark.parametrize(("num_beams", "subband_amplitude", "alphabet", "rank"),
                         list(product((2, 3, 4), (False, True), (4, 8), (1, 2))))
def test_indices_survive_the_bits(num_beams, subband_amplitude, alphabet, rank):
    generator = random.Random(str((num_beams, subband_amplitude, alphabet, rank)))
    codebook = Type2(num_beams, alphabet, subband_amplitude, rank)
    for layout in ((3, 2), (4, 4), (16, 1)):
        setting = Setting(Ports(*layout), 5, rank)
        pmi = random_pmi(codebook, setting, generator)
        writer = codebook.write(pmi, setting)
        reader = BitReader(writer.to_bytes(), writer.num_bits)
        assert codebook.read(reader, setting) == pmi
        reader.finish()
        assert writer.num_bits == codebook.report_bits(
            setting, [sum(k > 0 for k in layer.amplitudes) for layer in pmi.layers])
        norms = torch.linalg.vector_norm(codebook.precoder(pmi, setting).flatten(-2), dim=-1)
        torch.testing.assert_close(norms, torch.ones_like(norms))


@pytest.mark.parametrize(("num_beams", "subband_amplitude", "bits"), [
    # part 1 + i1,1 + i1,2 + i1,3 + i1,4 + subbands x (phases + amplitudes), 32 ports, 8-PSK, 10 subbands
    (2, False, 2 + 4 + 7 + 2 + 9 + 10 * 3 * 3),
    (2, True, 2 + 4 + 7 + 2 + 9 + 10 * (3 * 3 + 3)),
    (3, True, 3 + 4 + 10 + 3 + 15 + 10 * (3 * 3 + 2 * 2 + 3)),
    (4, False, 3 + 4 + 11 + 3 + 21 + 10 * 7 * 3),
    (4, True, 3 + 4 + 11 + 3 + 21 + 10 * (5 * 3 + 2 * 2 + 5)),
])
def test_a_full_report_has_the_bits_of_the_standard(num_beams, subband_amplitude, bits):
    codebook = Type2(num_beams, 8, subband_amplitude)
    assert codebook.report_bits(Setting(Ports(4, 4), 10, 1), [2 * num_beams]) == bits


def test_beams_are_numbered_as_in_the_standard():
    generator = random.Random(5)
    codebook, setting = Type2(num_beams=4), Setting(Ports(4, 2), 1, 1)
    for _ in range(30):
        pmi = random_pmi(codebook, setting, generator)
        writer = codebook.write(pmi, setting)
        reader = BitReader(writer.to_bytes(), writer.num_bits)
        reader.read(3), reader.read(4)
        assert beams_by_the_standards_algorithm(reader.read(7), setting.ports, 4) == list(pmi.beams)


@pytest.mark.parametrize("num_beams", [2, 3, 4])
@pytest.mark.parametrize("rank", [1, 2])
def test_a_precoder_of_the_codebook_is_found(num_beams, rank):
    generator = random.Random(7)
    codebook, setting = Type2(num_beams, subband_amplitude=False, rank=rank), Setting(Ports(4, 4), 9, rank)
    for _ in range(5):
        pmi = random_pmi(codebook, setting, generator)
        w = codebook.precoder(pmi, setting)
        phases = torch.exp(2j * torch.pi * torch.rand(9, rank, 1, 1, dtype=torch.float64))
        found = codebook.search((w * phases).unsqueeze(0), setting)[0]
        held = (codebook.precoder(found, setting).conj() * w).sum((-2, -1)).abs()
        torch.testing.assert_close(held, torch.ones_like(held))


def test_subband_amplitudes_never_lower_the_correlation():
    torch.manual_seed(0)
    setting = Setting(Ports(4, 4), 6, 1)
    v = torch.randn(8, 6, 1, 2, 16, dtype=torch.complex128)
    v = v / torch.linalg.vector_norm(v, dim=(-2, -1), keepdim=True)

    def held(codebook: Type2) -> torch.Tensor:
        found = torch.stack([codebook.precoder(pmi, setting) for pmi in codebook.search(v, setting)])
        return (found.conj() * v).sum((-2, -1)).abs().square().mean()

    # for two beams all coefficients have the fine phase alphabet either way
    assert held(Type2(2, subband_amplitude=True)) >= held(Type2(2, subband_amplitude=False))


def test_a_wrong_number_of_amplitudes_is_noticed():
    codebook, setting = Type2(), Setting(Ports(4, 4), 3, 1)
    writer = codebook.write(random_pmi(codebook, setting, random.Random(1)), setting)
    broken = bytearray(writer.to_bytes())
    broken[0] ^= 0b100 << 5
    with pytest.raises(ReportError, match="announced"):
        codebook.read(BitReader(bytes(broken), writer.num_bits), setting)


def test_more_than_two_beams_of_four_ports_are_refused():
    with pytest.raises(ScenarioError, match="num_beams"):
        Type2(num_beams=3).least_bits(Setting(Ports(2, 1), 3, 1))
