"""Captions as a receiver has decoded them: encoded where they arrived whole from the cache, the others now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from linksim.blocks.semantic.base import Captions, Queries
from linksim.blocks.semantic.digital.text_codes import fold
from linksim.retrieval.sentences import Sentences, encode_now

_KEPT = 4096
"""Decoded captions that are remembered: the same one arrives at many link SNRs."""


@dataclass
class ReceivedCaptions:
    """Text to what the sentence encoder makes of it.

    :param known: captions that may be sent; one that arrives whole is known already, as case does not matter to the
        sentence encoder.
    """

    known: Captions
    _remembered: dict[str, Sentences] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._number = {fold(text): number for number, text in enumerate(self.known.texts)}

    def queries(self, texts: Sequence[str], device: torch.device | str = "cpu") -> Queries:
        """:param texts: decoded, none of them empty."""
        if len(self._remembered) > _KEPT:
            self._remembered.clear()
        strange = [text for text in dict.fromkeys(texts) if text not in self._number and text not in self._remembered]
        if strange:
            encoded = encode_now(strange)
            self._remembered |= {text: encoded.of(number) for number, text in enumerate(strange)}
        parts = [self.known.sentences.of(self._number[text]) if text in self._number else self._remembered[text]
                 for text in texts]
        return Queries.of(tuple(texts), Sentences.joined(parts), device)
