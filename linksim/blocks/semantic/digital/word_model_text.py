"""A strong source code of captions: arithmetic coding of words by what stood before them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from linksim.blocks.feedback.range_coder import MAX_TOTAL, RangeDecoder, RangeEncoder
from linksim.blocks.semantic.digital.text_codes import (
    CODE_POINT_BITS,
    MAX_CHARACTERS,
    TextCode,
    character_of,
    lines_of_tensor,
    lines_to_tensor,
    training_texts,
)

END, ESCAPE = 0, 1
"""Tokens that every model has: the end of a sequence, also what stands before its start, and one never seen."""


class NgramCoder:
    r"""Tokens by interpolated Kneser-Ney probabilities, given the tokens before.

    .. math::
        p(w \mid h) = \frac{\max(c(h w) - D, 0)}{c(h)} + \frac{D\, N_{1+}(h\,\cdot)}{c(h)}\, p(w \mid h')

    with the history ``h'`` shortened by its oldest token. Counts below the highest order are of distinct tokens
    before; the lowest order rests on equal probabilities; ``D = n_1 / (n_1 + 2 n_2)`` of each order. A token is coded
    in two steps, its row and its place in the row, so that tables stay short and rare tokens cost what they should.

    Probabilities are computed in double precision on both sides, which must do so with the same software.

    :param ngrams: ``[entry, order]`` int64: the distinct token sequences, the token itself last.
    :param counts: ``[entry]`` int64, how often each was seen.
    :param num_tokens: of the vocabulary, `END` and `ESCAPE` among them.
    :param end_share: least chance that `END` has anywhere, so that a sequence can be cut short at a bounded cost.

    Source: Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995, as interpolated in Chen
    and Goodman, "An empirical study of smoothing techniques for language modeling", Computer Speech & Language 13,
    1999, equation (24).
    """

    def __init__(self, ngrams: torch.Tensor, counts: torch.Tensor, num_tokens: int, end_share: float = 0.0) -> None:
        self.ngrams, self.counts, self.num_tokens, self.end_share = ngrams, counts, num_tokens, end_share
        self.order = ngrams.shape[1]
        self._width = int(np.ceil(num_tokens**0.5))
        entries, count = ngrams.numpy(), counts.numpy()
        self._orders: list[tuple[float, dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]]]] = []
        for order in range(self.order, 0, -1):
            if order == 1:  # as often new as tokens stand in one place only
                entries = np.concatenate([entries, [[ESCAPE]]])
                count = np.append(count, max(1, int((count == 1).sum())))
            self._orders.insert(0, (_discount(count), _by_history(entries, count)))
            if order > 1:
                entries, count = np.unique(entries[:, 1:], axis=0, return_counts=True)

    @classmethod
    def fit(cls, sequences: Sequence[Sequence[int]], num_tokens: int, order: int, end_share: float = 0.0
            ) -> NgramCoder:
        """Count n-grams of training sequences (without `END`, which is added)."""
        before = [END] * (order - 1)
        seen = [padded[i:i + order] for sequence in sequences for padded in [[*before, *sequence, END]]
                for i in range(len(sequence) + 1)]
        ngrams, counts = np.unique(np.array(seen, dtype=np.int64), axis=0, return_counts=True)
        return cls(torch.from_numpy(ngrams), torch.from_numpy(counts.astype(np.int64)), num_tokens, end_share)

    def probabilities(self, before: Sequence[int]) -> np.ndarray:
        """Probability of every token, given those before since the sequence began, the last one last. ``[token]``."""
        history = ([END] * (self.order - 1) + list(before))[len(before):]
        chance = np.full(self.num_tokens, 1.0 / self.num_tokens)
        for order, (discount, table) in enumerate(self._orders):
            found = table.get(tuple(history[len(history) - order:]))
            if found is not None:
                tokens, count = found
                total = count.sum()
                chance *= discount * len(tokens) / total
                chance[tokens] += (count - discount) / total
        chance *= 1 - self.end_share
        chance[END] += self.end_share
        return chance

    def encode(self, encoder: RangeEncoder, token: int, before: Sequence[int]) -> None:
        """Write one token."""
        rows = self._rows(before)
        row, place = divmod(token, self._width)
        encoder.encode(row, _frequencies(rows.sum(-1)))
        encoder.encode(place, _frequencies(rows[row]))

    def decode(self, decoder: RangeDecoder, before: Sequence[int]) -> int:
        """Read one token; corrupted bits may name one past the vocabulary, which is read as `END`."""
        rows = self._rows(before)
        row = decoder.decode(_frequencies(rows.sum(-1)))
        token = row * self._width + decoder.decode(_frequencies(rows[row]))
        return token if token < self.num_tokens else END

    def _rows(self, before: Sequence[int]) -> np.ndarray:
        chance = self.probabilities(before)
        num_rows = -(-self.num_tokens // self._width)
        return np.pad(chance, (0, num_rows * self._width - self.num_tokens)).reshape(num_rows, self._width)


def _frequencies(share: np.ndarray) -> list[int]:
    """Integer frequencies of at least 1 that sum to at most `MAX_TOTAL`."""
    return (1 + np.floor(share / share.sum() * (MAX_TOTAL - len(share)))).astype(int).tolist()


def _discount(count: np.ndarray) -> float:
    once, twice = int((count == 1).sum()), int((count == 2).sum())
    return min(max(once / max(once + 2 * twice, 1), 0.1), 0.9)


def _by_history(entries: np.ndarray, count: np.ndarray) -> dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]]:
    """Tokens and their counts of every history; entries are sorted (order 1 has a single history)."""
    starts = np.flatnonzero(np.r_[True, (entries[1:, :-1] != entries[:-1, :-1]).any(-1)])
    parts = zip(np.split(entries, starts[1:]), np.split(count, starts[1:]))
    return {tuple(part[0, :-1].tolist()): (part[:, -1], number) for part, number in parts}


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
