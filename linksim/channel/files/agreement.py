"""A scenario and its channel files: what the scenario leaves out is taken from the file, the rest must agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from linksim.channel.files.opened import digest, open_channel_files
from linksim.channel.files.reader import Header
from linksim.core.errors import ScenarioError
from linksim.scenario.channel import Channel, ChannelFiles

_PATHS = (("path", "sha256", False), ("training_path", "training_sha256", True))


def completed(section: dict[str, Any], swept: set[str]) -> dict[str, Any]:
    """The ``channel`` section of a scenario with what the file says filled in.

    :param section: as written.
    :param swept: channel fields that the sweep names, which count as written.
    :returns: a copy; unchanged where the section is wrong in itself, which validation reports.
    :raises ScenarioError: the file cannot be read, or does not say what is needed. ``key: message``.
    """
    try:
        files = ChannelFiles.model_validate(section.get("files") or {})
    except pydantic.ValidationError:
        return section
    files = _absolute(files)
    try:
        header = open_channel_files(files).header if files.path else None
    except ScenarioError as error:
        raise ScenarioError(f"files.path: {error}") from None
    written = swept | {key for key, _ in _written(section)}
    said = "speed_kmh" in written or (header is not None and header.says_speed)
    files = _with_digests(files).model_copy(update={"speed_known": said})
    section = {**section, "files": files.model_dump(exclude_defaults=True)}
    if header is None:
        return section
    _check_said(header, written)
    found = {**header.assumed, **header.facts, **_grid(header), **header.points[0]}
    if header.num_bs_antennas == 1:
        found |= {"bs_array.rows": 1, "bs_array.columns": 1, "bs_array.polarization": "single"}
    for key, value in found.items():
        # the base value of a swept field is replaced at every sweep point; it must be one of the file's all the same
        if key not in written or key in swept:
            section = _filled(section, key, value)
    return section


def check_against_file(channel: Channel) -> Header:
    """Whether a whole channel section, at one sweep point, is what its file holds.

    :returns: the file's header.
    :raises ScenarioError: the first contradiction, as ``channel.key: message``.
    """
    try:
        header = open_channel_files(channel.files).header
    except ScenarioError as error:
        raise ScenarioError(f"channel.files.path: {error}") from None
    _check_fields(channel, header)
    _check_times(channel, header)
    if not num_drops(channel):
        values = ", ".join(f"{key} {value_of(channel, key)}" for key in header.points[0])
        held = "; ".join(", ".join(f"{key} {value}" for key, value in point.items()) for point in header.points[:12])
        raise ScenarioError(f"channel.{next(iter(header.points[0]), 'files.path')}: {header.title} has no drops with "
                            f"{values or f'{channel.num_users} users'}" + f"; it holds {held}" * bool(values))
    return header


def check_training_file(channel: Channel) -> Header:
    """The same for the training file: sizes, bands and times must agree; speeds and propagation may be others.

    :param channel: of a training condition.
    :raises ScenarioError: ``channel.files.training_path: message``.
    """
    try:
        header = open_channel_files(channel.files, training=True).header
        facts = {key: fact for key, fact in header.facts.items() if key not in _FREE_IN_TRAINING}
        _check_fields(channel, replace(header, facts=facts))
        _check_times(channel, header)
    except ScenarioError as error:
        message = str(error).removeprefix("channel.").removesuffix(": leave it out")
        raise ScenarioError(f"channel.files.training_path: {message}") from None
    return header


def items_of_drops(channel: Channel, header: Header) -> np.ndarray:
    """Items at this channel's swept values, ``[drop, item]``: neighbours make a drop.

    Where the file holds drops of several users, every item is a drop.
    """
    matching = [index for index, point in enumerate(header.points)
                if all(_same(value_of(channel, key), value) for key, value in point.items())]
    items = np.concatenate([header.items_of(index) for index in matching]) if matching else np.arange(0)
    return by_drop(items, channel, header)


def by_drop(items: np.ndarray, channel: Channel, header: Header) -> np.ndarray:
    """Item numbers ``[drop, item]``; what is left over is left out."""
    per_drop = 1 if "num_users" in header.facts else channel.num_users
    return items[: len(items) // per_drop * per_drop].reshape(-1, per_drop)


def num_drops(channel: Channel) -> int:
    """Drops that a channel's file holds for its swept values."""
    return len(items_of_drops(channel, open_channel_files(channel.files).header))


def num_training_drops(channel: Channel) -> int:
    """Drops that a channel's training file holds, whatever their swept values."""
    header = check_training_file(channel)
    return len(by_drop(np.arange(header.num_items), channel, header))


def training_speeds_kmh(channel: Channel) -> list[float]:
    """Speeds that a training file holds; the channel's own where the file does not say."""
    header = check_training_file(channel)
    speeds = [point["speed_kmh"] for point in header.points if "speed_kmh" in point]
    return speeds or [header.facts.get("speed_kmh", channel.speed_kmh)]


def value_of(channel: Channel, key: str) -> Any:
    """A field by its path below ``channel``."""
    value: Any = channel
    for part in key.split("."):
        value = getattr(value, part)
    return value


_FREE_IN_TRAINING = {"model", "los", "speed_kmh", "indoor_share", "path_loss", "shadow_fading", "delay_spread_ns",
                     "precision"}
_ARRAY = {"bs_array.rows", "bs_array.columns", "bs_array.polarization"}


def _absolute(files: ChannelFiles) -> ChannelFiles:
    return files.model_copy(update={
        key: str(Path(getattr(files, key)).resolve()) for key, _, _ in _PATHS if getattr(files, key)})


def _with_digests(files: ChannelFiles) -> ChannelFiles:
    """The same with the digests filled in.

    :raises ScenarioError: a digest that was given is another one.
    """
    changes = {}
    for path_key, digest_key, training in _PATHS:
        if not getattr(files, path_key):
            continue
        path = Path(getattr(files, path_key))
        try:
            found = digest(path, training)
        except ScenarioError as error:
            raise ScenarioError(f"files.{path_key}: {error}") from None
        given = getattr(files, digest_key)
        if given and given != found:
            raise ScenarioError(f"files.{digest_key}: {path} has the digest {found}: it is not the file that was meant")
        changes[digest_key] = found
    return files.model_copy(update=changes)


def _check_said(header: Header, written: set[str]) -> None:
    """Whether the scenario names what its file cannot tell.

    :raises ScenarioError: it does not. ``files.path: message``.
    """
    if len(header.points) > 1:
        for key in header.points[0].keys() - written:
            values = ", ".join(str(value) for value in dict.fromkeys(point[key] for point in header.points))
            raise ScenarioError(f"files.path: {header.title} holds several values of channel.{key} ({values}): write "
                                "one of them, or sweep it")
    for key in header.needed:
        if key not in written:
            raise ScenarioError(f"files.path: {header.title} does not say channel.{key}: write it")
    if header.num_bs_antennas > 1 and not header.facts.keys() & _ARRAY and not written & _ARRAY:
        raise ScenarioError(f"files.path: {header.title} has {header.num_bs_antennas} BS antennas and does not say how "
                            "they stand: write channel.bs_array (rows, columns, polarization)")


def _grid(header: Header) -> dict[str, Any]:
    """History and future where the scenario does not say how long they are."""
    if header.num_times is None:
        return {"num_history": header.max_history, "num_future": header.max_future}
    if header.num_times == 1:
        return {}
    future = min(Channel.model_fields["num_future"].default, header.num_times // 2)
    return {"num_future": future, "num_history": header.num_times - future}


def _written(section: dict[str, Any], at: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, value in section.items():
        if isinstance(value, dict):
            found += _written(value, f"{at}{key}.")
        else:
            found.append((f"{at}{key}", value))
    return found


def _filled(section: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    head, _, rest = key.partition(".")
    inner = section.get(head)
    if rest and not isinstance(inner, dict | None):
        return section  # not a section: validation says so
    return {**section, head: _filled(inner or {}, rest, value) if rest else value}


def _check_fields(channel: Channel, header: Header) -> None:
    for key, fact in header.facts.items():
        given = value_of(channel, key)
        if not _same(given, fact):
            raise ScenarioError(f"channel.{key}: {given} here, but {header.title} has {fact}: leave it out")
    if channel.beam_squint and not header.facts.get("beam_squint"):
        raise ScenarioError(f"channel.beam_squint: the channels of {header.title} have none: leave it out")
    if channel.bs_array.num_antennas != header.num_bs_antennas:
        raise ScenarioError(
            f"channel.bs_array: {channel.bs_array.rows} x {channel.bs_array.columns}, {channel.bs_array.polarization} "
            f"polarization, makes {channel.bs_array.num_antennas} antennas, but {header.title} has "
            f"{header.num_bs_antennas}"
        )
    if header.duplex and channel.duplex not in header.duplex:
        raise ScenarioError(f"channel.duplex: {channel.duplex} here, but {header.title} serves "
                            f"{' and '.join(header.duplex)} alone")


def _check_times(channel: Channel, header: Header) -> None:
    if header.num_times == 1:
        if channel.speed_kmh:
            raise ScenarioError(f"channel.speed_kmh: {header.title} has one time sample, a channel that stands still: "
                                "write channel.speed_kmh: 0")
        return
    if header.num_times is None:
        for key, most in (("num_history", header.max_history), ("num_future", header.max_future)):
            if value_of(channel, key) > most:
                raise ScenarioError(f"channel.{key}: {value_of(channel, key)} here, but {header.title} has {most} "
                                    "samples")
    elif channel.num_times > header.num_times:
        raise ScenarioError(f"channel.num_history: {channel.num_history} + {channel.num_future} to predict here, but "
                            f"{header.title} has {header.num_times} samples")


def _same(given: Any, fact: Any) -> bool:
    if isinstance(given, float) or isinstance(fact, float):
        both = isinstance(given, int | float) and isinstance(fact, int | float)
        return both and abs(given - fact) <= 1e-9 * abs(fact)
    return given == fact
