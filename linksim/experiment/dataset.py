"""Write the channels of a scenario to a file: the very drops that a run sees, or those that training sees.

One process at a time, all of it or nothing, a kill's leftovers put right.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from linksim.channel.drops import Drops, DropsWithoutRays
from linksim.channel.files.linksim_layout import FileHeader, Key, flat
from linksim.channel.files.llm4cp import Llm4cpWriter
from linksim.channel.files.opened import file_digest, manifest_path
from linksim.channel.files.writing import LinksimWriter, make_writer
from linksim.channel.source import chunk_of_drops, source_of
from linksim.core.errors import LinksimError, StoreError
from linksim.core.file_lock import held
from linksim.core.heartbeat import Heartbeat, awaited, doing
from linksim.core.packages import versions
from linksim.core.printing import say
from linksim.experiment.channel_preparation import prepare_channels
from linksim.experiment.plan import make_plan, unit_seed
from linksim.scenario.channel import Channel
from linksim.scenario.identity import NOT_DRAWN
from linksim.scenario.schema import Scenario
from linksim.training.data import CHUNK, condition_of, training_conditions, training_seed

SUFFIXES = (".h5", ".hdf5", ".npz", ".mat")


class Place:
    """The place of a data set, with the names that are used on the way there; nobody else has names like these.

    :param out: the file, or the folder for the llm4cp layout.
    :param layout: ``linksim`` or ``llm4cp``.
    :param overwrite: what is there is replaced.
    """

    def __init__(self, out: Path, layout: str, overwrite: bool) -> None:
        self.out, self._layout, self._overwrite = out, layout, overwrite
        self.manifest = manifest_path(out)
        self.temporary = out.with_name(f".{out.stem}.part{out.suffix}")
        self._replaced = out.with_name(f".{out.name}.replaced")
        self._lock = out.with_name(f".{out.name}.lock")
        self._half = out.with_name(f".{out.name}.manifest.part")
        self._ready = out.with_name(f".{out.name}.manifest.ready")

    @contextlib.contextmanager
    def held(self, say: Callable[[str], None]) -> Iterator[None]:
        """The place for this process alone.

        :raises LinksimError: something is there that must not be replaced.
        :raises StoreError: the folder cannot be written.
        """
        self._check_name()
        if not self._ready.exists():  # else there is something to make good first
            self._check_free("exists")
        made = [folder for folder in self.out.parents if not folder.exists()]
        try:
            self.out.parent.mkdir(parents=True, exist_ok=True)
            with held(self._lock, f"writes {self.out}", say, removed=True) as waited:
                try:
                    self._recover()
                    self._check_free("exists: another process has written it meanwhile" if waited else "exists")
                    yield
                finally:
                    self._clear()
        except OSError as error:
            raise StoreError(f"{self.out}: cannot write: {(error.strerror or str(error)).lower()}") from None
        finally:
            with contextlib.suppress(OSError):
                for folder in made:
                    folder.rmdir()

    def install(self, manifest: str) -> None:
        """Put what was written to `temporary` in its place, with its manifest."""
        self._half.write_text(manifest, encoding="utf-8")
        os.replace(self._half, self._ready)  # from here on, a kill is made good by the next command
        self._finish()

    def _finish(self) -> None:
        if self.temporary.exists():
            if self.out.is_dir():
                os.replace(self.out, self._replaced)
            os.replace(self.temporary, self.out)
        if self.out.exists():
            os.replace(self._ready, self.manifest)

    def _recover(self) -> None:
        """What a kill left: a data set that was whole is put in its place, all else is removed."""
        if self._ready.exists():
            self._finish()
        elif self._replaced.exists() and not self.out.exists():
            os.replace(self._replaced, self.out)
        self._clear()

    def _clear(self) -> None:
        for path in (self.temporary, self._replaced, self._half, self._ready):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)

    def _check_name(self) -> None:
        if self._layout == "linksim" and self.out.suffix not in SUFFIXES:
            raise LinksimError(f"--out {self.out}: its name must end in one of {', '.join(SUFFIXES)}")
        if self._layout == "llm4cp" and self.out.suffix in SUFFIXES:
            raise LinksimError(f"--out {self.out}: the llm4cp layout is a folder of .mat files: name a folder")

    def _check_free(self, there: str) -> None:
        if self.out.is_dir():
            if self._layout == "linksim":
                raise LinksimError(f"--out {self.out}: is a folder")
            if self._overwrite:
                self._check_own()
        if not self._overwrite and (self.out.exists() or self.manifest.exists()):
            raise LinksimError(f"--out {self.out}: {there}; --overwrite replaces it")

    def _check_own(self) -> None:
        """Whether a folder holds nothing but what its manifest names."""
        try:
            names = set(json.loads(self.manifest.read_text(encoding="utf-8"))["file"]["files"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise LinksimError(f"--out {self.out}: is a folder that this command did not write") from None
        strangers = sorted(path.name for path in self.out.iterdir() if path.name not in names)
        if strangers:
            raise LinksimError(f"--out {self.out}: holds {strangers[0]}, which this command did not write: move it, or "
                               "name another folder")


_MEANINGS = {
    "history/h": ("", "true uplink channel at the history's times [drop, user, ue_ant, bs_ant, time, subcarrier]"),
    "future/h": ("", "true downlink channel at the times to predict, same axes"),
    "uplink_future/h": ("", "true uplink channel at those times, same axes"),
    "time_s": ("s", "[point, time]; 0 is the first history sample"),
    "frequency_hz": ("Hz", "[point, subcarrier], absolute"),
    "max_doppler_hz": ("Hz", "speed * carrier / c [drop, user]"),
    "carrier_hz": ("Hz", "[point, (uplink, downlink)]"),
    "panel": ("", "[point, (polarizations, columns, rows)]; BS antenna (p * columns + c) * rows + r"),
    "point": ("", "[drop], which of the header's points"),
    "line_of_sight": ("", "[drop, user]"),
    "position_user_m": ("m", "[drop, user, (x, y, z)]; the base station stands at the origin of x and y"),
}


@dataclass(frozen=True)
class Export:
    """What to write.

    :param num_drops: of each channel point (each training condition).
    :param split: ``test``: the drops of a run; ``training``: those of training.
    :param layout: ``linksim`` or ``llm4cp`` (a folder of .mat files).
    :param with_rays: store the rays too.
    """

    num_drops: int
    split: str = "test"
    layout: str = "linksim"
    with_rays: bool = True


def write_dataset(scenario: Scenario, out: Path, export: Export, device: str, console: Console,
                  overwrite: bool = False) -> list[Path]:
    """Write a file (a folder for llm4cp) and its manifest, each whole or not at all.

    :returns: what was written.
    :raises LinksimError: a suffix that is none, a file that is there, drops that fit no file.
    :raises StoreError: the disk is full or cannot be written.
    """
    place = Place(out, export.layout, overwrite)
    with Heartbeat(partial(say, console)), place.held(partial(say, console)):
        prepare_channels(scenario, console)
        torch.set_num_threads(scenario.run.threads_per_worker)
        channels, stream = _test_drops(scenario, export.num_drops, device) if export.split == "test" \
            else _training_drops(scenario, export.num_drops, device)
        axes = _axes(scenario, channels)
        points = [{axis: _value(channel, axis) for axis in axes} for channel in channels]
        keys = _write(scenario, place.temporary, export, channels[0], points, stream, console)
        manifest = _manifest(scenario, place, export, points, keys)
        place.install(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")
    return [place.out, place.manifest]


Chunk = tuple[int, Drops, int]
"""Number of its channel, drops, how many of them are wanted."""


def _test_drops(scenario: Scenario, num_drops: int, device: str) -> tuple[list[Channel], Iterator[Chunk]]:
    """The drops of a run, chunk by chunk with the seeds of its units; the last chunk is cut."""
    plan, size = make_plan(scenario), scenario.run.chunk_size
    channels = [point.points[0][1].channel for point in plan.channel_points]
    if num_drops % size and source_of(channels[0]).num_drops(channels[0]) is not None:
        size = 1  # stored drops are the same in chunks of any size, and the last ones may not fill one

    def drawn() -> Iterator[Chunk]:
        for index, point in enumerate(plan.channel_points):
            for chunk, first in enumerate(range(0, num_drops, size)):
                seed = unit_seed(scenario, point, chunk)
                yield index, chunk_of_drops(channels[index], size, seed, chunk, device), min(size, num_drops - first)

    return channels, drawn()


def _training_drops(scenario: Scenario, num_drops: int, device: str) -> tuple[list[Channel], Iterator[Chunk]]:
    """The drops of training in its own order, ``num_drops`` times as many as there are conditions."""
    conditions = training_conditions(scenario)
    channels = list(dict.fromkeys(channel for channel, _ in conditions))
    total = num_drops * len(conditions)

    def drawn() -> Iterator[Chunk]:
        for chunk, first in enumerate(range(0, total, CHUNK)):
            number, validation = condition_of(chunk, len(conditions))
            channel, _ = conditions[number]
            drops = chunk_of_drops(channel, CHUNK, training_seed(scenario, channel, chunk), chunk, device,
                                   "validation" if validation else "training")
            yield channels.index(channel), drops, min(CHUNK, total - first)

    return channels, drawn()


def _write(scenario: Scenario, temporary: Path, export: Export, channel: Channel, points: list[dict[str, Any]],
           stream: Iterator[Chunk], console: Console) -> dict[str, Key]:
    axes = list(points[0])
    writer: Llm4cpWriter | LinksimWriter
    if export.layout == "llm4cp":
        temporary.mkdir()
        writer = Llm4cpWriter(temporary, {"test": "test", "training": "train"}[export.split], len(points),
                                   export.num_drops)
    else:
        drawn = channel.model_dump(mode="json", exclude=NOT_DRAWN | {"ray_traced"})
        unsaid = [] if channel.knows_speed else ["speed_kmh"]
        about = FileHeader(split=export.split, seed=_seed(scenario, export), chunk_size=_chunk_size(scenario, export),
                           channel=_without(drawn, axes + unsaid), points=points, keys={}, **_origin(channel))
        writer = LinksimWriter(make_writer(temporary, temporary.suffix, export.num_drops * len(points)), about, axes,
                               export.with_rays)
    progress = _Progress(console, export.num_drops * len(points))
    try:
        for point, drops, count in awaited("drawing drops", stream):
            drops = _cut(drops, count)
            writer.append(point, drops, _uplink_future(drops, export))
            progress.advance(count)
        with doing("writing the file"):
            return writer.close()
    except BaseException:
        writer.abandon()
        raise


def _origin(channel: Channel) -> dict[str, Any]:
    """The section that says how channels came about, where their own fields do not: the scene of ray-traced ones."""
    own = channel.source_section
    return {} if own is None or own in NOT_DRAWN else {own: getattr(channel, own).model_dump(mode="json")}


def _uplink_future(drops: Drops, export: Export) -> torch.Tensor | None:
    """The uplink at the future's times, where it is neither the future itself nor computable from stored rays."""
    if torch.equal(drops.future.frequency_hz, drops.history.frequency_hz):
        return None
    if isinstance(drops, DropsWithoutRays):
        return None if drops.uplink_future is None else drops.uplink_future.h
    if export.layout == "linksim" and export.with_rays:
        return None
    return drops.response(drops.future.time_s).h


def _cut(drops: Drops, count: int) -> Drops:
    if count == len(drops.history.h):
        return drops

    def cut(csi: Any) -> Any:
        return replace(csi, h=csi.h[:count], noise_variance=csi.noise_variance[:count],
                       max_doppler_hz=csi.max_doppler_hz[:count])

    changes: dict[str, Any] = {"history": cut(drops.history), "future": cut(drops.future)}
    if drops.uplink_rays is not None:
        uplink = drops.uplink_rays.drops(slice(count))
        same = drops.downlink_rays is drops.uplink_rays
        changes |= {"uplink_rays": uplink, "downlink_rays": uplink if same else drops.downlink_rays.drops(slice(count))}
    elif drops.uplink_future is not None:
        changes["uplink_future"] = cut(drops.uplink_future)
    return replace(drops, **changes)


def _axes(scenario: Scenario, channels: list[Channel]) -> list[str]:
    """Channel fields that differ between the channels: those swept, and the training speeds."""
    swept = [key.removeprefix("channel.") for key in scenario.sweep if key.startswith("channel.")]
    flats = [dict(flat(channel.model_dump(mode="json", exclude=NOT_DRAWN))) for channel in channels]
    differing = [key for key in flats[0] if len({flatted[key] for flatted in flats}) > 1]
    return list(dict.fromkeys([*(key for key in swept if key in flats[0]), *differing]))


def _value(channel: Channel, key: str) -> Any:
    return dict(flat(channel.model_dump(mode="json", exclude=NOT_DRAWN)))[key]


def _without(section: dict[str, Any], axes: list[str]) -> dict[str, Any]:
    """A section without some fields, by dotted path."""
    kept = {}
    for key, value in section.items():
        below = [axis.partition(".")[2] for axis in axes if axis.startswith(f"{key}.")]
        if key not in axes:
            kept[key] = _without(value, below) if below else value
    return kept


def _seed(scenario: Scenario, export: Export) -> int:
    return scenario.seed if export.split == "test" else scenario.training.seed


def _chunk_size(scenario: Scenario, export: Export) -> int:
    return scenario.run.chunk_size if export.split == "test" else CHUNK


def _manifest(scenario: Scenario, place: Place, export: Export, points: list[dict[str, Any]], keys: dict[str, Key]
              ) -> dict[str, Any]:
    written, name = place.temporary, place.out.name
    stat = written.stat()
    about = {"name": name, "size": stat.st_size, "mtime_ns": stat.st_mtime_ns}
    files = {file.name: file_digest(file) for file in sorted(written.iterdir())} if written.is_dir() else None
    return {
        "file": {"name": name, "files": files} if files else {**about, "sha256": file_digest(written)},
        "split": export.split, "layout": export.layout, "seed": _seed(scenario, export),
        "chunk_size": _chunk_size(scenario, export), "num_drops_per_point": export.num_drops, "points": points,
        "keys": {name: _described(name, key) for name, key in keys.items()},
        "versions": versions(), "scenario": scenario.model_dump(mode="json"),
    }


def _described(name: str, key: Key) -> dict[str, Any]:
    if name.startswith("swept/"):
        unit, meaning = "", "[drop], value of the swept field of that name"
    elif "rays/" in name:
        unit, meaning = "", f"linksim.channel.rays.Rays.{name.partition('/')[2]}"
    elif name.startswith("H_"):
        unit, meaning = "", "[point, drop and user, time, subcarrier, column, row, polarization]"
    else:
        unit, meaning = _MEANINGS.get(name) or _MEANINGS[name.rpartition("/")[2]]
    return {"shape": key.shape, "dtype": key.dtype, "unit": unit, "meaning": meaning}


class _Progress:
    """A line for every tenth of the drops; one line rewritten on a terminal."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._done = console, total, 0
        self._began = time.monotonic()

    def advance(self, count: int) -> None:
        tenths = self._done * 10 // self._total
        self._done += count
        if self._console.is_terminal or self._done * 10 // self._total > tenths:
            rate = self._done / max(time.monotonic() - self._began, 1e-9)
            left = (self._total - self._done) / rate
            end = "\r" if self._console.is_terminal and self._done < self._total else "\n"
            say(self._console, f"{self._done}/{self._total} drops   {rate:.1f} drops/s   about {left:.0f} s left ",
                end=end)
