"""Where the wavelength at the band's edge differs so much from the carrier's that an array loses gain there.

No torch here: headers and checks ask.
"""

from __future__ import annotations

import math

from linksim.scenario.channel import Channel

LEAST_LOSS_DB = 0.1
"""Loss of array gain, from where a run says that it is not modelled: 2 %, what figures and intervals begin to show.
Over the array the phase is then wrong by half a radian from edge to edge."""

_ASIDE_DEG = 60.0
"""Off the array's axis: the edge of a 120 degree sector."""

_WORST_DB = 30.0


def squint_loss_db(channel: Channel) -> float:
    """Array gain that weights made for the carrier lose at the band's edge, dB, for a path 60 degrees off the axis of
    the panel's longer side, and of the terminal's line.

    The gain of n elements half a wavelength apart, steered at the carrier f, is at f (1 + r) that of a phase step
    pi r sin(60 deg): (sin(n x) / (n sin x))^2 with x half of it.

    :returns: at most 30.
    """
    tones = channel.num_subcarriers * (2 if channel.duplex == "fdd_adjacent" else 1)
    edge = (tones - 1) / 2 * channel.subcarrier_spacing_khz * 1e3 / (channel.carrier_frequency_ghz * 1e9)
    panel = max(channel.bs_array.rows, channel.bs_array.columns)
    line = channel.ue_array.num_antennas // (2 if channel.ue_array.polarization == "dual" else 1)
    return min(_loss_db(panel, edge) + _loss_db(line, edge), _WORST_DB)


def squint_note(channel: Channel) -> str | None:
    """What a run says where beam squint matters and the scenario does not say whether it is meant."""
    if channel.beam_squint is not None:
        return None
    loss_db = squint_loss_db(channel)
    if loss_db < LEAST_LOSS_DB:
        return None
    loss = f"{loss_db:.1f} dB" if loss_db < _WORST_DB else f"{_WORST_DB:g} dB and more"
    return (f"array phases are the carrier's at all tones (no beam squint): weights for the carrier would lose {loss} "
            "of array gain at the band's edge, 60 degrees off the array's axis; channel.beam_squint: true models it, "
            "false says that it is left out on purpose")


def _loss_db(elements: int, edge: float) -> float:
    half_step = math.pi / 2 * edge * math.sin(math.radians(_ASIDE_DEG))
    if elements * half_step >= math.pi:  # beyond the first zero
        return _WORST_DB
    gain = math.sin(elements * half_step) / (elements * math.sin(half_step)) if half_step else 1.0
    return -20 * math.log10(max(gain, 1e-9))
