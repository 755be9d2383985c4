"""Methods whose weights are neither released nor kept here: which they are, and how long their training would take."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from linksim.heartbeat import duration
from linksim.scenario.points import point_scenario, simulated_points
from linksim.scenario.schema import (
    Method,
    Scenario,
    checkpoint_of,
    has_trained_codec,
    is_trained,
    only_teaches,
    simulated_methods,
    universal_of,
)
from linksim.training.checkpoint import PredictorTrainee, found_checkpoint
from linksim.training.codecs import CodecTrainee
from linksim.training.epochs import EpochPlan
from linksim.training.estimate import measure
from linksim.training.identity import is_learned
from linksim.training.minibatches import Minibatches
from linksim.training.trainee import Trainee


def unmade_methods(scenario: Scenario, closed_form: bool) -> dict[str, Trainee]:
    """Methods that would be trained before a run, by name, each with the first of its blocks that has no checkpoint.

    :param closed_form: those, too, whose blocks are fitted in closed form, which takes seconds to a minute.
    :raises LinksimError: a package or file that a block needs is missing.
    """
    found: dict[str, Trainee] = {}
    known: set[str] = set()
    for point in simulated_points(scenario):
        resolved = point_scenario(scenario, point)
        there = scenario.model_copy(update={"semantic": resolved.semantic, "methods": resolved.methods,
                                            "link": resolved.link})
        for method in simulated_methods(resolved):
            seen = f"{method!r} {resolved.semantic!r} {resolved.link.num_streams_per_user}"
            if seen in known or method.name in found:
                continue
            known.add(seen)
            for trainee, learned in _trainees(scenario, there, method):
                if (learned or closed_form) and _is_unmade(trainee):
                    found.setdefault(method.name, trainee)
    return found


def _trainees(scenario: Scenario, there: Scenario, method: Method) -> Iterator[tuple[Trainee, bool]]:
    """What a method has learnt, and whether by gradient descent.

    :param there: the scenario with methods, link and semantic section of a sweep point, sweeps over channels left in.
    """
    if is_trained(method) and not checkpoint_of(method.predictor):
        yield PredictorTrainee(scenario, method), is_learned(method)
    if has_trained_codec(method):
        from linksim.training.codecs import is_learned_codec

        yield CodecTrainee(scenario, method), is_learned_codec(scenario, method)
    if method.semantic is not None:
        from linksim.training.semantics import SemanticTrainee, companions

        for one in (method, *companions(method)):
            yield SemanticTrainee(there, one), True
    if method.universal is not None and not only_teaches(method):
        from linksim import registry
        from linksim.training.universals import UniversalTrainee

        if registry.find("universal", universal_of(method)[0]).trains:
            trainee = UniversalTrainee(there, method)
            yield trainee, trainee.is_learned


def _is_unmade(trainee: Trainee) -> bool:
    if trainee.part == "semantic":
        from linksim.training.semantics import must_generate

        if must_generate(trainee):
            return True
    return found_checkpoint(trainee.scenario, trainee.about) is None


def training_time(trainee: Trainee, device: str) -> str:
    """How long a training by gradient descent would take on this machine, in words; its first steps are made to tell.

    :raises LinksimError: it cannot begin; what teaches it, or it starts from, is not trained either.
    """
    training = trainee.training
    with torch.random.fork_rng():
        drops = trainee.drops(device)
        block = trainee.untrained(device).to(device).train()
        block.antenna_pairs = training.antenna_pairs
        chunks = [chunk for chunk in drops.chunks if not chunk.validation]
        num_ranks = training.devices * training.num_nodes
        estimate = measure(block, Minibatches(drops, EpochPlan(chunks, training, 0, num_ranks), 0, num_ranks))
    return duration(estimate.seconds(estimate.epochs_within(training)))
