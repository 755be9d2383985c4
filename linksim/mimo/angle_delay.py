"""Unitary transforms between antennas and beams, subcarriers and delays; white noise keeps its variance."""

from __future__ import annotations

import torch

from linksim.core.csi import Panel


def to_angle_delay(h: torch.Tensor, panel: Panel) -> torch.Tensor:
    """DFTs over panel columns and rows (per polarisation) and over subcarriers.

    :param h: complex, ``[..., bs_ant, time, subcarrier]``.
    :param panel: layout of ``bs_ant``.
    :returns: ``[..., polarisation and beam, time, delay]``, same shape as ``h``.
    """
    by_panel = to_delay(h).unflatten(-3, panel.shape)
    return torch.fft.fft2(by_panel, dim=(-4, -3), norm="ortho").flatten(-5, -3)


def from_angle_delay(g: torch.Tensor, panel: Panel) -> torch.Tensor:
    """Inverse of `to_angle_delay`.

    :param g: complex, ``[..., polarisation and beam, time, delay]``.
    :param panel: layout of the antennas.
    :returns: ``[..., bs_ant, time, subcarrier]``.
    """
    by_panel = torch.fft.ifft2(g.unflatten(-3, panel.shape), dim=(-4, -3), norm="ortho")
    return from_delay(by_panel.flatten(-5, -3))


def line_to_angle_delay(h: torch.Tensor, polarizations: int) -> torch.Tensor:
    """As `to_angle_delay` with all antennas of a polarisation taken for one line, which they are in a panel of one row
    or column.

    :param h: complex, ``[..., bs_ant, subcarrier]``.
    :returns: ``[..., polarisation, beam, delay]``.
    """
    return torch.fft.fft(to_delay(h).unflatten(-2, (polarizations, -1)), dim=-2, norm="ortho")


def to_delay(h: torch.Tensor) -> torch.Tensor:
    """``[..., subcarrier]`` to ``[..., delay]``: a path lies in the row of its delay times the bandwidth."""
    return torch.fft.ifft(h, dim=-1, norm="ortho")


def from_delay(g: torch.Tensor) -> torch.Tensor:
    """Inverse of `to_delay`."""
    return torch.fft.fft(g, dim=-1, norm="ortho")


def dft_codebook(panel: Panel) -> torch.Tensor:
    """Orthogonal beams of a panel, complex, ``[bs_ant, beam]``, unit norm; each is sent on one polarisation.

    A beam has the number of the antenna in the order (polarisation, column, row).
    """
    def line(size: int) -> torch.Tensor:
        return torch.fft.fft(torch.eye(size, dtype=torch.complex64), dim=0, norm="ortho").contiguous()

    space = torch.kron(line(panel.columns), line(panel.rows))
    return torch.kron(torch.eye(panel.polarizations, dtype=torch.complex64), space.contiguous())


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
