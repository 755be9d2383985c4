"""Enhanced Type II: widths of the standard, indices through bits, and channels that lie in the codebook."""

from __future__ import annotations

import random
from itertools import product
from math import comb

import pytest
import torch

from linksim.blocks.feedback.bits import BitReader
from linksim.blocks.feedback.etype2 import search_pmi
from linksim.blocks.feedback.etype2_pmi import (
    Etype2Layer,
    Etype2Pmi,
    Etype2Sizes,
    _by_priority,
    precoder_of,
    read_pmi,
    write_pmi,
)
from linksim.blocks.feedback.ports import Ports
from linksim.core.errors import ReportError, ScenarioError

ALLOWED = [(combination, rank, per_subband)
           for combination, rank, per_subband in product(range(1, 9), range(1, 5), (1, 2))
           if combination < 7 or (rank < 3 and per_subband == 1)]


def table(rows: int, columns: int, value) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(value(i, f) for f in range(columns)) for i in range(rows))


def random_pmi(sizes: Etype2Sizes, generator: random.Random, num_nonzero: int | None = None) -> Etype2Pmi:
    rows, taps = 2 * sizes.num_beams, sizes.num_taps
    window = generator.randrange(1 - 2 * taps, 1) if sizes.windowed else 0
    inside = [(window + place) % sizes.num_subbands for place in range(2 * taps)]
    candidates = [tap for tap in (inside if sizes.windowed else range(sizes.num_subbands)) if tap]
    layers = []
    for _ in range(sizes.num_layers):
        most = min(sizes.max_nonzero, sizes.max_total // sizes.num_layers, rows * taps)
        count = num_nonzero or generator.randint(1, most)
        strongest = generator.randrange(rows)
        others = [place for place in product(range(rows), range(taps)) if place != (strongest, 0)]
        chosen = {(strongest, 0), *generator.sample(others, count - 1)}
        layers.append(Etype2Layer(
            (0, *sorted(generator.sample(candidates, taps - 1))), strongest, generator.randint(1, 15),
            table(rows, taps, lambda i, f: (i, f) in chosen),  # noqa: B023 (used at once)
            table(rows, taps, lambda i, f: 7 if (i, f) == (strongest, 0) else  # noqa: B023
                  generator.randrange(8) if (i, f) in chosen else 0),  # noqa: B023
            table(rows, taps, lambda i, f: generator.randrange(16)
                  if (i, f) in chosen - {(strongest, 0)} else 0)))  # noqa: B023
    beams = sorted(generator.sample(range(sizes.ports.positions), sizes.num_beams))
    return Etype2Pmi(generator.randrange(sizes.ports.groups), tuple(beams), window, tuple(layers))


def through_bits(pmi: Etype2Pmi, sizes: Etype2Sizes) -> Etype2Pmi:
    writer = write_pmi(pmi, sizes)
    reader = BitReader(writer.to_bytes(), writer.num_bits)
    found = read_pmi(reader, sizes)
    reader.finish()
    return found


def test_the_worked_example_has_172_bits():
    sizes = Etype2Sizes.of(Ports(8, 2), num_layers=1, num_subbands=13, combination=4, precoders_per_subband=1)
    assert (sizes.num_taps, sizes.max_nonzero) == (4, 16)
    assert sizes.report_bits(16) == 172
    writer = write_pmi(random_pmi(sizes, random.Random(0), num_nonzero=16), sizes)
    assert writer.num_bits == 172
    assert writer.ledger == {"K_NZ": 4, "i1,1": 4, "i1,2": 11, "i1,6": 8, "i1,7": 32, "i1,8": 4, "i2,3": 4,
                             "i2,4": 45, "i2,5": 60}


@pytest.mark.parametrize(("combination", "beams", "taps", "nonzero"), [
    (1, 2, 4, 4), (2, 2, 4, 8), (3, 4, 4, 8), (4, 4, 4, 16), (5, 4, 4, 24), (6, 4, 7, 28), (7, 6, 4, 24), (8, 6, 4, 36),
])
def test_sizes_of_the_combinations_at_13_subbands(combination, beams, taps, nonzero):
    sizes = Etype2Sizes.of(Ports(4, 4), 1, 13, combination, 1)
    assert (sizes.num_beams, sizes.num_taps, sizes.max_nonzero) == (beams, taps, nonzero)


def test_higher_ranks_have_fewer_taps_but_the_same_number_of_coefficients():
    low, high = (Etype2Sizes.of(Ports(4, 4), rank, 18, 6, 1) for rank in (2, 4))
    assert (low.num_taps, high.num_taps) == (9, 5)
    assert low.max_nonzero == high.max_nonzero
    assert low.max_total == high.max_total == 2 * low.max_nonzero


@pytest.mark.parametrize(("combination", "rank", "per_subband"), ALLOWED)
def test_indices_survive_the_bits(combination, rank, per_subband):
    generator = random.Random(str((combination, rank, per_subband)))
    for num_subbands in (6, 13, 19) if per_subband == 1 else (12, 20, 36):
        sizes = Etype2Sizes.of(Ports(4, 4), rank, num_subbands, combination, per_subband)
        for _ in range(3):
            pmi = random_pmi(sizes, generator)
            assert through_bits(pmi, sizes) == pmi
            assert write_pmi(pmi, sizes).num_bits == sizes.report_bits(pmi.num_nonzero)
            norms = torch.linalg.vector_norm(precoder_of(pmi, sizes).flatten(-2), dim=-1)
            assert (((norms - 1).abs() < 1e-9) | (norms == 0)).all()


def test_taps_are_numbered_as_in_the_standard():
    """TS 38.214, 5.2.2.2.5: n3 from i1,6 and M_initial, as it is spelled out there."""
    generator = random.Random(2)
    for num_subbands in (13, 26):
        sizes = Etype2Sizes.of(Ports(4, 4), 1, num_subbands, 4, 1 if num_subbands < 20 else 2)
        m, span = sizes.num_taps, num_subbands if num_subbands <= 19 else 2 * sizes.num_taps
        for _ in range(20):
            pmi = random_pmi(sizes, generator)
            writer = write_pmi(pmi, sizes)
            reader = BitReader(writer.to_bytes(), writer.num_bits)
            for bits in (4, 4, 11, (pmi.num_nonzero - 1).bit_length(), 4):  # K_NZ, i1,1, i1,2, i1,8, i2,3
                reader.read(bits)
            i15 = reader.read((2 * m - 1).bit_length()) if num_subbands > 19 else 0
            initial = i15 - 2 * m if i15 else 0
            i16 = reader.read((comb(span - 1, m - 1) - 1).bit_length())
            taps, s = [0], 0
            for f in range(1, m):
                x = max(x for x in range(m - 1 - f, span - f) if i16 - s >= comb(x, m - f))
                s += comb(x, m - f)
                n = span - 1 - x
                taps.append(n if num_subbands <= 19 or n <= initial + 2 * m - 1 else n + num_subbands - 2 * m)
            assert tuple(taps) == pmi.layers[0].taps


def test_elements_are_ordered_by_the_standards_priority():
    sizes = Etype2Sizes.of(Ports(4, 4), 2, 13, 4, 1)
    taps = [(0, 1, 6, 12), (0, 2, 5, 11)]

    def priority(l: int, i: int, f: int) -> int:
        n3 = taps[l][f]
        return 2 * 4 * 2 * min(2 * n3, 2 * (13 - n3) - 1) + 2 * i + (l + 1)

    values = [priority(*element) for element in _by_priority(taps, sizes)]
    assert len(values) == 2 * 8 * 4
    assert values == sorted(values)


@pytest.mark.parametrize(("combination", "rank", "per_subband"), ALLOWED)
def test_a_precoder_of_one_tap_a_beam_is_found(combination, rank, per_subband):
    """Then the norm that the precoder is divided by is the same in all subbands, and nothing is lost."""
    generator = random.Random(combination)
    sizes = Etype2Sizes.of(Ports(4, 4), rank, 13 * per_subband, combination, per_subband)
    rows, m = 2 * sizes.num_beams, sizes.num_taps
    count = min(rows, sizes.max_total // rank)
    pmi = random_pmi(sizes, generator)
    layers = []
    for layer in pmi.layers:
        strongest = layer.strongest
        tap = {i: (i - strongest) % rows % m for i in range(rows) if (i - strongest) % rows < count}
        layers.append(Etype2Layer(
            layer.taps, strongest, 13, table(rows, m, lambda i, f: tap.get(i) == f),  # noqa: B023 (used at once)
            table(rows, m, lambda i, f: (7 if i == strongest else 3 + i % 3) if tap.get(i) == f else 0),  # noqa: B023
            table(rows, m, lambda i, f: generator.randrange(16)
                  if tap.get(i) == f and i != strongest else 0)))  # noqa: B023
    pmi = Etype2Pmi(pmi.group, pmi.beams, pmi.window, tuple(layers))
    w = precoder_of(pmi, sizes)
    phases = torch.exp(2j * torch.pi * torch.rand(*w.shape[:2], 1, 1, dtype=torch.float64))
    found = search_pmi((w * phases).unsqueeze(0), sizes)[0]
    held = (precoder_of(found, sizes).conj() * w).sum((-2, -1)).abs()
    torch.testing.assert_close(held, torch.ones_like(held))


@pytest.mark.parametrize(("combination", "rank", "per_subband"), ALLOWED)
def test_what_the_terminal_finds_is_a_pmi_of_the_standard(combination, rank, per_subband):
    torch.manual_seed(combination)
    sizes = Etype2Sizes.of(Ports(4, 4), rank, 13 * per_subband, combination, per_subband)
    v = torch.linalg.qr(torch.randn(4, sizes.num_subbands, 32, rank, dtype=torch.complex128))[0].mT
    for pmi in search_pmi(v.unflatten(-1, (2, 16)), sizes):
        assert through_bits(pmi, sizes) == pmi
        assert rank <= pmi.num_nonzero <= sizes.max_total
        norms = torch.linalg.vector_norm(precoder_of(pmi, sizes).flatten(-2), dim=-1)
        torch.testing.assert_close(norms, torch.ones_like(norms))


def test_a_corrupted_report_raises_or_is_another_pmi():
    generator = random.Random(9)
    sizes = Etype2Sizes.of(Ports(4, 4), 2, 13, 6, 1)
    writer = write_pmi(random_pmi(sizes, generator), sizes)
    raised = 0
    for bit in range(writer.num_bits):
        broken = bytearray(writer.to_bytes())
        broken[bit // 8] ^= 0x80 >> bit % 8
        reader = BitReader(bytes(broken), writer.num_bits)
        try:
            pmi = read_pmi(reader, sizes)
            reader.finish()
        except ReportError:
            raised += 1
        else:
            assert precoder_of(pmi, sizes).isfinite().all()
    assert raised > 2 * 8 * sizes.num_taps / 2  # every error in a bitmap changes the number of coefficients


@pytest.mark.parametrize(("layout", "rank", "num_subbands", "per_subband", "combination", "text"), [
    ((2, 1), 1, 13, 1, 3, "4 ports"), ((4, 2), 1, 13, 1, 7, "32 ports"), ((4, 4), 3, 13, 1, 8, "ranks above 2"),
    ((4, 4), 1, 26, 2, 7, "precoders_per_subband"), ((4, 4), 4, 1, 1, 1, "more subbands"),
])
def test_combinations_that_cannot_be_used_are_refused_in_one_line(layout, rank, num_subbands, per_subband, combination,
                                                                  text):
    with pytest.raises(ScenarioError, match=text) as error:
        Etype2Sizes.of(Ports(*layout), rank, num_subbands, combination, per_subband)
    assert "\n" not in str(error.value)
