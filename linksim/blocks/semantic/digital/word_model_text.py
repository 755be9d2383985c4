"""A strong source code of captions: arithmetic coding of words by what stood before them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import torch

from linksim.blocks.feedback.range_coder import RangeDecoder, RangeEncoder
from linksim.blocks.semantic.digital.ngrams import END, ESCAPE, NgramCoder
from linksim.blocks.semantic.digital.text_codes import (
    CODE_POINT_BITS,
    MAX_CHARACTERS,
    TextCode,
    character_of,
    lines_of_tensor,
    lines_to_tensor,
    training_texts,
)

_PIECE = re.compile(r" ?\w+| ?.")
_SEVEN_BITS = [1] * 128


class WordModelText(TextCode):
    """Words by a trigram model of training captions, unknown ones letter by letter by a model of known words' letters.

    A text is cut into pieces, words and signs, each with the space before it: cutting loses nothing.

    :param pieces: known pieces, the frequent ones first; token numbers go on from `END` and `ESCAPE`.
    :param characters: known characters, likewise.
    :param words: model of pieces.
    :param letters: model of the characters of a piece.

    Source: interpolated Kneser-Ney with arithmetic coding, see `NgramCoder`; contexts and escape are this project's.
    """

    WORD_ORDER, LETTER_ORDER = 3, 4
    END_SHARE = 1 / 32  # a caption cut short ends where none would: 5 bits, for 0.05 bits a word of whole ones

    def __init__(self, pieces: Sequence[str], characters: Sequence[str], words: NgramCoder, letters: NgramCoder
                 ) -> None:
        self.pieces, self.characters, self.words, self.letters = list(pieces), list(characters), words, letters
        self._piece_tokens = {piece: ESCAPE + 1 + i for i, piece in enumerate(self.pieces)}
        self._character_tokens = {character: ESCAPE + 1 + i for i, character in enumerate(self.characters)}

    @classmethod
    def fit(cls, captions: Sequence[str]) -> WordModelText:
        cut = [_cut(text) for text in training_texts(captions)]
        pieces = _by_frequency(Counter(piece for text in cut for piece in text))
        # unknown words are like the rare ones: each known word counts once
        characters = _by_frequency(Counter(character for piece in pieces for character in piece))
        token = {piece: ESCAPE + 1 + i for i, piece in enumerate(pieces)}
        letter = {character: ESCAPE + 1 + i for i, character in enumerate(characters)}
        return cls(
            pieces, characters,
            NgramCoder.fit([[token[piece] for piece in text] for text in cut], len(pieces) + 2, cls.WORD_ORDER,
                           cls.END_SHARE),
            NgramCoder.fit([[letter[c] for c in piece] for piece in pieces], len(characters) + 2, cls.LETTER_ORDER))

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"pieces": lines_to_tensor(self.pieces), "characters": lines_to_tensor(self.characters),
                "words.ngrams": self.words.ngrams, "words.counts": self.words.counts,
                "letters.ngrams": self.letters.ngrams, "letters.counts": self.letters.counts}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor]) -> WordModelText:
        pieces, characters = (lines_of_tensor(tensors[name]) for name in ("pieces", "characters"))
        return cls(pieces, characters,
                   NgramCoder(tensors["words.ngrams"], tensors["words.counts"], len(pieces) + 2, cls.END_SHARE),
                   NgramCoder(tensors["letters.ngrams"], tensors["letters.counts"], len(characters) + 2))

    def _bits(self, text: str) -> str:
        encoder, before = RangeEncoder(), []
        for piece in _cut(text):
            token = self._piece_tokens.get(piece, ESCAPE)
            self.words.encode(encoder, token, before)
            if token == ESCAPE:
                self._write_letters(encoder, piece)
            before.append(token)
        self.words.encode(encoder, END, before)
        return encoder.finish()

    def _write_letters(self, encoder: RangeEncoder, piece: str) -> None:
        before: list[int] = []
        for character in piece:
            token = self._character_tokens.get(character, ESCAPE)
            self.letters.encode(encoder, token, before)
            if token == ESCAPE:
                for shift in range(CODE_POINT_BITS - 7, -1, -7):
                    encoder.encode(ord(character) >> shift & 127, _SEVEN_BITS)
            before.append(token)
        self.letters.encode(encoder, END, before)

    def decode(self, bits: str) -> str:
        decoder, before, text = RangeDecoder(bits), [], ""
        while len(text) <= MAX_CHARACTERS:
            token = self.words.decode(decoder, before)
            if token == END:
                break
            piece = self._read_letters(decoder) if token == ESCAPE else self.pieces[token - ESCAPE - 1]
            if not piece:
                break  # corrupted: no encoder writes an empty word
            text += piece
            before.append(token)
        return text[1:MAX_CHARACTERS + 1]

    def _read_letters(self, decoder: RangeDecoder) -> str:
        before: list[int] = []
        piece = ""
        while len(piece) <= MAX_CHARACTERS and (token := self.letters.decode(decoder, before)) != END:
            if token == ESCAPE:
                number = 0
                for _ in range(CODE_POINT_BITS // 7):
                    number = number << 7 | decoder.decode(_SEVEN_BITS)
                piece += character_of(number)
            else:
                piece += self.characters[token - ESCAPE - 1]
            before.append(token)
        return piece


def _cut(text: str) -> list[str]:
    """Pieces of a folded text, which joined are a space and the text."""
    return _PIECE.findall(" " + text) if text else []


def _by_frequency(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda item: (-counts[item], item))
