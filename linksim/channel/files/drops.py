"""Stored drops as the chain wants them: cut into history and future, grouped into drops, normalised."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sionna.phy import SPEED_OF_LIGHT

from linksim.channel.drops import Band, Drops, DropsWithoutRays, bands, time_grid, true_csi
from linksim.channel.files.agreement import by_drop, check_against_file, check_training_file, items_of_drops
from linksim.channel.files.opened import digest, open_channel_files
from linksim.channel.files.reader import Header, Reader, Samples
from linksim.channel.files.values import check_amplitudes, check_finite, check_rays, mean_power
from linksim.channel.rays import Rays
from linksim.core.errors import LinksimError, NumericalError
from linksim.mimo.phasor import unit_phasor
from linksim.scenario.channel import Channel

_UNKNOWN_SPEED = "speed unknown: neither the channel file nor channel.speed_kmh says how fast terminals are"


def stored_drops(channel: Channel, batch_size: int, chunk_index: int, device: str = "cpu") -> Drops:
    """Drops ``chunk_index * batch_size`` and the following, of those at this channel's swept values.

    :raises LinksimError: the file has changed since it was checked, ends before them or is damaged.
    """
    header = check_against_file(channel)
    _check_unchanged(channel, training=False)
    items = items_of_drops(channel, header)
    return _some(open_channel_files(channel.files), items, channel, batch_size, chunk_index, device)


def stored_training_drops(channel: Channel, batch_size: int, chunk_index: int, device: str = "cpu") -> Drops:
    """The same of ``files.training_path``: its drops in order, whatever their swept values.

    :raises LinksimError: as above.
    """
    header = check_training_file(channel)
    _check_unchanged(channel, training=True)
    items = by_drop(np.arange(header.num_items), channel, header)
    reader = open_channel_files(channel.files, training=True)
    return _some(reader, items, channel, batch_size, chunk_index, device)


def _check_unchanged(channel: Channel, training: bool) -> None:
    files = channel.files
    path, expected = (files.training_path, files.training_sha256) if training else (files.path, files.sha256)
    if expected and digest(Path(path), training) != expected:
        raise LinksimError(f"channel.files: {path} has changed since this run was planned: run again")


def _some(reader: Reader, items: np.ndarray, channel: Channel, batch_size: int, chunk_index: int, device: str
          ) -> Drops:
    part = items[chunk_index * batch_size:(chunk_index + 1) * batch_size]
    if len(part) < batch_size:
        raise LinksimError(f"channel.files: {reader.header.title} has {len(items)} drops, too few for chunk "
                           f"{chunk_index} of {batch_size}")
    return to_drops(_read_items(reader, part.ravel()), channel, reader.header, part, device)


def _read_items(reader: Reader, items: np.ndarray) -> Samples:
    """Items by number: runs of neighbours are read at once."""
    starts = np.flatnonzero(np.diff(items, prepend=items[0] - 2) != 1)
    runs = [items[start:stop] for start, stop in zip(starts, [*starts[1:], len(items)])]
    parts = [reader.read(int(run[0]), int(run[-1]) + 1) for run in runs]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[Samples]) -> Samples:
    def joined(values: list) -> object:
        first = values[0]
        if isinstance(first, dict):
            return {name: first[name] if name in Rays.SHARED else joined([value[name] for value in values])
                    for name in first}
        if isinstance(first, tuple):
            return tuple(joined(list(items)) for items in zip(*values))
        return None if first is None else np.concatenate(values)

    return Samples(**{name: joined([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def to_drops(samples: Samples, channel: Channel, header: Header, items: np.ndarray, device: str = "cpu") -> Drops:
    """Arrays of some items to drops.

    :param samples: of these items, in their order.
    :param channel: whole and in agreement with the file.
    :param items: ``[drop, item]``, numbers in the reader's order of the items that make each drop.
    :raises ScenarioError: values that no link can be computed with.
    """
    batch_size = len(items)
    check_finite(samples, header, items.ravel())
    uplink, downlink = bands(channel)
    past_s, future_s = _times(channel, header)
    history, uplink_future, future = (
        None if h is None else _ordered(_to_torch(h, device), channel, header, batch_size)
        for h in _bands_of(samples, channel, header, uplink, downlink)
    )
    up_doppler, down_doppler = _dopplers(samples, channel, history, uplink, downlink)
    rays, downlink_rays = stored_rays(samples, header, device)
    if channel.normalization != "none" and not header.is_normalized:
        gain = _gain(history, rays, channel, header, items)
        scale = gain.rsqrt()[:, :, None, None, None, None]
        history, future, uplink_future = (
            None if h is None else (h * scale).to(h.dtype) for h in (history, future, uplink_future))
        if rays is not None:
            same = downlink_rays is rays
            rays = rays.scaled(1 / gain)
            downlink_rays = rays if same else downlink_rays.scaled(1 / gain)
    notes = check_amplitudes({"history": history, "future": future}, header, items)
    unknown = () if channel.knows_speed else (_UNKNOWN_SPEED,)
    known = {
        "history": true_csi(channel, history, uplink, past_s, up_doppler),
        "future": true_csi(channel, future, downlink, future_s, down_doppler),
        "uplink": uplink, "downlink": downlink, "uplink_rays": rays, "downlink_rays": downlink_rays,
        "reference_hz": uplink.carrier_hz, "notes": (*unknown, *header.notes, *notes),
    }
    if rays is not None:
        return Drops(**known)
    uplink_future = None if uplink_future is None else true_csi(channel, uplink_future, uplink, future_s, up_doppler)
    return DropsWithoutRays(**known, uplink_future=uplink_future)


def tones_of_paths(gains: torch.Tensor, delays_s: torch.Tensor, offset_hz: torch.Tensor) -> torch.Tensor:
    """Path coefficients to the channel on subcarriers: sum over paths of a exp(-j 2 pi f tau).

    :param gains: ``[item, user, ue_ant, bs_ant, path, time]``, complex.
    :param delays_s: ``[item, user, path]``, or ``[item, user, ue_ant, bs_ant, path]``; double, since a tone's phase
        needs it.
    :param offset_hz: ``[subcarrier]``, from the carrier that the coefficients refer to.
    :returns: ``[item, user, ue_ant, bs_ant, time, subcarrier]``.
    """
    phasor = unit_phasor(-2 * torch.pi * delays_s.unsqueeze(-1) * offset_hz.to(delays_s)).to(gains.dtype)
    if delays_s.ndim == 5:
        return gains.mT @ phasor
    return (gains.mT.flatten(2, 4) @ phasor).unflatten(2, (*gains.shape[2:4], gains.shape[-1]))


def _times(channel: Channel, header: Header) -> tuple[torch.Tensor, torch.Tensor]:
    """Times of history and future. A history cut short keeps the file's clock, which the rays' phases refer to."""
    if header.num_times is not None:
        return time_grid(channel)
    whole = channel.model_copy(update={"num_history": header.max_history})
    past_s, future_s = time_grid(whole)
    return past_s[-channel.num_history:], future_s


def _bands_of(samples: Samples, channel: Channel, header: Header, uplink: Band, downlink: Band
              ) -> tuple[np.ndarray | torch.Tensor | None, ...]:
    """History, the uplink's future and the future to predict, ``[item, user, ue_ant, bs_ant, time, subcarrier]``."""
    past, future = channel.num_history, channel.num_future
    if samples.history is not None:
        to_predict = samples.uplink_future if channel.duplex == "tdd" else samples.downlink_future
        return (samples.history[..., -past:, :],
                None if samples.uplink_future is None else samples.uplink_future[..., :future, :],
                to_predict[..., :future, :])
    if samples.gains is None:
        up = down = samples.stretch
    else:
        gains, delays_s = torch.from_numpy(samples.gains), torch.from_numpy(samples.delays_s)
        gains = gains[..., :channel.num_times]
        up = tones_of_paths(gains, delays_s, uplink.frequency_hz - uplink.carrier_hz)
        down = up if downlink is uplink else \
            tones_of_paths(gains, delays_s, downlink.frequency_hz - uplink.carrier_hz)
    if header.num_times == 1:  # a channel that stands still
        up, down = (h.repeat(channel.num_times, -2) if isinstance(h, np.ndarray)
                    else h.repeat_interleave(channel.num_times, -2) for h in (up, down))
    after = slice(past, past + future)
    return up[..., :past, :], up[..., after, :], down[..., after, :]


def _to_torch(array: np.ndarray | torch.Tensor, device: str) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array).to(device)


def _ordered(h: torch.Tensor, channel: Channel, header: Header, batch_size: int) -> torch.Tensor:
    """Users side by side in their drop, BS antennas in this project's order."""
    h = h.reshape(batch_size, -1, *h.shape[2:])
    nesting = channel.files.antenna_order or header.antenna_order
    array = channel.bs_array
    sizes = {"polarization": 2 if array.polarization == "dual" else 1, "column": array.columns, "row": array.rows}
    h = h.unflatten(3, [sizes[axis] for axis in nesting])
    places = [3 + nesting.index(axis) for axis in ("polarization", "column", "row")]
    return h.permute(0, 1, 2, *places, 6, 7).flatten(3, 5).contiguous()


def _dopplers(samples: Samples, channel: Channel, history: torch.Tensor, uplink: Band, downlink: Band
              ) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest Doppler shift in both bands, ``[batch, user]``: as stored, else by the scenario's speed; NaN where nobody
    says it."""
    if samples.max_doppler_hz is not None and not np.isnan(samples.max_doppler_hz).any():
        up, down = (_to_torch(array, str(history.device)) for array in samples.max_doppler_hz)
        return up, down
    speed_m_s = torch.full(history.shape[:2], channel.speed_kmh / 3.6 if channel.knows_speed else torch.nan,
                           device=history.device)
    if samples.speed_kmh is not None:
        speed_m_s = _to_torch(samples.speed_kmh / 3.6, str(history.device)).to(speed_m_s).reshape(speed_m_s.shape)
    return speed_m_s * (uplink.carrier_hz / SPEED_OF_LIGHT), speed_m_s * (downlink.carrier_hz / SPEED_OF_LIGHT)


def stored_rays(samples: Samples, header: Header, device: str = "cpu") -> tuple[Rays | None, Rays | None]:
    """Rays of both bands; one object where they are the same, which says that phases are.

    :raises LinksimError: tensors that are missing or do not fit together.
    """
    if not samples.rays:
        return None, None
    tensors, other = ({name: _to_torch(array, device) for name, array in named.items()}
                      for named in (samples.rays, samples.downlink_rays))
    try:
        both = [Rays.from_dict(one) for one in ([tensors, {**tensors, **other}] if other else [tensors])]
    except KeyError as error:
        raise LinksimError(f"{header.title}: its rays have no {error.args[0]!r}: another version wrote it") from None
    for rays in both:
        check_rays(rays, header)
    return both[0], both[-1]


def _gain(history: torch.Tensor, rays: Rays | None, channel: Channel, header: Header, items: np.ndarray
          ) -> torch.Tensor:
    """Gain to normalise by, ``[batch, user]``: expected over phases where rays are known, else the history's mean.

    :raises NumericalError: a user without any gain cannot be normalised.
    """
    gain = mean_power(history) if rays is None else rays.mean_gain()
    if (gain == 0).any():
        drop, user = (gain == 0).nonzero()[0].tolist()
        place = header.name_of(items[drop, user if items.shape[1] > 1 else 0])
        raise NumericalError(f"{header.title}: user {user} of {place} has no gain and cannot be normalised: leave such "
                             "users out of the file, or write channel.normalization: none")
    return gain.mean(1, keepdim=True).expand_as(gain) if channel.normalization == "drop" else gain
