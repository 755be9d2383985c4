"""Path tables of areas that others traced: WAIR-D folders, DeepMIMO files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from linksim.channel.ray_traced.imported.deepmimo import read_deepmimo
from linksim.channel.ray_traced.imported.wair_d import (
    BS_HEIGHT_M,
    TERMINAL_HEIGHT_M,
    area_folder,
    building_heights,
    read_links,
)
from linksim.channel.ray_traced.site import site_of
from linksim.channel.ray_traced.table import PathTable
from linksim.core.errors import ScenarioError
from linksim.core.seeding import stream_seed
from linksim.scenario.channel import Channel
from linksim.scenario.ray_traced import STORED_PATHS, RayTraced

_LIGHT_M_S = 299_792_458.0
_LARGEST = {"gains": 1e3, "delays": 1.0, "departures": 100.0, "arrivals": 100.0}
"""Largest path parameters: between isotropic antennas, s, radian."""

_STRAIGHT_M = 0.5
"""A path that is no longer than the straight line by more than this is the line of sight."""


def imported_table(channel: Channel) -> PathTable:
    """The table of a channel whose scene is a WAIR-D folder or a DeepMIMO file.

    Antennas were isotropic and polarisations not told apart: each keeps its own, and none turns into the other.

    :raises ScenarioError: files that cannot be read or hold something else; no terminal within the sector with a path.
    """
    options = channel.ray_traced
    if Path(options.scene).is_dir():
        parts = [_of_area(channel, one).in_area(one.first_area) for one in options.areas]
    else:
        parts = [_of_file(channel)]
    parts = [part for part in parts if len(part)]
    if not parts:
        raise ScenarioError(f"channel.ray_traced: no terminal of {options.title} with a path within radius_m and "
                            "sector_deg")
    about = {"traced_by": f"others ({options.title})", "candidates": sum(part.about["candidates"] for part in parts)}
    return PathTable.joined(parts, about)


def imported_height_map(options: RayTraced, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Heights at places seen from the base station, m, as `linksim.channel.ray_traced.maps.height_map` wants them:
    nothing where the data say nothing.

    :param x: in the area's axes.
    """
    if not Path(options.scene).is_dir():
        return np.zeros(x.shape)
    area = area_folder(Path(options.scene), options.first_area)
    found = building_heights(area)
    if found is None:
        return np.zeros(x.shape)
    heights, (width, depth) = found
    row, column = np.floor(y / depth * heights.shape[0]), np.floor(x / width * heights.shape[1])
    inside = (row >= 0) & (row < heights.shape[0]) & (column >= 0) & (column < heights.shape[1])
    row, column = (np.where(inside, number, 0).astype(int) for number in (row, column))
    return np.where(inside, heights[row, column], 0.0)


def _of_area(channel: Channel, options: RayTraced) -> PathTable:
    links = read_links(area_folder(Path(options.scene), options.first_area), options.base_station,
                       channel.carrier_frequency_ghz)
    bs = np.array([*links.bs_m, BS_HEIGHT_M])
    places = np.column_stack([links.terminal_m, np.full(len(links.terminal_m), TERMINAL_HEIGHT_M)])
    chosen = np.flatnonzero(_within(places - bs, options))
    if options.positions_per_area is not None:
        draw = np.random.default_rng(stream_seed(options.trace_seed, "terminals", options.first_area))
        chosen = np.sort(draw.permutation(chosen)[:options.positions_per_area])
    count = max((len(links.paths[one][0]) for one in chosen), default=1)
    gain, delay = np.zeros((len(chosen), count), complex), np.zeros((len(chosen), count))
    departure, arrival = np.zeros((2, len(chosen), count, 2))
    for row, one in enumerate(chosen):
        for into, values in zip((gain, delay, departure, arrival), links.paths[one], strict=True):
            into[row, :len(values)] = values
    return _table(channel, places[chosen], bs, gain, delay, departure, arrival, None,
                  len(links.paths) + links.without_path)


def _of_file(channel: Channel) -> PathTable:
    arrays = read_deepmimo(Path(channel.ray_traced.scene))
    used = ~np.isnan(arrays["power"]) & ~np.isneginf(arrays["power"]) & ~np.isnan(arrays["delay"])
    chosen = used.any(1) & _within(arrays["rx_pos"] - arrays["tx_pos"], channel.ray_traced)

    def cleaned(name: str) -> np.ndarray:
        return np.where(used, arrays[name], 0)[chosen]

    with np.errstate(over="ignore", invalid="ignore"):  # what comes of it is refused
        size = np.where(used[chosen], 10 ** (cleaned("power") / 20), 0)
        gain = size * np.exp(1j * np.radians(cleaned("phase")))
    departure, arrival = (np.radians(np.stack([cleaned(f"{end}_el"), cleaned(f"{end}_az")], -1))
                          for end in ("aod", "aoa"))
    los = arrays["los"][chosen] == 1 if "los" in arrays else None
    return _table(channel, arrays["rx_pos"][chosen], arrays["tx_pos"], gain, cleaned("delay"), departure, arrival, los,
                  len(arrays["rx_pos"]))


def _within(offset: np.ndarray, options: RayTraced) -> np.ndarray:
    """Which terminals stand in the sector and not too near or far."""
    distance = np.hypot(offset[:, 0], offset[:, 1])
    turned = np.degrees(np.arctan2(offset[:, 1], offset[:, 0])) - site_of(options).azimuth_deg
    aside = np.abs((turned + 180) % 360 - 180)
    return ((distance <= options.radius_m) & (distance >= options.min_distance_m)
            & (aside <= options.sector_deg / 2))


def _table(channel: Channel, places: np.ndarray, bs: np.ndarray, gain: np.ndarray, delay: np.ndarray,
           departure: np.ndarray, arrival: np.ndarray, los: np.ndarray | None, candidates: int) -> PathTable:
    """:param gain: ``[position, path]``, with the phase at the carrier that the delay brings; a table is without."""
    for name, values in (("gains", gain), ("delays", delay), ("departures", departure), ("arrivals", arrival)):
        size = np.abs(values) if name != "delays" else values
        wrong = ~((size >= 0) & (size <= _LARGEST[name])).all(tuple(range(1, size.ndim)))
        if wrong.any():
            x, y = places[wrong.argmax()][:2]
            raise ScenarioError(f"channel.ray_traced.scene: {channel.ray_traced.scene}: {name} of the terminal at "
                                f"x = {x:g} m, y = {y:g} m: some are not finite, or out of range")
    order = np.argsort(-np.abs(gain), axis=1, kind="stable")[:, :STORED_PATHS]

    def sorted_by_gain(values: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, order[..., None] if values.ndim == 3 else order, 1)

    if los is None:
        straight = np.linalg.norm(places - bs, axis=1)
        shortest = np.where(np.abs(gain) > 0, delay * _LIGHT_M_S, np.inf).min(1, initial=np.inf)
        los = shortest < straight + _STRAIGHT_M
    total = (np.abs(gain) ** 2).sum(1)
    gain, delay, departure, arrival = map(sorted_by_gain, (gain, delay, departure, arrival))
    delay = delay.astype(np.float32).astype(float)  # as the table holds it: phases are taken from that
    turned = 2 * math.pi * np.remainder(delay * channel.carrier_frequency_ghz * 1e9, 1)
    transfer = np.zeros((*gain.shape, 2, 2), dtype=np.complex64)
    transfer[..., 0, 0] = transfer[..., 1, 1] = gain * np.exp(1j * turned)
    single = torch.float32
    return PathTable(
        position_m=torch.from_numpy(places), bs_position_m=torch.from_numpy(bs), transfer=torch.from_numpy(transfer),
        delay_s=torch.from_numpy(delay).to(single), departure=torch.from_numpy(departure).to(single),
        arrival=torch.from_numpy(arrival).to(single), num_paths=torch.from_numpy((np.abs(gain) > 0).sum(1)),
        line_of_sight=torch.from_numpy(los), total_gain=torch.from_numpy(total).to(single),
        about={"candidates": candidates})
