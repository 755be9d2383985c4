"""Bit strings: integers, positions and entropy-coded symbols, each bit booked under what it is spent on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import comb

from linksim.blocks.feedback.range_coder import RangeDecoder, RangeEncoder
from linksim.core.errors import ReportError


class BitLedger(Counter[str]):
    """Bits by purpose (``values``, ``positions``, ``scale``, ``rank``, ...); `total` is the length of the report."""

    @property
    def num_bits(self) -> int:
        return self.total()


def choice_bits(num_choices: int) -> int:
    """Bits that name one of ``num_choices``: ``ceil(log2(num_choices))``.

    :raises ValueError: nothing to choose from.
    """
    if num_choices < 1:
        raise ValueError(f"one of {num_choices} choices cannot be named: at least 1 needed")
    return (num_choices - 1).bit_length()


def combination_bits(total: int, count: int) -> int:
    """Bits that name ``count`` of ``total`` positions: ``ceil(log2 C(total, count))``."""
    return choice_bits(comb(total, count))


def combination_rank(positions: Sequence[int]) -> int:
    """Number of a set of positions among those of its size, in colexicographic order.

    :param positions: distinct, ascending, from 0 on.

    Source: the combinatorial number system, Knuth, The Art of Computer Programming 4A, 7.2.1.3.
    """
    return sum(comb(position, k) for k, position in enumerate(positions, 1))


def combination_of_rank(rank: int, total: int, count: int) -> list[int]:
    """Inverse of `combination_rank`: ``count`` ascending positions below ``total``."""
    positions = []
    position, size = total - 1, comb(total - 1, count) if count else 0  # size = C(position, k)
    for k in range(count, 0, -1):
        while size > rank:
            size = size * (position - k) // position
            position -= 1
        rank -= size
        positions.append(position)
        # from C(position, k) to C(position - 1, k - 1)
        size = size * k // position if position >= k else int(k == 1)
        if position < k:  # C(position, k) was 0: all that is left is 0, 1, ..., k - 2
            positions += range(k - 2, -1, -1)
            break
        position -= 1
    return positions[::-1]


class BitWriter:
    """Collects one report, most significant bit first.

    Every ``write`` names its ``purpose`` in the `ledger`, whose sum is exactly `num_bits`.
    """

    def __init__(self) -> None:
        self.ledger = BitLedger()
        self._bits: list[str] = []

    @property
    def num_bits(self) -> int:
        return self.ledger.num_bits

    def write(self, value: int, num_bits: int, purpose: str) -> None:
        """An unsigned integer of ``num_bits`` bits.

        :raises ValueError: it does not fit.
        """
        value = int(value)
        if value < 0 or value >> num_bits:
            raise ValueError(f"{purpose}: {value} does not fit into {num_bits} bits")
        if num_bits:
            self._bits.append(format(value, f"0{num_bits}b"))
        self.ledger[purpose] += num_bits

    def write_choice(self, value: int, num_choices: int, purpose: str) -> None:
        """One of ``num_choices``, in `choice_bits`.

        :raises ValueError: there is no such choice.
        """
        if not 0 <= value < num_choices:
            raise ValueError(f"{purpose}: {value} is none of {num_choices} choices")
        self.write(value, choice_bits(num_choices), purpose)

    def write_combination(self, positions: Iterable[int], total: int, purpose: str = "positions") -> None:
        """Which of ``total`` positions, in any order, in `combination_bits`; the reader is told how many.

        :raises ValueError: a position twice, or outside.
        """
        ordered = sorted(int(position) for position in positions)
        if len(set(ordered)) < len(ordered) or (ordered and not 0 <= ordered[0] <= ordered[-1] < total):
            raise ValueError(f"{purpose}: not a set of positions below {total}")
        self.write(combination_rank(ordered), combination_bits(total, len(ordered)), purpose)

    def write_symbols(self, symbols: Sequence[int], tables: Sequence[Sequence[int]], purpose: str = "values") -> None:
        """Entropy-coded symbols, the last thing in a report (the reader takes zeros for what follows).

        :param symbols: one for each table.
        :param tables: integer frequencies of every symbol, above zero, their sum at most 2^16.
        """
        encoder = RangeEncoder()
        for symbol, table in zip(symbols, tables, strict=True):
            encoder.encode(int(symbol), table)
        bits = encoder.finish()
        self._bits.append(bits)
        self.ledger[purpose] += len(bits)

    def append(self, other: BitWriter) -> None:
        """Continue with what another writer holds."""
        self._bits += other._bits
        self.ledger.update(other.ledger)

    def to_bytes(self) -> bytes:
        """The bits, filled up to whole bytes with zeros."""
        return pack("".join(self._bits))


class BitReader:
    """Takes a report apart in the order in which it was written.

    :param payload: bytes as `BitWriter.to_bytes` gives them.
    :param num_bits: exact length.
    :raises ReportError: more or fewer bytes than these bits need, or padding that is not zero.
    """

    def __init__(self, payload: bytes, num_bits: int) -> None:
        if len(payload) != -(-num_bits // 8):
            raise ReportError(f"report of {num_bits} bits: {-(-num_bits // 8)} bytes expected, {len(payload)} received")
        text = format(int.from_bytes(payload, "big"), f"0{8 * len(payload)}b") if payload else ""
        if "1" in text[num_bits:]:
            raise ReportError(f"report of {num_bits} bits: its padding is not zero")
        self._bits = text[:num_bits]
        self._at = 0

    @property
    def remaining(self) -> int:
        """Bits not yet read."""
        return len(self._bits) - self._at

    def read(self, num_bits: int, purpose: str = "value") -> int:
        """An unsigned integer of ``num_bits`` bits.

        :raises ReportError: the report ends before.
        """
        if num_bits > self.remaining:
            raise ReportError(f"report ends in its {purpose}: {num_bits} bits wanted, {self.remaining} left")
        part = self._bits[self._at:self._at + num_bits]
        self._at += num_bits
        return int(part, 2) if part else 0

    def read_choice(self, num_choices: int, purpose: str = "choice") -> int:
        """One of ``num_choices``.

        :raises ReportError: the report ends before, or names a choice that there is not.
        """
        value = self.read(choice_bits(num_choices), purpose)
        if value >= num_choices:
            raise ReportError(f"report is corrupted: its {purpose} is number {value} of {num_choices}")
        return value

    def read_combination(self, total: int, count: int, purpose: str = "positions") -> list[int]:
        """``count`` ascending positions below ``total``.

        :raises ReportError: the report ends before, or names a set that there is not.
        """
        rank = self.read(combination_bits(total, count), purpose)
        if rank >= comb(total, count):
            raise ReportError(f"report is corrupted: no such set of {count} {purpose} of {total}")
        return combination_of_rank(rank, total, count)

    def read_symbols(self, tables: Sequence[Sequence[int]]) -> list[int]:
        """All that is left, as symbols: one for each table (see `BitWriter.write_symbols`).

        :raises ReportError: bits are left over or missing.
        """
        reader = self.symbols()
        symbols = [reader.read(table) for table in tables]
        reader.finish()
        return symbols

    def symbols(self) -> SymbolReader:
        """All that is left, symbol by symbol, where the next table follows from the last symbol."""
        rest = self._bits[self._at:]
        self._at = len(self._bits)
        return SymbolReader(rest)

    def finish(self) -> None:
        """Check that everything was read.

        :raises ReportError: bits are left over.
        """
        if self.remaining:
            raise ReportError(f"report is corrupted: {self.remaining} bits are left over")


class SymbolReader:
    """Entropy-coded symbols, one after the other.

    :param bits: the code word, to the end of the report.
    """

    def __init__(self, bits: str) -> None:
        self._bits, self._decoder, self._again = bits, RangeDecoder(bits), RangeEncoder()

    def read(self, table: Sequence[int]) -> int:
        """The next symbol, given the table with which it was written."""
        symbol = self._decoder.decode(table)
        self._again.encode(symbol, table)
        return symbol

    def finish(self) -> None:
        """Check that the symbols read are all that there were: they alone decide how many bits they take.

        :raises ReportError: bits are left over or missing.
        """
        if self._again.finish() != self._bits:
            raise ReportError("report is corrupted: its entropy-coded values are no code word")


def pack(bits: str) -> bytes:
    """A string of 0 and 1 as bytes, most significant bit first, filled up with zeros."""
    num_bytes = -(-len(bits) // 8)
    return int(bits.ljust(8 * num_bytes, "0"), 2).to_bytes(num_bytes, "big") if bits else b""
