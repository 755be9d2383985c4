"""Integers, positions and entropy-coded symbols survive the trip, and cost what they should."""

from __future__ import annotations

import math
import random
from itertools import combinations

import pytest

from linksim.blocks.feedback.bits import (
    BitReader,
    BitWriter,
    choice_bits,
    combination_bits,
    combination_of_rank,
    combination_rank,
)
from linksim.core.errors import ReportError


def test_all_sets_of_a_size_have_consecutive_numbers():
    for total in range(8):
        for count in range(total + 1):
            ranks = [combination_rank(positions) for positions in combinations(range(total), count)]
            assert sorted(ranks) == list(range(math.comb(total, count)))
            for positions, rank in zip(combinations(range(total), count), ranks):
                assert combination_of_rank(rank, total, count) == list(positions)


@pytest.mark.parametrize(("count", "bits"), [(221, 1006), (111, 618), (56, 367), (28, 210)])
def test_positions_among_2048_cost_their_enumerative_bits(count, bits):
    assert combination_bits(2048, count) == pytest.approx(bits, abs=1)


def test_one_choice_costs_nothing():
    assert choice_bits(1) == 0
    assert choice_bits(16) == 4
    assert choice_bits(17) == 5


def test_everything_written_is_read_back_and_booked():
    generator = random.Random(0)
    positions = sorted(generator.sample(range(4096), 37))
    writer = BitWriter()
    writer.write(5, 3, "rank")
    writer.write_choice(11, 12, "scale")
    writer.write_combination(reversed(positions), 4096)
    tables = [[1, 2, 30], [5, 5]] * 20
    symbols = [generator.randrange(len(table)) for table in tables]
    writer.write_symbols(symbols, tables)
    assert sum(writer.ledger.values()) == writer.num_bits
    assert writer.ledger["scale"] == 4
    payload = writer.to_bytes()
    assert len(payload) == math.ceil(writer.num_bits / 8)
    reader = BitReader(payload, writer.num_bits)
    assert (reader.read(3), reader.read_choice(12)) == (5, 11)
    assert reader.read_combination(4096, 37) == positions
    assert reader.read_symbols(tables) == symbols
    reader.finish()


@pytest.mark.parametrize("matched", [True, False])
def test_entropy_coding_costs_the_information_of_the_symbols_and_two_bits(matched):
    generator = random.Random(1)
    for _ in range(300):
        tables = [[generator.choice([1, 2, 5, 100, 9000]) for _ in range(generator.randint(1, 6))]
                  for _ in range(generator.randint(0, 40))]
        symbols = [generator.choices(range(len(table)), table if matched else None)[0] for table in tables]
        writer = BitWriter()
        writer.write_symbols(symbols, tables)
        information = sum(-math.log2(table[symbol] / sum(table)) for symbol, table in zip(symbols, tables))
        assert writer.num_bits <= information + 2
        assert BitReader(writer.to_bytes(), writer.num_bits).read_symbols(tables) == symbols


def test_most_significant_bit_comes_first_and_zeros_fill_the_last_byte():
    writer = BitWriter()
    writer.write(1, 1, "flag")
    writer.write(3, 9, "value")
    assert writer.to_bytes() == bytes([0b10000000, 0b11000000])


@pytest.mark.parametrize(("payload", "num_bits", "message"), [
    (b"\x00", 9, "2 bytes expected, 1 received"),
    (b"\x00\x00", 8, "1 bytes expected, 2 received"),
    (b"\x01", 7, "padding is not zero"),
])
def test_payloads_of_the_wrong_length_are_refused(payload, num_bits, message):
    with pytest.raises(ReportError, match=message):
        BitReader(payload, num_bits)


def test_reading_too_much_too_little_or_an_impossible_choice_is_refused():
    with pytest.raises(ReportError, match="9 bits wanted, 8 left"):
        BitReader(b"\x00", 8).read(9)
    with pytest.raises(ReportError, match="8 bits are left over"):
        BitReader(b"\x00", 8).finish()
    with pytest.raises(ReportError, match="number 7 of 5"):
        BitReader(b"\xe0", 3).read_choice(5)
    with pytest.raises(ReportError, match="no such set"):
        BitReader(b"\xe0", 3).read_combination(4, 2)


def test_values_that_do_not_fit_are_refused():
    writer = BitWriter()
    for wrong in (lambda: writer.write(4, 2, "value"), lambda: writer.write(-1, 2, "value"),
                  lambda: writer.write_choice(5, 5, "value"), lambda: writer.write_combination([1, 1], 4),
                  lambda: writer.write_combination([4], 4), lambda: writer.write_symbols([2], [[1, 1]])):
        with pytest.raises(ValueError, match=r"does not fit|none of|not a set"):
            wrong()
