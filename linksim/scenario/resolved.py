"""A scenario with every reference followed: blocks with their options and trainings, and what each transmitter knows.

`resolve` is the one place where a block's entry is read; everybody downstream takes what it returns.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import pydantic

from linksim.core import registry
from linksim.core.errors import ScenarioError
from linksim.core.messages import describe
from linksim.core.options import construct
from linksim.scenario.channel import Channel
from linksim.scenario.schema import Acquisition, Feedback, Link, Method, Run, Scenario, Semantic
from linksim.scenario.training import MethodTraining, Training, WholeTraining, merged

LEARNING = {"predictor": "training", "feedback": "codec_training", "semantic": "semantic_training",
            "universal": "universal_training", "precoder": "precoder_training"}
"""Kinds of blocks that can learn, each with the section of a method that says how."""

NO_PREDICTOR = "none"
"""In the place of a predictor's name: the method needs none."""

_BLOCK_FORM = "a block is written as its name or as {type: name, option: value}"


@dataclass(frozen=True)
class Block:
    """A block that a scenario names, with all of its options.

    :param given: options as the file gives them.
    :param options: validated, with the defaults filled in, and what the scenario's sections say for all blocks.
    :param checkpoint: folder of the weights that the file names.
    """

    kind: str
    name: str
    given: dict[str, Any]
    options: dict[str, Any]
    checkpoint: str | None = None

    @property
    def spec(self) -> registry.BlockSpec:
        return registry.find(self.kind, self.name)

    @property
    def made_by(self) -> Any:
        """Its class; imports it."""
        return registry.block_class(self.kind, self.name)

    @property
    def learns(self) -> bool:
        """Whether it has weights of its own."""
        return self.spec.trains

    @property
    def is_trained(self) -> bool:
        """Whether it is trained before a run, unless a matching checkpoint is found."""
        return self.learns and self.checkpoint is None

    @cached_property
    def key(self) -> str:
        """Blocks with the same key are the same block, trained the same way."""
        return repr((self.kind, self.name, sorted(self.options.items()), self.checkpoint))

    def __hash__(self) -> int:
        return hash(self.key)

    def create(self) -> Any:
        """An instance, untrained."""
        return construct(self.made_by, self.options)

    def check_requirement(self, place: str, scenario: ResolvedScenario, method: ResolvedMethod | None = None) -> None:
        """Whether a scenario gives the block what it needs, see `linksim.core.registry.register`.

        :param place: of the block's entry, for messages.
        :param scenario: at one sweep point.
        :param method: the one that names the block; None for ``link.precoder`` and data sets.
        :raises ScenarioError: it does not, as ``key: block: what is needed and the fix``.
        """
        try:
            self.spec.check_requirement(self.options, scenario, method)
        except ScenarioError as error:
            raise ScenarioError(f"{place}: {self.name}: {error}") from None

    def title(self) -> str:
        """Its name, and in brackets the options that the file gives."""
        chosen = ", ".join(f"{key} {value}" for key, value in self.given.items())
        return f"{self.name} ({chosen})" if chosen else self.name


@dataclass(frozen=True)
class LearningBlock(Block):
    """A block of a kind that can learn, see `LEARNING`.

    :param training: what it would be trained on and how.
    """

    training: WholeTraining = field(kw_only=True)
    __hash__ = Block.__hash__

    @cached_property
    def key(self) -> str:
        return f"{super().key} {self.training.model_dump_json()}" if self.learns else super().key


@dataclass(frozen=True)
class ResolvedMethod:
    """A curve: what its transmitter knows, and what it is made of.

    :param csi: what the base station knows: the true channel, its own estimates of the uplink, or reports.
    :param predictor: None where the channel is known, or tasks are answered instead.
    """

    name: str
    csi: Literal["perfect", "uplink", "reports"]
    precoder: LearningBlock
    predictor: LearningBlock | None = None
    feedback: LearningBlock | None = None
    semantic: LearningBlock | None = None
    universal: LearningBlock | None = None

    @property
    def knows_channel(self) -> bool:
        return self.csi == "perfect"

    @property
    def holds(self) -> bool:
        """Whether its prediction is the last estimate as it is: of reports, the last alone matters."""
        return self.predictor is not None and self.predictor.name == "hold"

    @property
    def reporting(self) -> LearningBlock:
        """The codec of a method whose CSI is reports."""
        if self.feedback is None:
            raise ValueError(f"method {self.name!r} has no feedback")
        return self.feedback

    @property
    def blocks(self) -> list[LearningBlock]:
        """All that there are, in the order of `LEARNING`."""
        found = (self.predictor, self.feedback, self.semantic, self.universal, self.precoder)
        return [block for block in found if block is not None]

    @property
    def only_teaches(self) -> bool:
        """Whether it is there for others to take its encoders from, and has no results of its own."""
        return self.universal is not None and self.universal.name == "alignment"


@dataclass(frozen=True)
class ResolvedScenario:
    """A scenario at one sweep point, or with its sweeps, and its blocks.

    :param written: what the file says.
    :param precoder: of methods that have none of their own, and of genies.
    :param bounds: physical limits.
    :param data: the data set of captions, where they are sent.
    """

    written: Scenario
    methods: tuple[ResolvedMethod, ...]
    precoder: LearningBlock
    bounds: tuple[Block, ...] = ()
    data: Block | None = None

    @property
    def channel(self) -> Channel:
        return self.written.channel

    @property
    def acquisition(self) -> Acquisition:
        return self.written.acquisition

    @property
    def feedback(self) -> Feedback:
        return self.written.feedback

    @property
    def link(self) -> Link:
        return self.written.link

    @property
    def semantic(self) -> Semantic:
        return self.written.semantic

    @property
    def run(self) -> Run:
        return self.written.run

    @property
    def training(self) -> Training:
        return self.written.training

    @property
    def metrics(self) -> list[str]:
        return self.written.metrics

    @property
    def sweep(self) -> dict[str, list[float | str]]:
        return self.written.sweep

    @property
    def simulated(self) -> tuple[ResolvedMethod, ...]:
        """The methods that are not left out."""
        return tuple(method for method in self.methods if method.name not in self.run.left_out)

    def method(self, name: str) -> ResolvedMethod:
        """The method of that name."""
        return next(method for method in self.methods if method.name == name)

    def written_method(self, name: str) -> Method:
        """What the file says of the method of that name."""
        return next(method for method in self.written.methods if method.name == name)

    def with_sections(self, **sections: Any) -> ResolvedScenario:
        """The same with other sections; the methods stay."""
        return replace(self, written=self.written.model_copy(update=sections))


def resolve(scenario: Scenario) -> ResolvedScenario:
    """Follow every reference of a scenario, at one sweep point or with its sweeps. Plugins are loaded by then.

    :raises ScenarioError: an entry that names no block, or options that it does not take, as ``key: message``.
    """
    precoder = read_learning_block("link.precoder", "precoder", scenario.link.precoder,
                                   _training(scenario, None, "training"))
    methods = tuple(_method(f"methods.{index}", method, scenario, precoder)
                    for index, method in enumerate(scenario.methods))
    bounds = tuple(read_block(f"bounds.{index}", "bound", bound) for index, bound in enumerate(scenario.bounds))
    data = None
    if any(method.semantic is not None for method in methods):
        data = read_block("semantic.data", "retrieval_data", scenario.semantic.data)
    return ResolvedScenario(scenario, methods, precoder, bounds, data)


def _method(place: str, method: Method, scenario: Scenario, link_precoder: LearningBlock) -> ResolvedMethod:
    csi = method.csi or ("uplink" if method.feedback is None else "reports")
    if csi == "perfect" and method.feedback is not None:
        raise ScenarioError(f"{place}.feedback: {method.name!r} knows the channel and takes no report")
    if csi == "perfect" and method.predictor not in (NO_PREDICTOR, Method.model_fields["predictor"].default):
        raise ScenarioError(f"{place}.predictor: {method.name!r} knows the channel and takes no predictor")
    if method.csi is not None and (csi == "reports") != (method.feedback is not None):
        raise ScenarioError(f"{place}.csi: {csi}, but " + ("no feedback is given: name its codec" if csi == "reports"
                                                          else "feedback is given: write csi: reports"))

    def block(kind: str, reference: str | dict[str, Any] | None) -> LearningBlock | None:
        if reference is None:
            return None
        own = getattr(method, LEARNING[kind])
        training = _training(scenario, own, "training" if own is None else f"{place}.{LEARNING[kind]}")
        given = {"bits": scenario.feedback.bits} if kind == "feedback" and scenario.feedback.bits is not None else {}
        return read_learning_block(f"{place}.{kind}", kind, reference, training, given)

    answers = method.universal is not None
    return ResolvedMethod(
        method.name, csi,
        block("precoder", method.precoder) or link_precoder,
        None if csi == "perfect" or answers else block("predictor", method.predictor),
        block("feedback", method.feedback), block("semantic", method.semantic), block("universal", method.universal))


def _training(scenario: Scenario, own: MethodTraining | None, place: str) -> WholeTraining:
    """The training of a block that has some fields of its own.

    :raises ScenarioError: fields that do not go together.
    """
    try:
        return merged(scenario.training, own)
    except pydantic.ValidationError as error:
        raise ScenarioError(f"{place}: {describe(error.errors()[0])}") from None


def read_block(place: str, kind: str, reference: str | dict[str, Any]) -> Block:
    """The block of an entry, ``name`` or ``{type: name, option: …, checkpoint: folder}``.

    :param place: of the entry, for messages.
    :raises ScenarioError: no such block, or options that it does not take, as ``key: message``.
    """
    return Block(kind, *_read(place, kind, reference, {}))


def read_learning_block(place: str, kind: str, reference: str | dict[str, Any], training: WholeTraining,
                        for_all: dict[str, Any] | None = None) -> LearningBlock:
    """`read_block` of a kind that can learn.

    :param training: see `LearningBlock`.
    :param for_all: options that it has where it takes them and is given none.
    """
    return LearningBlock(kind, *_read(place, kind, reference, for_all or {}), training=training)


def _read(place: str, kind: str, reference: str | dict[str, Any], for_all: dict[str, Any]
          ) -> tuple[str, dict[str, Any], dict[str, Any], str | None]:
    """Name, options as given and as validated, and checkpoint."""
    try:
        given = {"type": reference} if isinstance(reference, str) else dict(reference)
        name, checkpoint = given.pop("type", None), given.pop("checkpoint", None)
        if not isinstance(name, str):
            raise ScenarioError(_BLOCK_FORM)
        spec = registry.find(kind, name)
        known = {key: value for key, value in for_all.items() if key in spec.options.model_fields}
        options = registry.validate_options(spec, {**known, **given})
        if checkpoint is not None and not spec.trains:
            raise ScenarioError(f"{kind} {name!r} is not trained: leave its checkpoint out")
        if not isinstance(checkpoint, str | None):
            raise ScenarioError(f"checkpoint names a folder (given {checkpoint!r})")
    except ScenarioError as error:
        raise ScenarioError(f"{place}: {error}") from None
    return name, given, options, checkpoint
