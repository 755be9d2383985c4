"""Encoders of channel (CFENN) and environment (EPNN) to vectors, aligned: what AI2MMUM stands on."""

from __future__ import annotations

import math

import torch

from linksim.blocks.universal.base import (
    ChannelView,
    EnvironmentView,
    LearnedUniversalBlock,
    Truth,
    UniversalShape,
    View,
)
from linksim.blocks.universal.tasks import TASKS
from linksim.channel.ray_traced.maps import BEHIND_M, CELL_M, CELLS
from linksim.core.registry import register
from linksim.core.types import NonNegativeFloat, PositiveInt
from linksim.mimo.angle_delay import line_to_angle_delay
from linksim.mimo.precoding import band_precoder

_CHANNELS = (24, 48, 96, 128)
_HIDDEN = 512
_DROPOUT = 0.3
_GAIN_DB = (-100.0, 15.0)
_FLOOR_DB = -40.0


class ChannelEncoder(torch.nn.Module):
    """What tells a place, and what tells a precoder: ``[sample, num_features]``.

    Convolutions look at magnitudes over beams and delays: phases between paths turn within a wavelength and tell no
    place, so a network that sees them learns terminals by heart. They are what a precoder is made of, though: the
    dominant eigenvectors over the band, one for each stream, go past the convolutions, over their beams. Amplitudes are
    relative to the terminal's own; its received power goes in beside.

    Source: CFENN of AI2MMUM, Section II-A, whose layers the paper leaves open.
    """

    def __init__(self, shape: UniversalShape, num_features: int = 128) -> None:
        super().__init__()
        self.panel, self.num_streams = shape.panel, shape.num_streams
        beams, delays = shape.panel.columns * shape.panel.rows, shape.num_subcarriers
        inputs = 2 * shape.num_ue_antennas * shape.panel.polarizations + 2
        layers: list[torch.nn.Module] = []
        for outputs in _CHANNELS:
            size, stride = (3, (2, 2)) if layers else (5, (1, 2))
            layers += [torch.nn.Conv2d(inputs, outputs, size, stride, size // 2), torch.nn.GroupNorm(8, outputs),
                       torch.nn.GELU()]
            inputs, beams, delays = outputs, -(-beams // stride[0]), -(-delays // stride[1])
        self.layers = torch.nn.Sequential(*layers)
        self.out = torch.nn.Sequential(
            torch.nn.Dropout(_DROPOUT), torch.nn.Linear(inputs * beams * delays + 1, _HIDDEN), torch.nn.GELU(),
            torch.nn.Dropout(_DROPOUT), torch.nn.Linear(_HIDDEN, num_features))
        self.past = torch.nn.Linear(2 * shape.panel.num_antennas * shape.num_streams, num_features)

    def forward(self, view: ChannelView) -> torch.Tensor:
        gain = (view.gain_db - _GAIN_DB[0]) / _GAIN_DB[1]
        seen = self.layers(angle_delay_picture(view.h, self.panel.polarizations))
        past = self.past(eigenbeams(view.h, self.num_streams))
        return self.out(torch.cat([seen.flatten(1), gain[:, None]], 1)) + past


def angle_delay_picture(h: torch.Tensor, polarizations: int = 1) -> torch.Tensor:
    """Where power comes from and when, ``[sample, picture, beam, delay]``: the magnitude, and the power in dB, of each
    antenna and polarisation relative to the strongest cell, then where each cell lies.

    :param h: ``[sample, ue_ant, bs_ant, subcarrier]``; beams are those of all antennas of a polarisation in a line,
        exact for a single row or column.
    """
    cells = line_to_angle_delay(h, polarizations).flatten(1, 2)
    power = cells.abs().square()
    largest = power.flatten(1).amax(1).clamp_min(torch.finfo(power.dtype).tiny)[:, None, None, None]
    share = power / largest
    level = (10 * share.clamp_min(10 ** (_FLOOR_DB / 10)).log10() - _FLOOR_DB) / -_FLOOR_DB
    beam, delay = (torch.linspace(-1, 1, size, device=h.device) for size in cells.shape[-2:])
    where = torch.stack([beam[:, None].expand(cells.shape[-2:]), delay.expand(cells.shape[-2:])])
    return torch.cat([share.sqrt(), level, where.expand(len(h), -1, -1, -1)], 1)


def eigenbeams(h: torch.Tensor, num_streams: int = 1) -> torch.Tensor:
    """The precoder of the whole band over beams, each column turned so that its strongest beam is real:
    ``[sample, 2 bs_ant stream]``, of mean square one.

    :param h: ``[sample, ue_ant, bs_ant, subcarrier]``.
    """
    beams = torch.fft.ifft(band_precoder(h, num_streams), dim=1, norm="ortho")
    strongest = beams.gather(1, beams.abs().argmax(1, keepdim=True))
    beams = beams * (strongest.conj() / strongest.abs()) * h.shape[2] ** 0.5
    return torch.view_as_real(beams.resolve_conj()).flatten(1) * 2**0.5


_SCALE_M = 30.0
"""Scale of heights."""
_PROFILE = 64
_WINDOW, _WINDOW_CELL_M = 32, 6.0
_WAVES = 8
_FARTHEST_M = 512.0
_TERMINAL_M = 1.5
_JITTER_M = 0.5
"""By which positions are shifted in training: terminals are not learned by heart."""


class EnvironmentEncoder(torch.nn.Module):
    """Three looks at the map, and the coordinates: ``[sample, num_features]``.

    What stands in the way: heights along the line from the base station to the terminal, and how far above them the
    line passes. What stands around: the surroundings of the terminal, turned so that the base station lies to the left
    of the picture. Where it is: offsets, and the direction as a line of antennas sees it, in waves of several lengths.

    Source: EPNN of AI2MMUM, Section II-A, whose layers the paper leaves open.
    """

    def __init__(self, num_features: int = 128) -> None:
        super().__init__()
        self.profile = torch.nn.Sequential(
            torch.nn.Conv1d(3, 32, 5, 2, 2), torch.nn.GELU(), torch.nn.Conv1d(32, 64, 5, 2, 2), torch.nn.GELU(),
            torch.nn.Conv1d(64, 64, 5, 2, 2), torch.nn.GELU(), torch.nn.Flatten())
        self.surroundings = torch.nn.Sequential(
            torch.nn.Conv2d(3, 24, 3, 2, 1), torch.nn.GELU(), torch.nn.Conv2d(24, 48, 3, 2, 1), torch.nn.GELU(),
            torch.nn.Conv2d(48, 64, 3, 2, 1), torch.nn.GELU(), torch.nn.Flatten())
        self.whole = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, 2, 1), torch.nn.GELU(), torch.nn.Conv2d(16, 32, 3, 2, 1), torch.nn.GELU(),
            torch.nn.Conv2d(32, 48, 3, 2, 1), torch.nn.GELU(), torch.nn.Conv2d(48, 48, 3, 2, 1), torch.nn.GELU(),
            torch.nn.Flatten())
        self.register_buffer("waves", math.pi / _FARTHEST_M * 2.0 ** torch.arange(_WAVES), persistent=False)
        inputs = 64 * _PROFILE // 8 + 64 * (_WINDOW // 8) ** 2 + 48 * (CELLS // 32) ** 2 + 6 * _WAVES + 4
        self.out = torch.nn.Sequential(
            torch.nn.Linear(inputs, 4 * num_features), torch.nn.GELU(),
            torch.nn.Linear(4 * num_features, 2 * num_features), torch.nn.GELU(),
            torch.nn.Linear(2 * num_features, num_features))

    def forward(self, view: EnvironmentView) -> torch.Tensor:
        place, height = view.offset_m, view.bs_height_m
        if self.training:
            shift = _JITTER_M * torch.randn_like(place[:, :2])
            place = torch.cat([place[:, :2] + shift, place[:, 2:]], 1)
        maps = view.maps[view.height_map][:, None] / _SCALE_M
        return self.out(torch.cat([
            self.profile(_profile(maps, place, height)), self.surroundings(_surroundings(maps, place, height)),
            self.whole(_whole(maps, place)), self._coordinates(place, height)], 1))

    def _coordinates(self, place: torch.Tensor, height: torch.Tensor) -> torch.Tensor:
        phase = place[:, :2, None] * self.waves
        distance = place[:, :2].norm(dim=1)
        sideways = place[:, 1] / place.norm(dim=1).clamp_min(1)
        turns = math.pi * sideways[:, None] * 2.0 ** torch.arange(_WAVES, device=place.device)
        plain = torch.stack([distance / 100, distance.clamp_min(1).log10() - 2, torch.atan2(place[:, 1], place[:, 0]),
                             height / _SCALE_M], 1)
        return torch.cat([phase.sin().flatten(1), phase.cos().flatten(1), turns.sin(), turns.cos(), plain], 1)


def _sampled(maps: torch.Tensor, ahead: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """Maps at places, ``[sample, 1, *place]``; nothing stands outside of them.

    :param maps: ``[sample, 1, row, column]``.
    :param ahead: metres, ``[sample, row, column]``; ``left`` likewise.
    """
    column = 2 * (ahead + BEHIND_M) / (CELLS * CELL_M) - 1
    row = 2 * left / (CELLS * CELL_M)
    return torch.nn.functional.grid_sample(maps, torch.stack([column, row], -1), align_corners=False)


def _profile(maps: torch.Tensor, place: torch.Tensor, height: torch.Tensor) -> torch.Tensor:
    """Heights, the line's height above them and the distance along the way, ``[sample, 3, _PROFILE]``."""
    share = (torch.arange(_PROFILE, device=maps.device) + 0.5) / _PROFILE
    along = place[:, :2, None] * share
    ground = _sampled(maps, along[:, None, 0], along[:, None, 1])[:, :, 0]
    line = (height[:, None] * (1 - share) + _TERMINAL_M * share)[:, None] / _SCALE_M
    distance = (place[:, :2].norm(dim=1)[:, None] * share)[:, None] / 100
    return torch.cat([ground, line - ground, distance], 1)


def _surroundings(maps: torch.Tensor, place: torch.Tensor, height: torch.Tensor) -> torch.Tensor:
    """Heights around the terminal, above the line of sight, and how far ahead it is, ``[sample, 3, row, column]``."""
    line = (torch.arange(_WINDOW, device=maps.device) + 0.5 - _WINDOW / 2) * _WINDOW_CELL_M
    on, aside = line.expand(_WINDOW, -1), line[:, None].expand(-1, _WINDOW)
    distance = place[:, :2].norm(dim=1).clamp_min(1)
    cos, sin = (place[:, axis] / distance for axis in (0, 1))
    cos, sin = cos[:, None, None], sin[:, None, None]
    ahead = place[:, 0, None, None] + on * cos - aside * sin
    left = place[:, 1, None, None] + on * sin + aside * cos
    ground = _sampled(maps, ahead, left)
    slope = (height[:, None, None] - _TERMINAL_M) / distance[:, None, None]
    needed = ((_TERMINAL_M - slope * on) / _SCALE_M)[:, None]
    return torch.cat([ground, ground - needed, (ahead / 256)[:, None]], 1)


def _whole(maps: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    """The map at half its resolution, with marks where terminal and base station stand."""
    ground = torch.nn.functional.avg_pool2d(maps, 2)
    size = ground.shape[-1]
    line = (torch.arange(size, device=maps.device) + 0.5) * 2 * CELL_M
    ahead, left = line - BEHIND_M, line - CELLS * CELL_M / 2

    def mark(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        distance = (ahead - x[:, None]).square()[:, None] + (left - y[:, None]).square()[:, :, None]
        return (-distance / (2 * 12.0**2)).exp()[:, None]

    nought = torch.zeros_like(place[:, 0])
    return torch.cat([ground, mark(place[:, 0], place[:, 1]), mark(nought, nought)], 1)


_FIRST_TEMPERATURE = 0.07
_AT_ONCE = 25
"""Terminals that are told apart in validation: as many as a chunk has, so that it does not depend on the batch."""


@register("universal", "alignment", trains=True)
class Alignment(LearnedUniversalBlock):
    """EPNN and CFENN, trained so that a terminal's channel and its environment give the same vector.

    It answers no task itself. Contrastive pre-training: symmetric cross-entropy over the pairs of a batch. With
    `supervision` (ours) linear heads on the vectors must also answer the tasks of their views: what the other view
    cannot tell, such as the phases between paths, is not lost then.

    Source: AI2MMUM, Section II-A and Fig. 3; A. Radford et al., "Learning Transferable Visual Models From Natural
    Language Supervision", ICML 2021, Fig. 3 (the loss).

    :param num_features: of the vectors; the paper has 128.
    :param supervision: weight of the tasks' losses; 0 in the paper.
    """

    version = 2

    def __init__(self, num_features: PositiveInt = 128, supervision: NonNegativeFloat = 0.0) -> None:
        super().__init__()
        self.num_features, self.supervision = num_features, supervision

    def tasks(self) -> dict[str, str]:
        return {}

    def prepare(self, shape: UniversalShape) -> None:
        self.num_streams = shape.num_streams
        self.channel = ChannelEncoder(shape, self.num_features)
        self.environment = EnvironmentEncoder(self.num_features)
        self.log_temperature = torch.nn.Parameter(torch.tensor(_FIRST_TEMPERATURE).log())
        self.heads = torch.nn.ModuleDict({
            name: torch.nn.Linear(self.num_features, task.num_outputs(shape)) for name, task in TASKS.items()
        } if self.supervision else {})

    def answer(self, task: str, view: View) -> torch.Tensor:
        raise ValueError(f"alignment answers no task, so not {task!r}")

    def loss(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        features = self._features(views)
        scores = _cosines(features["channel"], features["environment"]) / self.log_temperature.exp()
        same = torch.arange(len(scores), device=scores.device)
        loss = sum(torch.nn.functional.cross_entropy(part, same) for part in (scores, scores.mT)) / 2
        for name, head in self.heads.items():
            told = head(features[TASKS[name].given])
            loss = loss + self.supervision * TASKS[name].loss(told, truth, num_streams=self.num_streams).mean()
        return loss

    def errors(self, views: dict[str, View], truth: Truth) -> torch.Tensor:
        """Share of the others that a terminal's environment is taken to be less like its channel than theirs; with
        supervision the tasks' mean error beside.
        """
        features = self._features(views)
        scores = _cosines(features["channel"], features["environment"])
        parts = []
        for part in torch.arange(len(scores), device=scores.device).split(_AT_ONCE):
            here = scores[part][:, part]
            parts.append((here > here.diagonal()[:, None]).float().sum(1) / max(len(part) - 1, 1))
        errors = torch.cat(parts)
        for name, head in self.heads.items():
            answer = TASKS[name].answer(head(features[TASKS[name].given]), self.num_streams)
            errors = errors + self.supervision * TASKS[name].error(answer, truth) / len(TASKS)
        return errors

    def _features(self, views: dict[str, View]) -> dict[str, torch.Tensor]:
        return {"channel": self.channel(views["channel"]), "environment": self.environment(views["environment"])}


def _cosines(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    normalize = torch.nn.functional.normalize
    return normalize(first, dim=1) @ normalize(second, dim=1).mT
