"""All that a scenario's methods learn, of every kind: listed, checked, made, loaded."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from rich.console import Console

from linksim.core.errors import ScenarioError
from linksim.core.heartbeat import duration
from linksim.core.messages import nearest
from linksim.scenario.points import point_scenario, simulated_points
from linksim.scenario.resolved import LEARNING, Block, ResolvedMethod, ResolvedScenario, resolve
from linksim.scenario.schema import Scenario
from linksim.training.checkpoint import making, read_about, shown
from linksim.training.estimate import measure
from linksim.training.minibatches import EpochPlan, Minibatches
from linksim.training.part import Part, named_method
from linksim.training.parts import KINDS
from linksim.training.parts.universal import UniversalPart, fit_together
from linksim.training.report_errors import load_report_errors, prepare_report_errors


def parts_of(scenario: Scenario, only: str | None = None) -> list[Part]:
    """What a scenario's methods learn, each once, what is needed first before what needs it.

    Where a sweep changes what a method learns there is a part for each of its values, and its name says them.

    :param only: the name of a method, with its swept values or without; the others are left out, but for what this one
        needs.
    """
    found: dict[str, Part] = {}

    def add(part: Part) -> None:
        if part.key in found:
            if part.is_own and not found[part.key].is_own:  # another method's companion is this one's own block
                found[part.key] = part
            return
        if part.block.is_trained and (part.training.teacher or part.training.start_from) and part.is_unmade:
            for other in part.needed_first():
                add(other)
        for companion in part.companions():
            add(companion)
        found[part.key] = part

    for point in simulated_points(scenario):
        there = _at(scenario, point)
        if only is None and there.bounds and there.precoder.learns:
            add(KINDS["precoder"](there, replace(there.methods[0], name="the bounds", precoder=there.precoder)))
        for method in there.simulated:
            # who only teaches is not needed where there is nobody to teach
            if only is None and method.only_teaches:
                continue
            for kind, section in LEARNING.items():
                block = getattr(method, kind)
                if block is None or not block.learns:
                    continue
                name = _swept_name(there, method, section, point)
                if only in (None, method.name, name):
                    add(KINDS[kind](there, replace(method, name=name), of=method.name))
    return list(found.values())


def used_parts(scenario: Scenario) -> list[Part]:
    """Those of `parts_of` whose blocks the chain uses, not what only teaches or generates for them."""
    return [part for part in parts_of(scenario) if part.is_own and not part.method.only_teaches]


def _at(scenario: Scenario, point: dict[str, float | str]) -> ResolvedScenario:
    """A scenario as it is for what is learnt at a sweep point: its sweeps over channels are left in, as all of them are
    trained on together."""
    resolved = point_scenario(scenario, point)
    there = resolve(resolved)
    written = scenario.model_copy(update={"semantic": resolved.semantic, "link": resolved.link,
                                          "methods": resolved.methods, "feedback": resolved.feedback})
    return replace(there, written=written)


def _swept_name(scenario: ResolvedScenario, method: ResolvedMethod, section: str, point: dict[str, float | str]) -> str:
    """A method's name with those values of a sweep point that change what it learns; another value of one method leaves
    the others as they are.

    :param section: of the method that says how it is trained: what stands there is not swept by ``training``.
    """
    name = method.name
    index = [other.name for other in scenario.methods].index(name)
    said = getattr(scenario.written.methods[index], section)
    own = [f"{key.rpartition('.')[2]} {value}" for key, value in point.items()
           if (key.startswith((f"methods.{name}.", f"methods.{index}.")) and not key.endswith(".bits"))
           or (key.startswith("training.") and getattr(said, key.partition(".")[2], None) is None)]
    return f"{name} ({', '.join(own)})" if own else name


def check_parts(scenario: Scenario, device: str, only: str | None = None) -> None:
    """Whether `prepare_parts` can begin, as far as can be told before anything is drawn or written.

    Every block is made here once, from its checkpoint where there is one: a language model that is missing, a damaged
    file or a teacher that does not fit is found now, not when its turn comes after the others' trainings.

    :param only: the name of a method, with its swept values or without; the others are left as they are.
    :raises ScenarioError: no method of that name, or one that learns nothing.
    :raises LinksimError: a checkpoint that is named does not fit; a training that cannot begin.
    """
    if only is not None:
        check_name(scenario, only)
    from linksim.training.trainer import check_task  # start-up

    for part in parts_of(scenario, only):
        with named_method(part.name):
            if part.block.checkpoint:
                part.given()
            if not part.is_unmade:
                part.load()
                continue
            if part.is_learned:
                check_task(part, device)
            part.check()


def check_name(scenario: Scenario, only: str) -> None:
    """Whether a method of this name, with its swept values or without, learns something.

    :raises ScenarioError: there is none, or it learns nothing.
    """
    own = {method.name: method for method in resolve(scenario).methods}
    if only in own and not any(block.learns for block in own[only].blocks):
        raise ScenarioError(f"--method {only}: this method is not trained")
    if only not in own and not any(part.method.name == only for part in parts_of(scenario)):
        known = [*own, *(part.method.name for part in parts_of(scenario))]
        raise ScenarioError(f"--method {only}: no such method: did you mean {nearest(only, known)!r}?")


def planned_parts(scenario: Scenario) -> list[str]:
    """A line for the header about each part, before `prepare_parts`: loaded from where, or made first."""
    return [_loaded(part) or f"{part.name}: {_to_be_made(part)}" for part in parts_of(scenario)]


def prepare_parts(scenario: Scenario, device: str, console: Console, only: str | None = None) -> list[str]:
    """Train or fit what has no matching checkpoint, saying so first.

    :param only: as of `check_parts`.
    :returns: a line for the header about each part.
    :raises StoreError: the checkpoint folder cannot be written.
    :raises LinksimError: a checkpoint that is named does not fit; training failed.
    """
    lines: dict[str, str] = {}
    parts = parts_of(scenario, only)
    for together in _groups(parts):
        for part in together:
            if part.must_prepare():
                part.prepare(console)
        unmade = [part for part in together if part.checkpoint is None]
        lines |= {part.key: _loaded(part) for part in together if part not in unmade}
        lines |= dict(zip((part.key for part in unmade), _made(unmade, device, console)))
    if only is None:
        prepare_report_errors(scenario, device, console)
    return [lines[part.key] for part in parts]


def _groups(parts: list[Part]) -> Iterator[list[Part]]:
    """Parts one by one, but for those that are fitted to the same drops in one go."""
    fitted: list[list[UniversalPart]] = []
    for part in parts:
        if isinstance(part, UniversalPart) and not part.is_learned and part.is_unmade:
            same = next((group for group in fitted if group[0].training == part.training), None)
            fitted.append([part]) if same is None else same.append(part)
        else:
            yield [part]
    yield from fitted


def _made(parts: list[Part], device: str, console: Console) -> list[str]:
    """Make parts that have no checkpoint, together; a line about each."""
    if not parts:
        return []
    began = time.monotonic()
    if parts[0].is_learned:
        from linksim.training.launch import train  # start-up

        here = [train(part, part.folder, device, console) for part in parts]
    else:
        with contextlib.ExitStack() as stack:  # in one order for all, or two processes would wait for each other
            missing = [part for part in sorted(parts, key=lambda part: part.folder)
                       if stack.enter_context(making(part.folder, console))]
            if missing and len(parts) > 1:
                fit_together([part for part in parts if part in missing], console, device)
            elif missing:
                parts[0].fit(console, device)
        here = [part in missing for part in parts]
    took = time.monotonic() - began
    return [f"{part.name}: " + (
        f"{part.verb} in {took:.0f} s{_cost(part)}, kept in {part.folder}" if made
        else f"loaded from {shown(part.folder)}, {part.verb} by another process meanwhile")
        for part, made in zip(parts, here)]


def _cost(part: Part) -> str:
    """What a training took in all, before interruptions, too; empty for what is fitted."""
    try:
        record = read_about(part.folder).get("record")
    except ScenarioError:  # of several processes the first one is about to write it
        return ""
    return f" (in all {duration(record['cpu_s'])} of CPU time, {record['drops_seen']} drops seen)" if record else ""


def _loaded(part: Part) -> str:
    """What is said of a part that has its checkpoint; empty where it has none."""
    if part.block.checkpoint:
        return f"{part.name}: {part.given()}"
    return "" if part.is_unmade else f"{part.name}: loaded from {shown(part.checkpoint)}"


def _to_be_made(part: Part) -> str:
    before = f"{part.must_prepare()}, then " if part.must_prepare() else ""
    hint = " (--trained-only leaves it out)" if part.is_learned else ""
    return f"{before}no matching checkpoint in {part.scenario.training.folder}: {part.verb} first{hint}"


def unmade_methods(scenario: Scenario, closed_form: bool) -> dict[str, Part]:
    """Methods that would be trained before a run, by name, each with the first of its blocks that has no checkpoint.

    :param closed_form: those, too, whose blocks are fitted in closed form, which takes seconds to a minute.
    :raises LinksimError: a package or file that a block needs is missing.
    """
    found: dict[str, Part] = {}
    seen: dict[str, bool] = {}
    for point in simulated_points(scenario):
        there = _at(scenario, point)
        for method in there.simulated:
            if method.only_teaches or method.name in found:
                continue
            for part in _with_companions(there, method):
                if part.key not in seen:
                    seen[part.key] = (closed_form or part.is_learned) and part.is_unmade
                if seen[part.key]:
                    found.setdefault(method.name, part)
    return found


def _with_companions(scenario: ResolvedScenario, method: ResolvedMethod) -> Iterator[Part]:
    for kind in LEARNING:
        block = getattr(method, kind)
        if block is not None and block.learns:
            part = KINDS[kind](scenario, method)
            yield from (part, *part.companions())


@dataclass(frozen=True)
class Built:
    """Blocks of a scenario's methods, ready for use: from their checkpoints what learns, new ones of the others.

    :param learned: by the keys of their parts.
    :param report_errors: how far reports are from the channel, by the keys of the codecs' blocks.
    """

    learned: dict[str, Any] = field(default_factory=dict)
    report_errors: dict[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, scenario: Scenario, device: str) -> Built:
        """All that the scenario's methods need.

        :raises LinksimError: a checkpoint is missing here, or damaged.
        """
        from linksim.blocks.parameters import merge_low_rank  # start-up

        learned = {part.key: part.load(device) for part in used_parts(scenario)}
        for block in learned.values():
            merge_low_rank(block)
        return cls(learned, load_report_errors(scenario))

    def precoder(self, scenario: ResolvedScenario, block: Block) -> Any:
        """A precoder at a sweep point, whichever method or bound it is used by."""
        return self.of(scenario, replace(scenario.methods[0], precoder=block), "precoder")

    def of(self, scenario: ResolvedScenario, method: ResolvedMethod, kind: str) -> Any:
        """The block of a method at a sweep point, in evaluation mode."""
        part = KINDS[kind](scenario, method)
        return part.plain() if not part.block.learns else part.in_use(self.learned[part.key])


def channels_of(parts: Iterable[Part]) -> list:
    """Channels of the trainings that would begin."""
    return [channel for part in parts if part.is_unmade for channel, _ in part.conditions]


def training_time(part: Part, device: str) -> str:
    """How long a training by gradient descent would take on this machine, in words; its first steps are made to tell.

    :raises LinksimError: it cannot begin; what teaches it, or it starts from, is not trained either.
    """
    training = part.training
    with torch.random.fork_rng():
        drops = part.drops(device)
        block = part.untrained(device).to(device).train()
        chunks = [chunk for chunk in drops.chunks if not chunk.validation]
        num_ranks = training.devices * training.num_nodes
        plan = EpochPlan(chunks, training, 0, num_ranks)
        estimate = measure(block, Minibatches(drops, plan, 0, num_ranks, block))
    return duration(estimate.seconds(estimate.epochs_within(training)))
