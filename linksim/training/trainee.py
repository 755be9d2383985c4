"""What is trained by gradient descent: a block of a method, its drops, and how."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from linksim.errors import LinksimError
from linksim.scenario.schema import Method, Scenario
from linksim.scenario.training import Training
from linksim.training.data import TrainingDrops


@contextmanager
def named_method(method: Method) -> Iterator[None]:
    """Faults within say which method they are of, unless they do already.

    :raises LinksimError: as raised within.
    """
    try:
        yield
    except LinksimError as error:
        raise type(error)(str(error) if "method " in str(error) else f"method {method.name!r}: {error}") from None


class Trainee(ABC):
    """One block to train.

    :ivar part: of the method that it is, ``predictor``, ``feedback``, ``semantic`` or ``universal``.
    """

    part: str

    def __init__(self, scenario: Scenario, method: Method) -> None:
        self.scenario = scenario
        self.method = method

    @property
    def name(self) -> str:
        """For messages."""
        return self.method.name

    @property
    @abstractmethod
    def training(self) -> Training:
        """Complete; see `linksim.scenario.training.merged`."""

    @property
    @abstractmethod
    def about(self) -> dict[str, Any]:
        """What the checkpoint depends on."""

    @abstractmethod
    def drops(self, device: str) -> TrainingDrops:
        """What it learns from."""

    @abstractmethod
    def untrained(self, device: str) -> Any:
        """The block before its training, with its teacher (on ``device``) if it has one."""
