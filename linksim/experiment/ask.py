"""Ask a universal model about the terminals of a file of channels."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch

from linksim.blocks.parameters import fill
from linksim.blocks.universal.base import Truth, UniversalBlock, UniversalShape, truth_of, views_of
from linksim.blocks.universal.tasks import similarity, task_named
from linksim.channel.files.drops import stored_rays
from linksim.channel.files.linksim_layout import LinksimReader, open_linksim
from linksim.channel.source import source_of
from linksim.core import registry
from linksim.core.csi import Csi, Panel
from linksim.core.errors import LinksimError
from linksim.core.places import Places
from linksim.training.checkpoint import read_weights


def ask(folder: Path, instruction: str, channels: Path, num_drops: int) -> list[str]:
    """The model's answer for each of the first drops of a file, one line each, beside the truth.

    :param folder: of the checkpoint.
    :param instruction: names the task, which chooses the model's head.
    :param channels: ray-traced ones that `linksim dataset` wrote, with their rays.
    :raises LinksimError: an instruction that names no task, or one that the model does not answer; channels of another
        shape than the model's; not a checkpoint, or not such a file.
    """
    task = task_named(instruction)
    block, shape = _opened(folder)
    if task.name not in block.tasks():
        raise LinksimError(f"{folder}: {block.block_name} does not answer {task.keywords!r}, but "
                           + (", ".join(block.tasks()) or "no task"))
    csi, places = _read(open_linksim(channels), num_drops)
    _check_shape(csi, shape, folder, channels)
    with torch.inference_mode():
        view = views_of(csi, places)[block.tasks()[task.name]]
        answer, truth = block.answer(task.name, view), truth_of(csi, places)
    return [f"drop {number}: {line}" for number, line in enumerate(_lines(task.name, answer, truth))]


def _opened(folder: Path) -> tuple[UniversalBlock, UniversalShape]:
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        name, options, sizes = about["block"], about["options"], dict(about["shape"])
        shape = UniversalShape(**{**sizes, "panel": Panel(**sizes["panel"])})
        _check_sizes(shape)
        block = registry.create("universal", name, options)
        with torch.random.fork_rng([]):
            block.prepare(shape)
    except LinksimError as error:
        raise LinksimError(f"{folder / 'about.json'}: {error}") from None
    except (OSError, ArithmeticError, ValueError, TypeError, LookupError, AttributeError, RuntimeError,
            MemoryError) as error:
        raise LinksimError(f"{folder / 'about.json'}: not that of a universal model "
                           f"({type(error).__name__}: {error})") from None
    try:
        fill(block, read_weights(folder))
    except LinksimError as error:
        raise LinksimError(f"{folder}: {error}; delete the folder and train again") from None
    return block.eval(), shape


def _check_sizes(shape: UniversalShape) -> None:
    """:raises ValueError: sizes that no model was made for."""
    counts = {**vars(shape), **vars(shape.panel)}
    spacing = counts.pop("subcarrier_spacing_hz")
    del counts["panel"]
    wrong = {name: count for name, count in counts.items() if type(count) is not int or not 1 <= count <= _LARGEST}
    if type(spacing) not in (int, float) or not 0 < spacing < math.inf:
        wrong["subcarrier_spacing_hz"] = spacing
    if wrong:
        name, value = next(iter(wrong.items()))
        raise ValueError(f"shape.{name} is {str(value)[:50]}")


_LARGEST = 100_000


def _read(reader: LinksimReader, num_drops: int) -> tuple[Csi, Places]:
    samples, channel = reader.read(0, min(num_drops, reader.header.num_items)), reader.channel
    source = source_of(channel)
    if not source.has_places:
        raise LinksimError(f"{reader.header.title}: holds channels of source {channel.source_name}, whose terminals "
                           "stand nowhere: write it from a scenario with channel.source: ray_traced")
    rays, _ = stored_rays(samples, reader.header)
    if rays is None:
        raise LinksimError(f"{reader.header.title}: holds no rays, so not where terminals stand: write it without "
                           "--no-rays")
    array = channel.bs_array
    h = torch.from_numpy(samples.history)
    users = h.shape[:2]
    csi = Csi(h, torch.zeros(h.shape[-2]), torch.arange(h.shape[-1]) * channel.subcarrier_spacing_khz * 1e3,
              torch.zeros(users), Panel(array.rows, array.columns, 2 if array.polarization == "dual" else 1),
              torch.zeros(users))
    return csi, source.places(channel, rays)


def _check_shape(csi: Csi, shape: UniversalShape, folder: Path, channels: Path) -> None:
    spacing = float(csi.frequency_hz[-1]) / max(csi.h.shape[-1] - 1, 1) or shape.subcarrier_spacing_hz
    there = UniversalShape(csi.h.shape[2], csi.panel, csi.h.shape[-1], spacing)
    for name, what in (("num_ue_antennas", "antennas of a terminal"), ("panel", "antennas of the base station"),
                       ("num_subcarriers", "subcarriers"), ("subcarrier_spacing_hz", "Hz between subcarriers")):
        mine, given = getattr(shape, name), getattr(there, name)
        if mine != given:
            mine, given = (_panel_text(value) if isinstance(value, Panel) else f"{value:g}" for value in (mine, given))
            raise LinksimError(f"{channels}: {given} {what}, but the model in {folder} was made for {mine}")


def _panel_text(panel: Panel) -> str:
    return f"{panel.rows} x {panel.columns} x {panel.polarizations}"


def _lines(task: str, answer: torch.Tensor, truth: Truth) -> list[str]:
    if task == "position":
        return [f"{a[0]:.1f} m ahead of the base station, {a[1]:.1f} m to its left; it is at {t[0]:.1f}, {t[1]:.1f}"
                for a, t in zip(answer.tolist(), truth.position_m.tolist())]
    if task == "los":
        return [f"line of sight with probability {a:.2f}; it has {'one' if t else 'none'}"
                for a, t in zip(answer.tolist(), truth.line_of_sight.tolist())]
    if task == "precoding":
        return [f"a precoder whose SGCS with the best one is {s:.3f}"
                for s in similarity(answer, truth.precoder).tolist()]
    if task == "beam":
        return [f"beam {a}; the strongest is {t}" for a, t in zip(answer.argmax(1).tolist(), truth.beam.tolist())]
    return [f"{a:.1f} dB; it is {t:.1f} dB" for a, t in zip(answer.tolist(), truth.path_loss_db.tolist())]
