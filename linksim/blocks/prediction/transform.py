"""Unitary angle-delay transform and signal power per bin."""

from __future__ import annotations

import torch

from linksim.csi import Panel


def to_angle_delay(h: torch.Tensor, panel: Panel) -> torch.Tensor:
    """Unitary DFTs over panel columns and rows (per polarisation) and over subcarriers.

    White noise keeps its variance.

    :param h: complex, ``[..., bs_ant, time, subcarrier]``.
    :param panel: layout of ``bs_ant``.
    :returns: ``[..., polarisation and beam, time, delay]``, same shape as ``h``.
    """
    by_panel = torch.fft.ifft(h, dim=-1, norm="ortho").unflatten(-3, panel.shape)
    return torch.fft.fft2(by_panel, dim=(-4, -3), norm="ortho").flatten(-5, -3)


def from_angle_delay(g: torch.Tensor, panel: Panel) -> torch.Tensor:
    """Inverse of `to_angle_delay`.

    :param g: complex, ``[..., polarisation and beam, time, delay]``.
    :param panel: layout of the antennas.
    :returns: ``[..., bs_ant, time, subcarrier]``.
    """
    by_panel = torch.fft.ifft2(g.unflatten(-3, panel.shape), dim=(-4, -3), norm="ortho")
    return torch.fft.fft(by_panel.flatten(-5, -3), dim=-1, norm="ortho")


def per_user(value: torch.Tensor, num_dims: int) -> torch.Tensor:
    """Append dimensions to ``[batch, user]`` so that it broadcasts over ``num_dims`` dimensions."""
    return value.reshape(*value.shape, *(1,) * (num_dims - 2))


def signal_power(y: torch.Tensor, noise_variance: torch.Tensor) -> torch.Tensor:
    """Noise-corrected power of every entry, averaged over time: ``max(mean |y|^2 - noise_variance, 0)``.

    :param y: complex, ``[batch, user, ..., time, bin]``.
    :param noise_variance: ``[batch, user]``.
    :returns: real, ``[batch, user, ..., 1, bin]``.
    """
    power = torch.view_as_real(y).square().sum(-1).mean(-2, keepdim=True)
    return (power - per_user(noise_variance, power.ndim)).clamp_min(0)
