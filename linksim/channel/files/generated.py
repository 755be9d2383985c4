"""Impulse responses computed as they are needed, by a plugged-in ``cir_source``."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from sionna.phy.channel import CIRDataset

from linksim.channel.drops import Drops
from linksim.channel.files.cir import A_AXES, by_user, check_shapes, sizes
from linksim.channel.files.drops import to_drops
from linksim.channel.files.reader import Header, Samples, fault
from linksim.core.errors import LinksimError
from linksim.core.seeding import sionna_seed
from linksim.scenario.channel import Channel
from linksim.scenario.resolved import read_block

_iterators: dict[str, tuple[int, Iterator[Any]]] = {}
"""By generator: how many items of its `CIRDataset` were taken, and the rest of them."""


def generated_drops(channel: Channel, batch_size: int, seed: int, chunk_index: int, device: str = "cpu",
                    training: bool = False) -> Drops:
    """A chunk of drops from ``files.generator``.

    A callable is asked once for the chunk, under the chunk's own seed of Sionna's and torch's generators. A
    `CIRDataset` is a list: drop number i is the i-th item of its generator, so that a value depends neither on its
    shuffle buffer nor on the order of the work.

    :param training: for training drops, which a list of test drops does not have.
    :raises LinksimError: it ends early, or what it returns does not fit the scenario.
    """
    generator = read_block("channel.files.generator", "cir_source", channel.files.generator)
    place = f"cir_source {generator.name!r}"
    sampling_hz = 1e3 / channel.csi_period_ms
    with sionna_seed(seed), _torch_seed(seed):
        source = generator.create()
        if isinstance(source, CIRDataset):
            if training:
                raise LinksimError(f"{place}: a CIRDataset holds test drops alone: name training drops in "
                                   "channel.files.training_path")
            a, tau = _items(f"{generator.name} {generator.given}", source, place, batch_size, chunk_index)
        else:
            a, tau = _numpy(_called(source, place, batch_size, channel.num_times, sampling_hz))
    if a.ndim != 7 or a.shape[0] != batch_size or a.shape[6] < channel.num_times:
        raise fault(place, f"a has shape {list(a.shape)}, but {A_AXES} is needed, {batch_size} samples of "
                           f"{channel.num_times} times")
    users, ue_ant, base_stations, bs_ant = sizes(a.shape, channel.files.direction)
    check_shapes(place, a.shape, tau.shape, base_stations)
    for key, given, found in (
        ("channel.num_users", channel.num_users, users),
        ("channel.ue_array.num_antennas", channel.ue_array.num_antennas, ue_ant),
        ("channel.bs_array", channel.bs_array.num_antennas, bs_ant),
    ):
        if given != found:
            raise LinksimError(f"{key}: {given} here, but {place} has {found}: set it to that")
    header = Header(title=place, num_items=batch_size, num_bs_antennas=bs_ant, facts={"num_users": users},
                    num_times=a.shape[6], item="sample")
    items = np.arange(chunk_index * batch_size, (chunk_index + 1) * batch_size)
    header = replace(header, numbers=items)
    return to_drops(Samples(**by_user(a, tau, channel.files.direction)), channel, header,
                    np.arange(batch_size)[:, None], device)


@contextlib.contextmanager
def _torch_seed(seed: int) -> Iterator[None]:
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield


def _called(source: Callable[..., Any], place: str, *arguments: Any) -> Any:
    if not callable(source):
        raise fault(place, "is neither a CIRDataset nor callable with (batch_size, num_time_steps, sampling_frequency)")
    return source(*arguments)


def _items(key: str, source: CIRDataset, place: str, batch_size: int, chunk_index: int
           ) -> tuple[np.ndarray, np.ndarray]:
    """The chunk's items in the order of the data set's own generator, without its shuffle buffer."""
    first = chunk_index * batch_size
    taken, rest = _iterators.get(key, (0, None))
    if rest is None or taken > first:
        taken, rest = 0, iter(source._cir_generator())
    items = list(itertools.islice(rest, first - taken, first - taken + batch_size))
    _iterators[key] = (first + len(items), rest)
    if len(items) < batch_size:
        _iterators.pop(key)
        raise LinksimError(f"{place}: ends before chunk {chunk_index} of {batch_size} drops is full: use fewer drops, "
                           "e.g. --set run.stopping.max_drops=…")
    gains, delays = zip(*(_numpy(item) for item in items))
    return np.stack(gains), np.stack(delays)


def _numpy(pair: Any) -> tuple[np.ndarray, np.ndarray]:
    a, tau = (torch.as_tensor(part).detach().cpu().numpy() for part in pair)
    return a, tau
