"""Whether a codec serves a scenario's arrays and band, before any drop is drawn."""

from __future__ import annotations

import torch

from linksim.blocks.feedback.base import FeedbackCodec, ReportGrid
from linksim.core.csi import Panel
from linksim.scenario.channel import Channel


def check_grid(codec: FeedbackCodec, channel: Channel) -> None:
    """:raises ScenarioError: too few bits, or an array or a band that the codec cannot serve; says which."""
    array = channel.bs_array
    tones = torch.arange(channel.num_subcarriers, dtype=torch.float64) * channel.subcarrier_spacing_khz * 1e3
    one = torch.zeros(1, 1)
    codec.check_budget(ReportGrid(
        channel.ue_array.num_antennas, torch.zeros(1, dtype=torch.float64), channel.carrier_frequency_ghz * 1e9 + tones,
        Panel(array.rows, array.columns, 2 if array.polarization == "dual" else 1), one, one,
    ))
