"""Arithmetic coding of symbols with integer frequency tables, bit by bit and exact.

Source: Witten, Neal, Cleary, "Arithmetic Coding for Data Compression", Communications of the ACM 30(6), 1987.
"""

from __future__ import annotations

from collections.abc import Sequence

_PRECISION = 32
_TOP = (1 << _PRECISION) - 1
_HALF = 1 << (_PRECISION - 1)
_QUARTER = 1 << (_PRECISION - 2)

MAX_TOTAL = 1 << 16
"""Largest sum of a frequency table."""


def _check(table: Sequence[int]) -> int:
    total = sum(table)
    if not 0 < total <= MAX_TOTAL or min(table) < 1:
        raise ValueError(f"frequencies must be at least 1 and sum to at most {MAX_TOTAL} (given a sum of {total})")
    return total


class RangeEncoder:
    """Turns symbols into bits; `finish` ends the code word with as few bits as tell it from all others."""

    def __init__(self) -> None:
        self._low, self._high, self._pending = 0, _TOP, 0
        self._bits: list[str] = []

    def encode(self, symbol: int, table: Sequence[int]) -> None:
        """:param table: frequency of every symbol.

        :raises ValueError: a symbol or a table that cannot be coded.
        """
        total = _check(table)
        if not 0 <= symbol < len(table):
            raise ValueError(f"symbol {symbol} is none of {len(table)}")
        below, span = sum(table[:symbol]), self._high - self._low + 1
        self._high = self._low + span * (below + table[symbol]) // total - 1
        self._low = self._low + span * below // total
        while True:
            if self._high < _HALF:
                self._emit("0")
            elif self._low >= _HALF:
                self._emit("1")
                self._low, self._high = self._low - _HALF, self._high - _HALF
            elif self._low >= _QUARTER and self._high < 3 * _QUARTER:
                self._pending += 1
                self._low, self._high = self._low - _QUARTER, self._high - _QUARTER
            else:
                return
            self._low, self._high = 2 * self._low, 2 * self._high + 1

    def _emit(self, bit: str) -> None:
        self._bits.append(bit + ("1" if bit == "0" else "0") * self._pending)
        self._pending = 0

    def finish(self) -> str:
        """The code word, without the zeros at its end: the decoder takes zeros for whatever follows."""
        if self._low > 0 or self._pending:  # one half, a one and zeros, lies in every interval that is left open
            self._emit("1")
        return "".join(self._bits).rstrip("0")


class RangeDecoder:
    """Turns the bits of a `RangeEncoder` back into symbols, given the same tables in the same order."""

    def __init__(self, bits: str) -> None:
        self._low, self._high = 0, _TOP
        self._bits, self._at = bits, _PRECISION
        self._value = int(bits[:_PRECISION].ljust(_PRECISION, "0"), 2)

    def decode(self, table: Sequence[int]) -> int:
        """:param table: frequency of every symbol, as the encoder had it."""
        total = _check(table)
        span = self._high - self._low + 1
        target = ((self._value - self._low + 1) * total - 1) // span
        symbol, below = 0, 0
        while below + table[symbol] <= target:
            below += table[symbol]
            symbol += 1
        self._high = self._low + span * (below + table[symbol]) // total - 1
        self._low = self._low + span * below // total
        while True:
            if self._high < _HALF:
                shift = 0
            elif self._low >= _HALF:
                shift = _HALF
            elif self._low >= _QUARTER and self._high < 3 * _QUARTER:
                shift = _QUARTER
            else:
                return symbol
            self._low, self._high = 2 * (self._low - shift), 2 * (self._high - shift) + 1
            bit = self._bits[self._at] == "1" if self._at < len(self._bits) else False
            self._value = 2 * (self._value - shift) + bit
            self._at += 1
