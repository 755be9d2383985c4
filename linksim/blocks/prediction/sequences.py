"""CSI as real sequences, one for each antenna pair: how published learned predictors see it."""

from __future__ import annotations

import torch

from linksim.csi import Csi


def to_sequences(history: Csi) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary parts over time, normalised by each user's own history.

    CSI-ALM eq. (8) takes mean and deviation over the training batch, which lets one sample's result depend on its
    batch neighbours; here each user's history is divided by its own root mean square over antennas, times and
    subcarriers. The mean of a fading channel is no constant and is left alone.

    :param history: ``h`` is ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
    :returns: ``[batch * user * ue_ant * bs_ant, time, 2 * subcarrier]``, real parts first; and the scale that
        `from_sequences` takes, ``[batch, user, 1, 1, 1, 1]``.
    """
    power = torch.view_as_real(history.h).square().sum(-1).mean((-4, -3, -2, -1), keepdim=True)
    scale = torch.where(power > 0, power, 1.0).sqrt()
    x = history.h / scale
    return torch.cat([x.real, x.imag], -1).flatten(0, 3), scale


def from_sequences(y: torch.Tensor, scale: torch.Tensor, history: Csi, time_s: torch.Tensor,
                   frequency_hz: torch.Tensor) -> Csi:
    """Inverse of `to_sequences` for predicted sequences.

    :param y: ``[sequence, horizon, 2 * target subcarrier]``.
    :returns: CSI with ``h`` ``[batch, user, ue_ant, bs_ant, horizon, target subcarrier]``.
    :raises ValueError: the predictor was made for another horizon or band.
    """
    if y.shape[1:] != (len(time_s), 2 * len(frequency_hz)):
        raise ValueError(f"trained for {y.shape[1]} steps of {y.shape[2] // 2} subcarriers, but "
                         f"{len(time_s)} steps of {len(frequency_hz)} are asked for")
    real, imaginary = y.float().chunk(2, -1)
    h = torch.complex(real, imaginary).unflatten(0, history.h.shape[:4]) * scale
    return history.with_h(h, time_s, frequency_hz)
