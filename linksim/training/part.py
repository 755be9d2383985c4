"""What learns: a block of a method, what its checkpoint depends on, what it learns from, how it is made and loaded."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from rich.console import Console

from linksim.blocks.parameters import fill
from linksim.channel.source import source_of
from linksim.core.errors import LinksimError, ScenarioError
from linksim.core.seeding import stream_seed
from linksim.scenario.identity import SCHEMA, chosen_options, training_fields, weights_digest
from linksim.scenario.resolved import LEARNING, LearningBlock, ResolvedMethod, ResolvedScenario
from linksim.scenario.training import WholeTraining
from linksim.training.checkpoint import checkpoint_folder, found_checkpoint, read_about, read_weights
from linksim.training.conditions import Condition
from linksim.training.data import TrainingDrops
from linksim.training.identity import contradictions, differences, digest

CLOSED_FORM_FIELDS = ("num_drops", "seed", "fraction", "csi_snr_db")
"""Fields of a training that decide a fit in closed form."""


@contextmanager
def named_method(name: str) -> Iterator[None]:
    """Faults within say which method they are of, unless they do already.

    :raises LinksimError: as raised within.
    """
    try:
        yield
    except LinksimError as error:
        raise type(error)(str(error) if "method " in str(error) else f"method {name!r}: {error}") from None


class Part(ABC):
    """A block of a method that learns something before a run. One class for each kind.

    :param scenario: with the sections and methods of a sweep point, and its sweeps over channels left in.
    :param method: its name may say the swept values.
    :param block: of the method; that of its `kind` by default.
    :param of: the method's name in the scenario, where it is another.
    :ivar kind: of the block, as in `linksim.core.registry.KINDS`.
    :ivar by_descent: the base class of those that are trained by gradient descent.
    """

    kind: ClassVar[str]
    by_descent: ClassVar[type]

    def __init__(self, scenario: ResolvedScenario, method: ResolvedMethod, block: LearningBlock | None = None,
                 of: str = "") -> None:
        self.scenario = scenario
        self.method = method
        self.of = of or method.name
        self.block: LearningBlock = block or getattr(method, self.kind)

    @property
    def name(self) -> str:
        """For messages."""
        return self.method.name

    @property
    def key(self) -> str:
        """Parts with the same key are the same block, trained the same way."""
        return self.block.key

    @property
    def is_own(self) -> bool:
        """Whether it is the method's block of its kind, not one that is loaded with that."""
        return getattr(self.method, self.kind) == self.block

    @property
    def training(self) -> WholeTraining:
        """How it is trained."""
        return self.block.training

    @cached_property
    def is_learned(self) -> bool:
        """By gradient descent, not in closed form."""
        made_by = self.block.made_by
        return isinstance(made_by, type) and issubclass(made_by, self.by_descent)

    @property
    def verb(self) -> str:
        """What is done to make it."""
        return "trained" if self.is_learned else "fitted"

    @cached_property
    def about(self) -> dict[str, Any]:
        """What its checkpoint depends on, as JSON can hold it: what differs from the defaults, beside sizes."""
        channel, _ = self.conditions[0]
        about = {
            "block": self.block.name, "kind": self.kind, "version": self.block.made_by.version, "schema": SCHEMA,
            "options": chosen_options(self.block),
            "training": training_fields(self.training, None if self.is_learned else CLOSED_FORM_FIELDS),
            **source_of(channel).training_identity(channel, self.scenario.written.plugins),
        }
        for key in ("teacher", "start_from"):
            if name := getattr(self.training, key):
                about[key] = self.other(name).reference()
        return json.loads(json.dumps({**about, **self._about()}))

    def reference(self) -> dict[str, str]:
        """How another part names this one: by what its checkpoint depends on, or, where named, by its content."""
        given = self.block.checkpoint
        return {"block": self.block.name, "checkpoint": weights_digest(given) if given else digest(self.about)}

    @property
    @abstractmethod
    def conditions(self) -> list[Condition]:
        """Channels that it is trained on, and how their histories are acquired."""

    @abstractmethod
    def _about(self) -> dict[str, Any]:
        """What else its checkpoint depends on."""

    @abstractmethod
    def drops(self, device: str) -> TrainingDrops:
        """What it learns from."""

    @abstractmethod
    def _new(self, folder: Path | None = None) -> Any:
        """The block in the scenario's sizes, its weights as they begin.

        :param folder: of a checkpoint that the file names, whose sizes it has.
        """

    def untrained(self, device: str = "cpu") -> Any:
        """The block before its training, with what teaches it (on ``device``) or what it starts from.

        :raises LinksimError: options that contradict each other or the sizes, a language model that is not to be had,
            or no checkpoint of the other part.
        """
        with torch.random.fork_rng([]):
            torch.manual_seed(stream_seed(self.training.weights_seed, "weights"))
            block = self._new()
        if self.training.start_from:
            block.load_state_dict(self.other(self.training.start_from).load().state_dict())
        if self.training.teacher:
            block.learn_from(self.other(self.training.teacher).load(device))
        return block

    def other(self, name: str) -> Part:
        """The part of the same kind of another method."""
        return type(self)(self.scenario, self.scenario.method(name))

    def needed_first(self) -> list[Part]:
        """What has to be made before this one is."""
        return [self.other(name) for name in (self.training.teacher, self.training.start_from) if name]

    def companions(self) -> list[Part]:
        """What is loaded with it."""
        return []

    def must_prepare(self) -> str:
        """What is made before a training, in words for the header; empty where nothing is."""
        return ""

    def prepare(self, console: Console) -> None:  # noqa: B027  nothing for most kinds
        """Make that."""

    def check(self) -> None:
        """Whether a training can begin, in the rules of its kind; everything is built once.

        :raises LinksimError: it cannot.
        """
        block = self._new()
        if self.training.teacher:
            if not hasattr(block, "learn_from"):
                raise ScenarioError(f"{self.kind} {block.block_name!r} cannot be taught: leave "
                                    f"{LEARNING[self.kind]}.teacher out")
            block.learn_from(self.other(self.training.teacher).as_it_is())

    @property
    def checkpoint(self) -> Path | None:
        """The folder of its checkpoint: the one that the file names, one's own, or a released one; None without."""
        return Path(self.block.checkpoint) if self.block.checkpoint else found_checkpoint(self.scenario, self.about)

    @property
    def folder(self) -> Path:
        """Where its own checkpoint is, or would be, kept."""
        return checkpoint_folder(self.scenario, self.about)

    @property
    def is_unmade(self) -> bool:
        """Whether it has to be trained or fitted first."""
        return bool(self.must_prepare()) or self.checkpoint is None

    def as_it_is(self) -> Any:
        """From its checkpoint if there is one, else untrained; in evaluation mode."""
        return self._new().eval() if self.checkpoint is None else self.load()

    def load(self, device: str = "cpu") -> Any:
        """From its checkpoint, in evaluation mode.

        :raises LinksimError: no matching checkpoint (a worker on a machine that does not share the folder), or a
            damaged one.
        """
        folder = self.checkpoint or self.folder
        state = read_weights(folder)
        with torch.random.fork_rng([]):  # initial weights, replaced at once
            block = self._new(folder if self.block.checkpoint else None)
        try:
            self._fill(block, state)
        except LinksimError as error:
            raise LinksimError(f"{folder}: {error}; delete it and train again, or name another one") from None
        return block.to(device).eval()

    def _fill(self, block: Any, state: dict[str, torch.Tensor]) -> None:
        """Put a checkpoint's tensors into a block.

        :raises LinksimError: names, sizes or types are not the block's.
        """
        fill(block, state)

    def given(self) -> str:
        """What to say of a checkpoint that the scenario names, which may have been trained on something else.

        :raises ScenarioError: it does not say what it is, is of another block, or was made for other options or sizes.
        """
        folder = Path(self.block.checkpoint)
        there, here = read_about(folder), self.about
        if faults := contradictions(there, here):
            raise ScenarioError(f"method {self.method.name!r}: the checkpoint {folder} does not fit: {_listed(faults)}")
        others = differences(there, here)
        otherwise = f", which was trained otherwise: {_listed(others)}" if others else ""
        return f"loaded from {folder} as given{otherwise}"

    def plain(self) -> Any:
        """The block of a kind that learns nothing, in evaluation mode."""
        return self.block.create().eval()

    def in_use(self, block: Any) -> Any:
        """What was loaded, as this method uses it."""
        return block

    def fit(self, console: Console, device: str) -> None:
        """Make it in closed form, and keep it.

        :raises LinksimError: its block is neither trained by gradient descent nor fitted.
        """
        raise LinksimError(f"{self.kind} {self.block.name!r} does not say how it is trained")


_MOST_LISTED = 12


def _listed(texts: list[str]) -> str:
    return "; ".join(texts[:_MOST_LISTED]) + f"; and {len(texts) - _MOST_LISTED} more" * (len(texts) > _MOST_LISTED)
