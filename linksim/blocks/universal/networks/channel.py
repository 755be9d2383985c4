"""The channel feature extraction network: a channel to a vector."""

from __future__ import annotations

import torch

from linksim.blocks.universal.base import ChannelView, UniversalShape

_CHANNELS = (32, 64, 96, 128)
_GAIN_DB = (-100.0, 15.0)
_FLOOR_DB = -40.0


class ChannelEncoder(torch.nn.Module):
    """Convolutions over beams and delays, and the received power: ``[sample, num_features]``.

    A delay of all paths shifts the channel, and so do antennas the phase: convolutions see the same shape wherever it
    lies; two more inputs tell where that is. Amplitudes are relative to the terminal's own power, which goes in beside.

    Source: CFENN of AI2MMUM, Section II-A, whose layers the paper leaves open.
    """

    def __init__(self, shape: UniversalShape, num_features: int = 128) -> None:
        super().__init__()
        self.panel = shape.panel
        beams, delays = shape.panel.columns * shape.panel.rows, shape.num_subcarriers
        inputs = 3 * shape.num_ue_antennas * shape.panel.polarizations + 2
        layers: list[torch.nn.Module] = []
        for outputs in _CHANNELS:
            layers += [torch.nn.Conv2d(inputs, outputs, 3, stride=2 if layers else 1, padding=1),
                       torch.nn.GroupNorm(8, outputs), torch.nn.GELU()]
            inputs = outputs
            if len(layers) > 3:
                beams, delays = -(-beams // 2), -(-delays // 2)
        self.layers = torch.nn.Sequential(*layers)
        self.out = torch.nn.Sequential(
            torch.nn.Linear(inputs * beams * delays + 1, 2 * num_features), torch.nn.GELU(),
            torch.nn.Linear(2 * num_features, num_features))

    def forward(self, view: ChannelView) -> torch.Tensor:
        gain = (view.gain_db - _GAIN_DB[0]) / _GAIN_DB[1]
        seen = self.layers(angle_delay_picture(view.h, self.panel.polarizations))
        return self.out(torch.cat([seen.flatten(1), gain[:, None]], 1))


def angle_delay_picture(h: torch.Tensor, polarizations: int = 1) -> torch.Tensor:
    """What the network looks at, ``[sample, picture, beam, delay]``: real and imaginary parts and the power in dB of
    each antenna and polarisation, then where each cell lies.

    :param h: ``[sample, ue_ant, bs_ant, subcarrier]``; beams are those of all antennas of a polarisation in a line,
        exact for a single row or column.
    """
    cells = torch.fft.fft(torch.fft.ifft(h, dim=-1, norm="ortho").unflatten(2, (polarizations, -1)), dim=-2,
                          norm="ortho").flatten(1, 2)
    power = cells.abs().square()
    largest = power.flatten(1).amax(1).clamp_min(torch.finfo(power.dtype).tiny)[:, None, None, None]
    cells = cells / largest.sqrt()
    level = (10 * (power / largest).clamp_min(10 ** (_FLOOR_DB / 10)).log10() - _FLOOR_DB) / -_FLOOR_DB
    beam, delay = (torch.linspace(-1, 1, size, device=h.device) for size in cells.shape[-2:])
    where = torch.stack([beam[:, None].expand(cells.shape[-2:]), delay.expand(cells.shape[-2:])])
    return torch.cat([cells.real, cells.imag, level, where.expand(len(h), -1, -1, -1)], 1)
