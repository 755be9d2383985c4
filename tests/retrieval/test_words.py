"""What grammars of captions share."""

from __future__ import annotations

import pytest

from linksim.retrieval.words import listed


@pytest.mark.parametrize(("words", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_lists_read_as_english(words, text):
    assert listed(words) == text
