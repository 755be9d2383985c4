"""Captions as received: whole ones are known, strange ones encoded and remembered for a while."""

import pytest

from linksim.blocks.semantic import separate
from linksim.blocks.semantic.base import Captions
from linksim.blocks.semantic.separate import ReceivedCaptions
from linksim.core.errors import LinksimError


@pytest.fixture
def captions():
    try:
        return Captions(["a red car", "two dogs"])
    except LinksimError as error:
        pytest.skip(str(error))


def test_what_is_remembered_may_be_forgotten_at_any_time(captions, monkeypatch):
    monkeypatch.setattr(separate, "_KEPT", 2)
    decoded = ReceivedCaptions(captions)
    first = decoded.queries(["a green cat", "red", "kar", "two dogs"])
    # more are remembered now than are kept: some of these are known still, others are new
    again = decoded.queries(["a green cat", "of", "kar"])
    assert again.texts == ("a green cat", "of", "kar")
    assert (again.pooled[0] - first.pooled[0]).abs().max() < 1e-4
    assert (again.pooled[2] - first.pooled[2]).abs().max() < 1e-4
