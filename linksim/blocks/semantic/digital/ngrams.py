"""A smoothed n-gram model of tokens, coded with the range coder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from linksim.blocks.feedback.range_coder import MAX_TOTAL, RangeDecoder, RangeEncoder

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
