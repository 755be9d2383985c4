"""Reed-Solomon code, one QAM for all channel uses, hard decisions: the channel coding of SSCC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from reedsolo import ReedSolomonError, RSCodec

from linksim.blocks.semantic.rules import code_word
from linksim.nr.modulation import demodulate, modulate, scrambling, to_strings, to_tensor

_PRIMITIVE = {4: 0x13, 8: 0x11D}
"""Polynomials of GF(16) and GF(256): x^4 + x + 1 and x^8 + x^4 + x^3 + x^2 + 1."""


class ReedSolomonLink:
    """Fixed payloads as complex symbols and back, with no knowledge of the channel at the transmitter.

    Code words are as long and as few as the channel uses allow, shortened, and interleaved symbol by symbol. What a
    decoder cannot correct is handed on as it was received: errors reach the source decoder, as in the paper.

    :param channel_uses: complex symbols of a caption.
    :param order: bits of a QAM symbol, one of `linksim.nr.slots.ORDERS`.
    :param rate: of the code, above 0 and below 1; parity is rounded to whole correctable errors, at least one.
    :param symbol_bits: of a code symbol: 8 for GF(256), 4 for GF(16).
    :raises ScenarioError: an option out of range, or too few channel uses for one code word.

    :ivar payload_bits: of every caption.

    Source: Reed-Solomon coding and QAM of SSCC in SC-LMKB, section V, which gives neither rate nor order; Reed and
    Solomon, "Polynomial codes over certain finite fields", J. SIAM 8(2), 1960.
    """

    def __init__(self, channel_uses: int, order: int = 4, rate: float = 0.5, symbol_bits: int = 8) -> None:
        self._num_words, self._length, parity = code_word(channel_uses, order, rate, symbol_bits)
        self.channel_uses, self.order, self.symbol_bits = channel_uses, order, symbol_bits
        self._message = self._length - parity
        self._code = RSCodec(parity, 2**symbol_bits - 1, prim=_PRIMITIVE[symbol_bits], c_exp=symbol_bits)
        self.payload_bits = self._num_words * self._message * symbol_bits

    def transmit(self, payloads: Sequence[str]) -> torch.Tensor:
        """Symbols, complex64 ``[caption, use]``, of unit mean power averaged over scrambled bits.

        :param payloads: at most `payload_bits` each; filled up with zeros.
        :raises ValueError: a payload that is longer.
        """
        messages = self._symbols(to_tensor(payloads, self.payload_bits)).reshape(-1, self._message)
        words = np.stack([np.frombuffer(self._code.encode(one.tobytes()), np.uint8) for one in messages])
        words = words.reshape(len(payloads), self._num_words, self._length)
        bits = torch.from_numpy(_bits_of(words.swapaxes(1, 2).reshape(len(payloads), -1), self.symbol_bits))
        num_bits = self.channel_uses * self.order
        bits = torch.nn.functional.pad(bits, (0, num_bits - bits.shape[1]))
        return modulate((bits - scrambling(num_bits, bits.device)).abs(), self.order)

    def receive(self, received: torch.Tensor) -> tuple[list[str], torch.Tensor]:
        """Payloads from hard decisions.

        :param received: symbols with noise, complex ``[caption, use]``; their noise does not matter to decisions.
        :returns: payloads with the errors left in them, and whether the decoder corrected every word (it may have
            corrected to a wrong one), bool ``[caption]``.
        """
        # at little noise the likeliest bits are those of the nearest point
        ratios = demodulate(received.cpu(), torch.full(received.shape, 1e-4), self.order)
        bits = ((ratios > 0).float() - scrambling(ratios.shape[1], ratios.device)).abs()
        used = self._num_words * self._length * self.symbol_bits
        words = self._symbols(bits[:, :used]).reshape(len(received), self._length, self._num_words)
        messages, corrected = zip(*(self._decoded(word) for word in words.swapaxes(1, 2).reshape(-1, self._length)))
        bits = _bits_of(np.stack(messages).reshape(len(received), -1), self.symbol_bits)
        return to_strings(torch.from_numpy(bits)), torch.tensor(corrected).unflatten(0, (len(received), -1)).all(-1)

    def _decoded(self, word: np.ndarray) -> tuple[np.ndarray, bool]:
        try:
            return np.frombuffer(self._code.decode(word.tobytes())[0], np.uint8), True
        except ReedSolomonError:
            return word[:self._message], False

    def _symbols(self, bits: torch.Tensor) -> np.ndarray:
        """Bits ``[caption, bit]`` as code symbols, most significant bit first, uint8 ``[caption, symbol]``."""
        weights = 2 ** torch.arange(self.symbol_bits - 1, -1, -1)
        return (bits.long().unflatten(1, (-1, self.symbol_bits)) * weights).sum(-1).to(torch.uint8).numpy()


def _bits_of(symbols: np.ndarray, symbol_bits: int) -> np.ndarray:
    bits = symbols[..., None] >> np.arange(symbol_bits - 1, -1, -1) & 1
    return bits.reshape(len(symbols), -1).astype(np.float32)
