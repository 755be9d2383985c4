"""Names as they stand on axes."""

import pytest

from linksim.report.wording import capitalised


@pytest.mark.parametrize(("text", "shown"), [("achievable rate", "Achievable rate"), ("SNR", "SNR"), ("mAP", "mAP"),
                                             ("", ""), ("x", "X")])
def test_abbreviations_stay_as_they_are(text, shown):
    assert capitalised(text) == shown
