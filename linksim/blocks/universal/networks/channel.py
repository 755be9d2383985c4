"""The channel feature extraction network: a channel to a vector."""

from __future__ import annotations

import torch

from linksim.blocks.universal.base import ChannelView, UniversalShape
from linksim.mimo.angle_delay import line_to_angle_delay
from linksim.mimo.precoding import band_precoder

_CHANNELS = (24, 48, 96, 128)
_HIDDEN = 512
_DROPOUT = 0.3
_GAIN_DB = (-100.0, 15.0)
_FLOOR_DB = -40.0


class ChannelEncoder(torch.nn.Module):
    """What tells a place, and what tells a precoder: ``[sample, num_features]``.

    Convolutions look at magnitudes over beams and delays: phases between paths turn within a wavelength and tell no
    place, so a network that sees them learns terminals by heart. They are what a precoder is made of, though: the
    dominant eigenvectors over the band, one for each stream, go past the convolutions, over their beams. Amplitudes are
    relative to the terminal's own; its received power goes in beside.

    Source: CFENN of AI2MMUM, Section II-A, whose layers the paper leaves open.
    """

    def __init__(self, shape: UniversalShape, num_features: int = 128) -> None:
        super().__init__()
        self.panel, self.num_streams = shape.panel, shape.num_streams
        beams, delays = shape.panel.columns * shape.panel.rows, shape.num_subcarriers
        inputs = 2 * shape.num_ue_antennas * shape.panel.polarizations + 2
        layers: list[torch.nn.Module] = []
        for outputs in _CHANNELS:
            size, stride = (3, (2, 2)) if layers else (5, (1, 2))
            layers += [torch.nn.Conv2d(inputs, outputs, size, stride, size // 2), torch.nn.GroupNorm(8, outputs),
                       torch.nn.GELU()]
            inputs, beams, delays = outputs, -(-beams // stride[0]), -(-delays // stride[1])
        self.layers = torch.nn.Sequential(*layers)
        self.out = torch.nn.Sequential(
            torch.nn.Dropout(_DROPOUT), torch.nn.Linear(inputs * beams * delays + 1, _HIDDEN), torch.nn.GELU(),
            torch.nn.Dropout(_DROPOUT), torch.nn.Linear(_HIDDEN, num_features))
        self.past = torch.nn.Linear(2 * shape.panel.num_antennas * shape.num_streams, num_features)

    def forward(self, view: ChannelView) -> torch.Tensor:
        gain = (view.gain_db - _GAIN_DB[0]) / _GAIN_DB[1]
        seen = self.layers(angle_delay_picture(view.h, self.panel.polarizations))
        past = self.past(eigenbeams(view.h, self.num_streams))
        return self.out(torch.cat([seen.flatten(1), gain[:, None]], 1)) + past


def angle_delay_picture(h: torch.Tensor, polarizations: int = 1) -> torch.Tensor:
    """Where power comes from and when, ``[sample, picture, beam, delay]``: the magnitude, and the power in dB, of each
    antenna and polarisation relative to the strongest cell, then where each cell lies.

    :param h: ``[sample, ue_ant, bs_ant, subcarrier]``; beams are those of all antennas of a polarisation in a line,
        exact for a single row or column.
    """
    cells = line_to_angle_delay(h, polarizations).flatten(1, 2)
    power = cells.abs().square()
    largest = power.flatten(1).amax(1).clamp_min(torch.finfo(power.dtype).tiny)[:, None, None, None]
    share = power / largest
    level = (10 * share.clamp_min(10 ** (_FLOOR_DB / 10)).log10() - _FLOOR_DB) / -_FLOOR_DB
    beam, delay = (torch.linspace(-1, 1, size, device=h.device) for size in cells.shape[-2:])
    where = torch.stack([beam[:, None].expand(cells.shape[-2:]), delay.expand(cells.shape[-2:])])
    return torch.cat([share.sqrt(), level, where.expand(len(h), -1, -1, -1)], 1)


def eigenbeams(h: torch.Tensor, num_streams: int = 1) -> torch.Tensor:
    """The precoder of the whole band over beams, each column turned so that its strongest beam is real:
    ``[sample, 2 bs_ant stream]``, of mean square one.

    :param h: ``[sample, ue_ant, bs_ant, subcarrier]``.
    """
    beams = torch.fft.ifft(band_precoder(h, num_streams), dim=1, norm="ortho")
    strongest = beams.gather(1, beams.abs().argmax(1, keepdim=True))
    beams = beams * (strongest.conj() / strongest.abs()) * h.shape[2] ** 0.5
    return torch.view_as_real(beams.resolve_conj()).flatten(1) * 2**0.5
