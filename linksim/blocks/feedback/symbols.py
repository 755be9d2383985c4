"""Quantised real numbers as tokens with trained frequencies: the entropy-coded scalar quantiser.

A number is divided by the step and rounded, a little towards zero. Magnitudes 0 to 7 are tokens of their own; beyond
these a token stands for an octave, within which the magnitude follows in plain bits. Signs are plain bits. Which
frequency table a token has depends on its class: the ratio of the number's standard deviation to the step, in half
octaves.
"""

from __future__ import annotations

import torch

from linksim.blocks.feedback.bits import SymbolReader
from linksim.blocks.feedback.range_coder import MAX_TOTAL

NUM_DIRECT = 8
NUM_TOKENS = NUM_DIRECT + 12
LARGEST = NUM_DIRECT * 2 ** (NUM_TOKENS - NUM_DIRECT) - 1
ROUNDING = 0.4
"""Added before the magnitude is rounded down: less than one half, since zeros are cheaper."""

LOWEST_CLASS, NUM_CLASSES = -12, 36
"""Classes are half octaves of deviation over step: numbers below 1/64 of the step are not sent at all."""

EVEN = (1, 1)
"""The table of a plain bit."""


def classes_of(deviation: torch.Tensor, step: float) -> torch.Tensor:
    """Class of numbers of this deviation, int64; below 0 they are not sent."""
    ratio = (deviation.double() / step).clamp_min(1e-30)
    return ((2 * ratio.log2()).round() - LOWEST_CLASS).clamp(-1, NUM_CLASSES - 1).long()


def magnitudes_of(value: torch.Tensor, step: float) -> torch.Tensor:
    """Quantised magnitude of every number, int64."""
    return (value.double().abs() / step + ROUNDING).floor().clamp_max(LARGEST).long()


def tokens_of(magnitude: torch.Tensor) -> torch.Tensor:
    """The token of every magnitude."""
    octave = (magnitude.clamp_min(1).double() / NUM_DIRECT).log2().floor().long()
    return torch.where(magnitude < NUM_DIRECT, magnitude, NUM_DIRECT + octave)


def extra_bits_of(token: torch.Tensor) -> torch.Tensor:
    """Plain bits beside the token: a sign for all but zero, and the place in the octave."""
    return (token > 0) + (token - NUM_DIRECT + 3).clamp_min(0) * (token >= NUM_DIRECT)


def frequency_tables(counts: torch.Tensor) -> torch.Tensor:
    """Counts of tokens ``[class, token]`` as integer frequencies of at least 1 that sum to at most 2^16.

    A class that was never seen takes after its neighbours.
    """
    counts = counts.double() + 0.02
    empty = counts.sum(-1) < 1
    for index in range(1, len(counts)):
        if empty[index]:
            counts[index] = counts[index - 1]
    share = counts / counts.sum(-1, keepdim=True)
    return 1 + (share * (MAX_TOTAL - 2 * NUM_TOKENS)).floor().long()


def code_lengths(tables: torch.Tensor) -> torch.Tensor:
    """Bits of every token with its plain bits, ``[class, token]``, float64."""
    tables = tables.double()
    return -(tables / tables.sum(-1, keepdim=True)).log2() + extra_bits_of(torch.arange(NUM_TOKENS))


def symbols_of(magnitude: int, negative: bool) -> list[int]:
    """Token and plain bits of one number; all but the first have the table `EVEN`."""
    if magnitude < NUM_DIRECT:
        return [magnitude, int(negative)] if magnitude else [0]
    octave = (magnitude // NUM_DIRECT).bit_length() - 1
    inside = magnitude - (NUM_DIRECT << octave)
    return [NUM_DIRECT + octave, int(negative), *(inside >> shift & 1 for shift in reversed(range(octave + 3)))]


def read_number(reader: SymbolReader, table: list[int]) -> tuple[int, bool]:
    """Magnitude and sign of the next number."""
    token = reader.read(table)
    if not token:
        return 0, False
    negative = bool(reader.read(EVEN))
    if token < NUM_DIRECT:
        return token, negative
    inside = 0
    for _ in range(token - NUM_DIRECT + 3):
        inside = 2 * inside + reader.read(EVEN)
    return (NUM_DIRECT << (token - NUM_DIRECT)) + inside, negative
