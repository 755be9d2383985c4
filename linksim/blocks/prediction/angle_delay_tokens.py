"""Angle-delay tokens: what a classical estimate knows of every beam and delay, for a network that improves on it.

Sparse Bayesian learning describes a history by the powers of plane waves (see `plane_waves`). A row is what it has
found in one beam at one delay: a Doppler spectrum, and for each of its waves what was seen over what the powers let
expect. A network reads all rows, the strongest of them together as tokens, and says by how much each power is to
change; the conditional mean of the channel under the new powers is the prediction. With the network's last layers zero
that is classical sparse Bayesian learning: the classical estimate is the path around everything.

What a row is told is phase-aligned by construction: whitened and matched to its own plane waves, it has powers and no
phases, so that a channel turned by any phase is the same to the network.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch

from linksim.blocks.prediction.band import bandwidth_hz
from linksim.blocks.prediction.learned import LearnedPredictor, ProblemShape, TrainingBatch, normalized_errors
from linksim.blocks.prediction.plane_waves import (
    DELAY_UNCERTAINTY_S,
    Evidence,
    PlaneWaves,
    by_size,
    fading_between_bands,
    from_beams,
    predict_by_waves,
    with_doppler,
)
from linksim.blocks.prediction.wave_evidence import (
    PowerUpdate,
    changed,
    largest_doppler_hz,
    level,
    log_ratio,
    of_each_wave,
)
from linksim.blocks.prediction.wave_grid import DopplerCells, GridSize
from linksim.core.csi import Csi, Panel
from linksim.core.types import Iterations, NonNegativeInt, PositiveInt

_DOPPLERS = 16
"""A row's Doppler spectrum is read and changed in so many parts; a finer grid is resampled."""

_OF_WAVES, _OF_ROW = 10, 13

NUM_FEATURES = _DOPPLERS * _OF_WAVES + _OF_ROW
"""Of a row."""


@dataclass(frozen=True)
class WaveState:
    """How far classical learning has come with some users' plane waves; no weight has come in yet.

    :param waves: with the powers that it has come to in the place of the first ones.
    :param evidence: under these powers.
    """

    waves: PlaneWaves
    evidence: Evidence

    @property
    def power(self) -> torch.Tensor:
        """``[user, beam, doppler, delay]``."""
        return self.waves.first_power

    def each(self, function: Any) -> WaveState:
        """A function of all tensors that have a user dimension."""
        return _mapped(self, function)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All of it by name."""
        return _named(self)

    @classmethod
    def of_tensors(cls, tensors: dict[str, torch.Tensor]) -> WaveState:
        """The inverse of `tensors`."""
        def under(prefix: str) -> dict[str, Any]:
            own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            return {name: value if value.ndim else value.item() for name, value in own.items() if "." not in name}

        waves = PlaneWaves(**under("waves."), doppler=DopplerCells(**under("waves.doppler.")))
        return cls(waves, Evidence(**under("evidence.")))

    def split(self) -> list[WaveState]:
        """One user each."""
        return [self.each(lambda x, user=user: x[user:user + 1].clone()) for user in range(len(self.power))]

    @property
    def kind(self) -> tuple:
        """Users of the same kind can be joined."""
        shapes: list[Any] = [self.waves.doppler.turn_hz, self.waves.doppler.origin_s]
        self.each(lambda x: (shapes.append((x.dtype, x.shape[1:])), x)[1])
        return tuple(shapes)

    @staticmethod
    def joined(states: list[WaveState]) -> WaveState:
        """Users of one kind."""
        others = [iter(_tensors(state)) for state in states]
        return states[0].each(lambda _: torch.cat([next(other) for other in others]))


def _mapped(value: Any, function: Any) -> Any:
    """A dataclass with a function of its tensors, in their order."""
    changes = {}
    for field in fields(value):
        part = getattr(value, field.name)
        if isinstance(part, torch.Tensor):
            changes[field.name] = function(part)
        elif hasattr(part, "__dataclass_fields__"):
            changes[field.name] = _mapped(part, function)
    return replace(value, **changes)


def _named(value: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """Tensors and numbers in a dataclass and those within it; what is None is left out."""
    found: dict[str, torch.Tensor] = {}
    for field in fields(value):
        part, name = getattr(value, field.name), prefix + field.name
        if hasattr(part, "__dataclass_fields__"):
            found |= _named(part, f"{name}.")
        elif part is not None:
            found[name] = part if isinstance(part, torch.Tensor) else torch.tensor(part, dtype=torch.float64)
    return found


def _tensors(state: WaveState) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    state.each(lambda x: (found.append(x), x)[1])
    return found


def row_features(state: WaveState, panel: Panel, band_hz: float) -> torch.Tensor:
    """What a network is told of each row.

    Of 16 parts of its Doppler spectrum: seven logarithms of what was seen over what was expected (`of_each_wave`), how
    well determined the wave is, its power and all beams' over the noise. Of the row: what was seen over what was
    expected, its power, its beam's and its delay's, the noise, the largest Doppler shift; its beam's place in the panel
    and its delay, and how far the next delays are that the user's grid has.

    :param band_hz: bandwidth of the history; delays are told in cells that it resolves.
    :returns: ``[user, beam, delay, NUM_FEATURES]``.
    """
    waves, power = state.waves, state.power
    seen, expected = state.evidence.seen * power, state.evidence.expected * power
    noise = waves.noise[:, None, None, None]
    crowd = power.shape[2] / _DOPPLERS  # a finer grid holds less in a cell
    of_waves = [*of_each_wave(power, state.evidence, panel), level(crowd * expected) / 3,
                level(crowd * power / noise) / 5, level(crowd * power.sum(1, True) / noise) / 5]
    spectra = [resampled(part.expand_as(power).transpose(2, 3), _DOPPLERS) for part in of_waves]
    users, beams, _, delays = power.shape
    delay = waves.delay_s * band_hz
    gap = torch.nn.functional.pad(delay.diff(dim=-1), (1, 1), value=2.0).clamp_max(2.0)
    beam = torch.arange(beams, device=power.device)
    turns = [2 * math.pi * (beam // panel.rows) / panel.columns, 2 * math.pi * (beam % panel.rows) / panel.rows]
    of_rows = [
        log_ratio(seen.sum(2), expected.sum(2)),
        level(power.sum(2) / noise[:, 0]) / 5,
        level(power.sum((2, 3)) / waves.noise[:, None])[..., None] / 5,
        level(power.sum((1, 2)) / waves.noise[:, None])[:, None] / 5,
        (waves.noise.log() / 3 + 1)[:, None, None],
        (largest_doppler_hz(waves) / 100 + 0.1).log()[:, None, None],
        *(function(turn)[None, :, None] for turn in turns for function in (torch.sin, torch.cos)),
        delay[:, None] / 10, gap[:, None, :-1], gap[:, None, 1:],
    ]
    rows = [part.to(power.dtype).expand(users, beams, delays)[..., None] for part in of_rows]
    return torch.cat([*spectra, *rows], -1)


def resampled(spectrum: torch.Tensor, size: int) -> torch.Tensor:
    """A Doppler spectrum's parts as another number of them, linear between their middles: ``[..., size]``."""
    if spectrum.shape[-1] == size:
        return spectrum
    return torch.nn.functional.interpolate(spectrum.flatten(0, -2)[:, None], size, mode="linear", align_corners=False
                                           )[:, 0].unflatten(0, spectrum.shape[:-1])


class AngleDelayNetwork(torch.nn.Module):
    """From all rows to a change of every power.

    Each row is read by itself; the strongest are mixed as tokens, in the order of their powers; each row says its
    change by itself.

    :param mixer: maps ``[user, token, width]`` to what is added to it, and to what else it has to say in training.
    """

    def __init__(self, mixer: torch.nn.Module, num_tokens: int, width: int) -> None:
        super().__init__()
        self.mixer = mixer
        self.num_tokens = num_tokens
        self.embedding = torch.nn.Linear(NUM_FEATURES, width)
        self.alone = torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, width), torch.nn.GELU(),
                                         torch.nn.Linear(width, width))
        self.output = torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, width), torch.nn.GELU(),
                                          torch.nn.Linear(width, _DOPPLERS))
        torch.nn.init.zeros_(self.output[-1].weight)
        torch.nn.init.zeros_(self.output[-1].bias)

    def tokens(self, state: WaveState, panel: Panel, band_hz: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """All rows as vectors, the strongest of them, and which these are.

        :returns: ``[user, row, width]``, ``[user, token, width]`` and ``[user, token]``.
        """
        rows = self.embedding(row_features(state, panel, band_hz)).flatten(1, 2)
        rows = rows + self.alone(rows)
        strength = state.power.sum(2).flatten(1)
        index = strength.topk(min(self.num_tokens, strength.shape[1]), -1).indices
        return rows, rows.take_along_dim(index[..., None], 1), index

    def change(self, state: WaveState, rows: torch.Tensor, mixed: torch.Tensor, index: torch.Tensor, panel: Panel
               ) -> torch.Tensor:
        """New powers, ``[user, beam, doppler, delay]``.

        :param mixed: what the mixer makes of the tokens; the others as of `tokens`.
        """
        rows = rows.scatter_add(1, index[..., None].expand_as(mixed), mixed.to(rows.dtype))
        _, beams, dopplers, delays = state.power.shape
        change = resampled(self.output(rows).float().unflatten(1, (beams, delays)), dopplers).transpose(2, 3)
        return changed(state.power, of_each_wave(state.power, state.evidence, panel)[0] + change)


class AngleDelayPredictor(LearnedPredictor):
    """Classical sparse Bayesian learning, a network's change of the powers, and learned steps like the unfolded form's.

    :param num_iterations: classical ones before.
    :param num_steps: learned steps for each wave after the network's change.
    :param num_tokens: rows that are mixed.
    :param width: of the vector of a row.
    :param hidden_size: of each step's network.
    :param doppler: maximum Doppler shift "known" (the terminal's speed) or "estimated" from the history.
    """

    any_history = True
    version = 2  # 1 had one learned step

    def __init__(self, num_iterations: Iterations = 2, num_steps: NonNegativeInt = 3, num_tokens: PositiveInt = 64,
                 width: PositiveInt = 128, hidden_size: PositiveInt = 32,
                 doppler: Literal["known", "estimated"] = "known", size: GridSize = GridSize()) -> None:
        super().__init__()
        self.num_iterations, self.num_steps = num_iterations, num_steps
        self.num_tokens, self.width, self.hidden_size = num_tokens, width, hidden_size
        self.doppler: Literal["known", "estimated"] = doppler
        self.size = size

    @abstractmethod
    def make_mixer(self) -> torch.nn.Module:
        """What mixes the tokens, untrained."""

    def prepare(self, shape: ProblemShape) -> None:
        self.network = AngleDelayNetwork(self.make_mixer(), self.num_tokens, self.width)
        self.steps = torch.nn.ModuleList(
            PowerUpdate(self.hidden_size, self.size.num_dopplers) for _ in range(self.num_steps))
        self.log_noise_factor = torch.nn.Parameter(torch.zeros(self.num_steps + 1))
        self.log_delay_uncertainty_s = torch.nn.Parameter(torch.tensor(math.log(DELAY_UNCERTAINTY_S)))

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        band_hz = _band_hz(history)

        def estimate(waves: PlaneWaves) -> tuple[torch.Tensor, torch.Tensor]:
            return self._powers(self._classical(waves, history.panel), history.panel, band_hz)[:2]

        return predict_by_waves(history, time_s, frequency_hz, self.size, self.doppler, estimate,
                                self.log_delay_uncertainty_s.exp())

    def prepared(self, batch: TrainingBatch) -> list[list[tuple[int, WaveState]]]:
        """What classical learning makes of each drop's users before a weight comes in."""
        history = with_doppler(batch.history, self.doppler)
        users = history.h.shape[1]
        found: list[list[tuple[int, WaveState]]] = [[] for _ in range(len(history.h))]
        for index, waves in by_size(history, self.size, batch.future.time_s.double()):
            for place, state in zip(index.tolist(), self._classical(waves, history.panel).split()):
                found[place // users].append((place % users, state))
        return found

    def prepared_options(self) -> dict[str, Any]:
        return {"num_iterations": self.num_iterations, "doppler": self.doppler, "size": self.size.model_dump()}

    def packed(self, prepared: list[list[tuple[int, WaveState]]]) -> dict[str, torch.Tensor]:
        """What `prepared` made, by names that say drop and user."""
        return {"num_drops": torch.tensor(len(prepared))} | {
            f"{drop}.{user}.{name}": value for drop, states in enumerate(prepared) for user, state in states
            for name, value in state.tensors().items()}

    def unpacked(self, tensors: dict[str, torch.Tensor]) -> list[list[tuple[int, WaveState]]]:
        """The inverse of `packed`."""
        found: list[list[tuple[int, WaveState]]] = [[] for _ in range(int(tensors["num_drops"]))]
        by_user: dict[tuple[int, int], dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            if key != "num_drops":
                drop, user, name = key.split(".", 2)
                by_user.setdefault((int(drop), int(user)), {})[name] = value
        for (drop, user), parts in sorted(by_user.items()):
            found[drop].append((user, WaveState.of_tensors(parts)))
        return found

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        """The logarithm of each user's NMSE, so that hard users do not outweigh the others, and `extra_loss`."""
        errors, extra = self._errors(batch)
        return errors.clamp_min(1e-9).log().mean() + extra

    def validation_errors(self, batch: TrainingBatch) -> torch.Tensor:
        return self._errors(batch)[0].mean(-1)

    def extra_loss(self, state: WaveState, said: Any, panel: Panel, band_hz: float) -> torch.Tensor | float:
        """What else is minimised, mean over users.

        :param said: by the mixer, beside what it makes of the tokens.
        """
        return 0.0

    def _errors(self, batch: TrainingBatch) -> tuple[torch.Tensor, torch.Tensor | float]:
        """NMSE of each user, ``[batch, user]``, and the extra loss.

        Every user's learned powers are believed, also where `predict` would hold parts of a history out first.
        """
        history, future = batch.history, batch.future
        users = history.h.shape[1]
        by_kind: dict[tuple, list[tuple[int, WaveState]]] = {}
        for drop, states in enumerate(batch.prepared or self.prepared(batch)):
            for user, state in states:
                by_kind.setdefault(state.kind, []).append((drop * users + user, state))
        target_hz = future.frequency_hz.double() - history.frequency_hz[0].double()
        fading = fading_between_bands(history, future.frequency_hz, self.log_delay_uncertainty_s.exp())
        truth, band_hz, panel = future.h.flatten(0, 1), _band_hz(history), history.panel
        errors, places = [], []
        extra: torch.Tensor | float = 0.0
        for members in by_kind.values():
            state = WaveState.joined([state for _, state in members])
            index = torch.tensor([place for place, _ in members], device=truth.device)
            *powers, said = self._powers(state, panel, band_hz)
            h = from_beams(state.waves.predict(*powers, future.time_s.double(), target_hz), panel, history.h.shape[2])
            errors.append(normalized_errors((h * fading)[:, None], truth[index][:, None])[:, 0])
            places.append(index)
            if self.training:
                extra = extra + len(members) / len(truth) * self.extra_loss(state, said, panel, band_hz)
        return torch.cat(errors)[torch.cat(places).argsort()].unflatten(0, (-1, users)), extra

    def _classical(self, waves: PlaneWaves, panel: Panel) -> WaveState:
        """Iterations as those of `sparse_bayesian`."""
        with torch.no_grad():
            power = waves.first_power
            evidence = waves.evidence(power, waves.noise)
            for _ in range(self.num_iterations):
                power = changed(power, of_each_wave(power, evidence, panel)[0])
                evidence = waves.evidence(power, waves.noise)
        return WaveState(replace(waves, first_power=power), evidence)

    def _powers(self, state: WaveState, panel: Panel, band_hz: float) -> tuple[torch.Tensor, torch.Tensor, Any]:
        """New powers, the noise that they go with, and what the mixer says."""
        rows, tokens, index = self.network.tokens(state, panel, band_hz)
        mixed, said = self.network.mixer(tokens)
        power = self.network.change(state, rows, mixed, index, panel)
        noise = self.log_noise_factor.exp()[:, None] * state.waves.noise
        for step, assumed in zip(self.steps, noise, strict=False):
            power = step(power, state.waves.evidence(power, assumed), state.waves, panel)
        return power, noise[-1], said


def _band_hz(history: Csi) -> float:
    return float(bandwidth_hz(history.frequency_hz)) if len(history.frequency_hz) > 1 else 0.0
