"""Antenna elements behind one port: the electrical downtilt of clause 7.8."""

from __future__ import annotations

import math

import torch
from sionna.phy import SPEED_OF_LIGHT
from sionna.phy.channel.tr38901 import PanelArray


def steered_port(array: PanelArray, carrier_hz: float, zenith_deg: float) -> torch.Tensor:
    """The elements of a panel's first polarisation as one port, steered to a zenith angle in front of the panel.

    The phases of TR 38.901 eq. 7.3-1, but for one common to all elements, and unit transmit power.

    :param zenith_deg: 90 is horizontal, more is down.
    :returns: ``[bs_ant, 1]``, complex; the other polarisation has weight 0.
    """
    zenith = math.radians(zenith_deg)
    direction = torch.tensor([math.sin(zenith), 0.0, math.cos(zenith)])
    phase = -2 * torch.pi * carrier_hz / SPEED_OF_LIGHT * (array.ant_pos.cpu().to(direction) @ direction)
    weights = torch.polar(torch.ones_like(phase), phase)
    used = torch.zeros_like(phase)
    used[array.ant_ind_pol1.cpu()] = 1 / math.sqrt(len(array.ant_ind_pol1))
    return (weights * used).unsqueeze(-1)
