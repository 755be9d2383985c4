"""Source codes of captions: what every one promises, and how a caption is made to fit."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch

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
