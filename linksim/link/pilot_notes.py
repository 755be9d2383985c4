"""What pilots that stand too far apart cost, said before the results are read."""

from __future__ import annotations

import torch

from linksim.channel.source import source_of
from linksim.core.csi import Csi
from linksim.nr.acquisition import pilot_floor
from linksim.scenario.channel import Channel
from linksim.scenario.schema import Acquisition

_LEAST_DB = -30.0
"""A floor below this one limits nothing that is looked at."""


def pilot_notes(true: Csi, acquisition: Acquisition, channel: Channel) -> set[str]:
    """A note where interpolation between pilots errs by more than half of what noise does.

    The drops themselves are looked at, not their median delay spread: the error is that of the few users whose channels
    change most between two pilots.

    :param true: the true uplink history of some drops.
    """
    floor = pilot_floor(true, acquisition)
    mean_db, worst_db = (float(10 * value.clamp_min(1e-12).log10()) for value in (
        floor.mean(), torch.quantile(floor.flatten(), 0.9)))
    if mean_db < max(_LEAST_DB, -acquisition.csi_snr_db - 3):
        return set()
    # each antenna port has one tone of the comb
    spacing_khz = channel.num_users * channel.ue_array.num_antennas * channel.subcarrier_spacing_khz
    better = " or estimator: lmmse" if acquisition.estimator == "ls" else ""
    return {f"pilots of a user stand {spacing_khz:.0f} kHz apart, and the {acquisition.estimator} estimate errs by "
            f"{mean_db:.1f} dB in {source_of(channel).title(channel)} without any noise ({worst_db:.1f} dB or more for "
            "one user in ten of the first chunk): a floor under every method; use fewer users, a smaller "
            f"channel.subcarrier_spacing_khz{better}"}
