"""Source codes of captions: what every one promises, how a caption is made to fit, and a Huffman code of characters."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

import torch
from bitarray.util import huffman_code

from linksim.core.errors import ScenarioError

MAX_CHARACTERS = 2000
"""Longest caption: a limit that lets a decoder of corrupted bits stop."""

CODE_POINT_BITS = 21
"""What a character that training captions do not have is written with: its number in Unicode."""


def fold(caption: str) -> str:
    """The caption as it is coded: case folded, words one space apart; what is no text is replaced.

    :raises ScenarioError: more than `MAX_CHARACTERS` characters.
    """
    plain = caption.encode("utf-8", "replace").decode("utf-8")
    folded = " ".join(plain.casefold().split())
    if len(folded) > MAX_CHARACTERS:
        raise ScenarioError(f"a caption of {len(folded)} characters is too long: at most {MAX_CHARACTERS}")
    return folded


def character_of(code_point: int) -> str:
    """Its character; the replacement character where corrupted bits name none."""
    is_character = code_point <= 0x10FFFF and not 0xD800 <= code_point <= 0xDFFF
    return chr(code_point) if is_character else "\ufffd"


class TextCode(ABC):
    """Captions to bits and back, without loss up to `fold`.

    All zeros after the last one of a code word are left out, and the decoder takes zeros for whatever follows: bits
    may be filled up with zeros to any length, and no bits at all are the empty caption. A decoder takes any bits and
    always ends; bits with errors give a garbled text.
    """

    def encode(self, caption: str, max_bits: int | None = None) -> str:
        """Bits of the caption, or of as many of its first words as fit.

        :param caption: any text.
        :param max_bits: None takes them all; below the bits of the first word, nothing is left of the caption.
        :returns: a string of 0 and 1, at most ``max_bits`` long.
        :raises ScenarioError: a caption that is too long for any code, see `fold`.
        """
        words = fold(caption).split(" ")
        bits = self._bits(" ".join(words))
        if max_bits is None or len(bits) <= max_bits:
            return bits
        fitting, fits, too_many = "", 0, len(words)
        while too_many - fits > 1:
            count = (fits + too_many) // 2
            bits = self._bits(" ".join(words[:count]))
            if len(bits) <= max_bits:
                fitting, fits = bits, count
            else:
                too_many = count
        return fitting

    @abstractmethod
    def decode(self, bits: str) -> str:
        """The caption of these bits and any number of zeros."""

    @abstractmethod
    def _bits(self, text: str) -> str:
        """The code word of a folded text without the zeros at its end."""

    @classmethod
    @abstractmethod
    def fit(cls, captions: Sequence[str]) -> TextCode:
        """Learn the code from training captions alone.

        :raises ScenarioError: no captions.
        """

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """All that was learned, for a safetensors file."""

    @classmethod
    @abstractmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> TextCode:
        """The code that `tensors` describes."""


def training_texts(captions: Sequence[str]) -> list[str]:
    """The folded captions.

    :raises ScenarioError: there are none.
    """
    if not captions:
        raise ScenarioError("a text code needs training captions: there are none")
    return [fold(caption) for caption in captions]


def lines_to_tensor(lines: Sequence[str]) -> torch.Tensor:
    """Strings without line breaks as UTF-8 bytes, uint8 ``[byte]``."""
    return torch.frombuffer(bytearray("\n".join(lines).encode() + b"\n"), dtype=torch.uint8)


def lines_of_tensor(tensor: torch.Tensor) -> list[str]:
    """Inverse of `lines_to_tensor`."""
    return bytes(tensor.tolist()).decode().split("\n")[:-1]


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
