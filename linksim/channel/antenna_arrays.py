"""Antenna arrays as Sionna builds them, and what rays need of them: directions, field patterns, layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import torch
from sionna.phy.channel.tr38901 import PanelArray

from linksim.channel.rays import ArrayEnd, ArrayLayout
from linksim.scenario.channel import BsArray, UeArray

_LAYOUTS: WeakKeyDictionary[Any, ArrayLayout] = WeakKeyDictionary()
"""Layouts of arrays seen before."""


def bs_panel(array: BsArray, carrier_hz: float, device: str, precision: str) -> PanelArray:
    dual = array.polarization == "dual"
    return PanelArray(
        num_rows_per_panel=array.rows, num_cols_per_panel=array.columns, polarization=array.polarization,
        polarization_type="cross" if dual else "V", antenna_pattern=array.pattern,
        carrier_frequency=carrier_hz, device=device, precision=precision,
    )


def ue_panel(array: UeArray, carrier_hz: float, device: str, precision: str) -> PanelArray:
    dual = array.polarization == "dual"
    return PanelArray(
        num_rows_per_panel=1, num_cols_per_panel=array.num_antennas // (2 if dual else 1),
        polarization=array.polarization, polarization_type="cross" if dual else "V",
        antenna_pattern=array.pattern, carrier_frequency=carrier_hz, device=device, precision=precision,
    )


def planar(components: torch.Tensor) -> torch.Tensor:
    """``[2 * n, ...]`` as ``[..., n, 2]`` without a copy: each component stays contiguous in memory."""
    return components.unflatten(0, (-1, 2)).movedim((0, 1), (-2, -1))


def array_end(array: Any, turn: torch.Tensor, zenith: torch.Tensor, azimuth: torch.Tensor,
              rotation_of: Callable[[torch.Tensor], torch.Tensor]) -> ArrayEnd:
    """Directions, field patterns and layout of one end.

    :param turn: ``[*links, 3]``, orientation (bearing, downtilt, slant), radian.
    :param zenith: ``[*links, ray]``; ``azimuth`` likewise.
    :param rotation_of: from orientations to rotation matrices (TR 38.901 eq. 7.1-4).
    """
    rotation = rotation_of(turn)
    sin_zenith, cos_zenith = zenith.sin(), zenith.cos()
    x, y, z = sin_zenith * azimuth.cos(), sin_zenith * azimuth.sin(), cos_zenith
    x_local, y_local, z_local = (  # R^T direction
        sum(rotation[..., i, axis, None] * part for i, part in enumerate((x, y, z))) for axis in range(3))
    zenith_local, azimuth_local = z_local.clamp(-1, 1).acos(), torch.atan2(y_local, x_local)
    if callable(getattr(array, "element_field", None)):  # a handset: every antenna has a pattern of its own
        fields = [field.unbind(-1) for field in array.element_field(zenith_local, azimuth_local)]
    else:
        elements = [array.ant_pol1] + ([array.ant_pol2] if array.polarization == "dual" else [])
        fields = [element.field(zenith_local, azimuth_local) for element in elements]
    # from the array's axes to the ground's (eq. 7.1-11, 7.1-15): a turn by psi, of which cosine and sine suffice
    bearing, downtilt, slant = (angle.unsqueeze(-1) for angle in turn.unbind(-1))
    sin_bearing, cos_bearing = (azimuth - bearing).sin(), (azimuth - bearing).cos()
    real = slant.sin() * cos_zenith * sin_bearing + slant.cos() * (
        downtilt.cos() * sin_zenith - downtilt.sin() * cos_zenith * cos_bearing)
    imaginary = slant.sin() * cos_bearing + downtilt.sin() * slant.cos() * sin_bearing
    length = torch.hypot(real, imaginary)
    at_pole = length == 0
    cos, sin = torch.where(at_pole, 1, real / length), torch.where(at_pole, 0, imaginary / length)
    turned = [part for theta, phi in fields for part in (cos * theta - sin * phi, sin * theta + cos * phi)]
    direction = torch.stack([x, y, z]).movedim(0, -1)
    return ArrayEnd(direction, planar(torch.stack(turned)), rotation, array_layout(array))


def array_layout(array: Any) -> ArrayLayout:
    """Ports, columns and rows of a Sionna array; a handset's antennas are all ports.

    :raises ValueError: a panel whose antennas do not stand on a grid.
    """
    if array not in _LAYOUTS:
        _LAYOUTS[array] = _layout(array)
    return _LAYOUTS[array]


def _layout(array: Any) -> ArrayLayout:
    position = array.ant_pos
    if not isinstance(array, PanelArray):
        nowhere = position.new_zeros(1, 3)
        return ArrayLayout(position, nowhere, nowhere, torch.arange(len(position), device=position.device))
    # positions in units of half a micrometre: equal numbers may differ in the last bit
    place = (position * 2e6).round().long()
    columns, column = _distinct(place[:, 1])
    rows, row = _distinct(place[:, 2])
    port = torch.zeros_like(column)
    dual = array.polarization == "dual"
    if dual:
        port[array.ant_ind_pol2] = 1
    in_grid = (port * len(columns) + column) * len(rows) + row
    if place[:, 0].any() or len(in_grid) != (1 + dual) * len(columns) * len(rows):
        raise ValueError("the antennas of the panel do not stand on a grid")
    keep = torch.eye(3, dtype=position.dtype, device=position.device)
    return ArrayLayout(position.new_zeros(1 + dual, 3), position[columns] * keep[1], position[rows] * keep[2], in_grid)


def _distinct(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First position of each distinct value in order of appearance, and for each entry which one it is."""
    seen: dict[int, int] = {}
    index = [seen.setdefault(value, len(seen)) for value in values.tolist()]
    first = [index.index(number) for number in range(len(seen))]
    return values.new_tensor(first), values.new_tensor(index)
