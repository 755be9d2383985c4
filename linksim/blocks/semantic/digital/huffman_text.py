"""A Huffman code of characters: the source code of "separate source and channel coding"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from bitarray.util import huffman_code

from linksim.blocks.semantic.digital.text_codes import (
    CODE_POINT_BITS,
    TextCode,
    character_of,
    lines_of_tensor,
    lines_to_tensor,
    training_texts,
)

_END, _ESCAPE = "end", "escape"
"""Symbols beside the characters, which are one letter long."""


class HuffmanText(TextCode):
    """Static Huffman code of the characters of training captions, their end and an escape to any other character.

    :param codewords: of every symbol, a prefix code; the end is zeros alone.

    Source: the Huffman coding of SSCC in SC-LMKB, section V, which says no more of it; Huffman, "A method for the
    construction of minimum-redundancy codes", Proceedings of the IRE 40(9), 1952.
    """

    def __init__(self, codewords: dict[str, str]) -> None:
        self.codewords = codewords
        self._symbols = {codeword: symbol for symbol, codeword in codewords.items()}

    @classmethod
    def fit(cls, captions: Sequence[str]) -> HuffmanText:
        texts = training_texts(captions)
        counts = Counter(character for text in texts for character in text)
        # a character was new as often as one stands once
        new = max(1, sum(count == 1 for count in counts.values()))
        # equal counts in a fixed order, so that the code does not depend on the order of the captions
        frequencies = {_END: len(texts), _ESCAPE: new} | dict(sorted(counts.items()))
        code = huffman_code(frequencies)
        return cls(_with_zeros_at(_END, {symbol: codeword.to01() for symbol, codeword in code.items()}))

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"symbols": lines_to_tensor(list(self.codewords)),
                "codewords": lines_to_tensor(list(self.codewords.values()))}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> HuffmanText:
        return cls(dict(zip(lines_of_tensor(tensors["symbols"]), lines_of_tensor(tensors["codewords"]), strict=True)))

    def _bits(self, text: str) -> str:
        escape = self.codewords[_ESCAPE]
        parts = [self.codewords.get(character) or escape + format(ord(character), f"0{CODE_POINT_BITS}b")
                 for character in text]
        return "".join(parts).rstrip("0")  # the end is zeros

    def decode(self, bits: str) -> str:
        text: list[str] = []
        at = 0
        while True:
            length = 1
            while (symbol := self._symbols.get(bits[at:at + length].ljust(length, "0"))) is None:
                length += 1
            at += length
            if symbol == _END:
                return "".join(text)
            if symbol == _ESCAPE:
                code_point = bits[at:at + CODE_POINT_BITS].ljust(CODE_POINT_BITS, "0")
                symbol = character_of(int(code_point, 2))
                at += CODE_POINT_BITS
            text.append(symbol)


def _with_zeros_at(chosen: str, codewords: dict[str, str]) -> dict[str, str]:
    """An equally long prefix code in which one symbol has only zeros: branches on the way to it are exchanged."""
    path = codewords[chosen]

    def exchanged(codeword: str) -> str:
        return "".join("01"[bit != path[i]] if i < len(path) and codeword[:i] == path[:i] else bit
                       for i, bit in enumerate(codeword))

    return {symbol: exchanged(codeword) for symbol, codeword in codewords.items()}
