"""Strings come back, and scrambled padding is balanced."""

from __future__ import annotations

import pytest
import torch

from linksim.nr.bits import scrambling, to_strings, to_tensor


def test_strings_come_back_filled_up_with_zeros():
    bits = to_tensor(["101", "", "11111"], 5)
    assert bits.tolist()[0] == [1, 0, 1, 0, 0]
    assert to_strings(bits) == ["10100", "00000", "11111"]
    with pytest.raises(ValueError, match="5 bits do not fit into a payload of 4"):
        to_tensor(["11111"], 4)


def test_scrambled_padding_is_balanced_and_prefixes_agree():
    sequence = scrambling(5000, torch.device("cpu"))
    assert float(sequence.mean()) == pytest.approx(0.5, abs=0.02)
    assert torch.equal(scrambling(100, torch.device("cpu")), sequence[:100])
