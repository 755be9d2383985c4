"""The one object that travels down the chain: channel state information of all users at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Panel:
    """Layout of the base station's antenna panel.

    Antenna ``(p * columns + c) * rows + r`` is polarisation ``p``, column ``c``, row ``r``: Sionna's own
    order, so ``h.unflatten(bs_ant_dim, panel.shape)`` gives ``[..., polarizations, columns, rows, ...]``.
    """

    rows: int
    columns: int
    polarizations: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(polarizations, columns, rows)``."""
        return (self.polarizations, self.columns, self.rows)

    @property
    def num_antennas(self) -> int:
        return self.polarizations * self.columns * self.rows


@dataclass(frozen=True, eq=False)
class Csi:
    """Channel (or an estimate of it) on a grid of times and subcarriers. Compared and hashed by identity.

    :param h: complex, ``[batch, user, ue_ant, bs_ant, time, subcarrier]``. The same layout in uplink and
        downlink (the channel is reciprocal up to a transpose, which this layout hides).
    :param time_s: ``[time]``, seconds; time 0 is the first sample of the history.
    :param frequency_hz: ``[subcarrier]``, absolute, Hz.
    :param noise_variance: ``[batch, user]``, variance of the estimation error per complex entry of ``h``;
        zero for a perfect channel.
    :param panel: layout of ``bs_ant``.
    :param max_doppler_hz: ``[batch, user]``, largest Doppler shift speed * carrier / c; what a terminal's speed tells,
        NaN where nobody knows it. A block uses it only where its option says that the speed is known.
    """

    h: torch.Tensor
    time_s: torch.Tensor
    frequency_hz: torch.Tensor
    noise_variance: torch.Tensor
    panel: Panel
    max_doppler_hz: torch.Tensor

    def __post_init__(self) -> None:
        batch, user, _, bs_ant, time, subcarrier = self.h.shape
        expected = {
            "time_s": (self.time_s, (time,)),
            "frequency_hz": (self.frequency_hz, (subcarrier,)),
            "noise_variance": (self.noise_variance, (batch, user)),
            "max_doppler_hz": (self.max_doppler_hz, (batch, user)),
        }
        for name, (tensor, shape) in expected.items():
            if tuple(tensor.shape) != shape:
                raise ValueError(
                    f"Csi.{name} has shape {tuple(tensor.shape)}, but h {tuple(self.h.shape)} needs {shape}"
                )
        if bs_ant != self.panel.num_antennas:
            raise ValueError(f"Csi.h has {bs_ant} BS antennas, but the panel has {self.panel.num_antennas}")

    def with_h(self, h: torch.Tensor, time_s: torch.Tensor | None = None,
               frequency_hz: torch.Tensor | None = None) -> Csi:
        """The same users and panel with another channel (and, if given, another grid)."""
        return replace(
            self,
            h=h,
            time_s=self.time_s if time_s is None else time_s,
            frequency_hz=self.frequency_hz if frequency_hz is None else frequency_hz,
        )

    @property
    def sampling_period_s(self) -> float:
        """Spacing of ``time_s`` in seconds."""
        if len(self.time_s) < 2:
            raise ValueError("one time sample has no sampling period: use a history of at least 2")
        return float(self.time_s[1] - self.time_s[0])


@dataclass(frozen=True)
class Observation:
    """The raw samples behind an estimate, for the bounds.

    :param h: ``[batch, user, ue_ant, bs_ant, time, subcarrier]``, noisy samples of the channel.
    :param mask: ``[user, ue_ant, subcarrier]`` bool, where they were taken.
    :param noise_variance: ``[batch, user]``, per complex entry.
    """

    h: torch.Tensor
    mask: torch.Tensor
    noise_variance: torch.Tensor


def by_resource(h: torch.Tensor) -> torch.Tensor:
    """``[batch, user, ue_ant, bs_ant, time, subcarrier]`` to ``[batch, time, subcarrier, user, ue_ant, bs_ant]``."""
    return h.permute(0, 4, 5, 1, 2, 3).contiguous()
