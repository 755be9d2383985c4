"""Semantic codecs: what their training depends on, their training over MIMO links, their checkpoints."""

from __future__ import annotations

import json
import time
from functools import cached_property
from typing import Any

import torch
from rich.console import Console

from linksim import registry
from linksim.blocks.semantic.base import SemanticShape
from linksim.blocks.semantic.learned import LearnedSemanticCodec
from linksim.blocks.state import matched
from linksim.errors import LinksimError, ScenarioError
from linksim.metrics.retrieval import RANKS
from linksim.printing import say
from linksim.retrieval.data import RetrievalSet, retrieval_set
from linksim.retrieval.generation.stored import generate_captions, generated_digest, is_generated
from linksim.scenario.channel import Channel, drawn_fields
from linksim.scenario.points import point_scenario, simulated_points
from linksim.scenario.schema import Method, Scenario, semantic_of, simulated_methods
from linksim.scenario.training import Training, merged
from linksim.seeding import stream_seed
from linksim.training.checkpoint import checkpoint_folder, found_checkpoint, how_made, read_weights, shown, to_be
from linksim.training.codec_data import CodecDrops, codec_conditions
from linksim.training.identity import learned_fields
from linksim.training.trainee import Trainee, named_method


def semantic_key(scenario: Scenario, method: Method) -> str:
    """Methods with the same key have the same codec."""
    training = {} if method.semantic_training is None else method.semantic_training.model_dump(exclude_none=True)
    sent = scenario.semantic
    return repr((semantic_of(method), sent.data, sent.channel_uses, scenario.link.num_streams_per_user,
                 sorted(training.items())))


def semantic_methods(scenario: Scenario) -> list[tuple[Scenario, Method]]:
    """One method for each semantic codec, in the scenario as it is for this codec, sweeps over channels left in."""
    found: dict[str, tuple[Scenario, Method]] = {}
    for point in simulated_points(scenario):
        resolved = point_scenario(scenario, point)
        there = scenario.model_copy(update={"semantic": resolved.semantic, "methods": resolved.methods,
                                            "link": resolved.link})
        for method in simulated_methods(resolved):
            if method.semantic is not None:
                found.setdefault(semantic_key(there, method), (there, method))
                for other in companions(method):
                    found.setdefault(semantic_key(there, other), (there, other))
    return list(found.values())


def companions(method: Method) -> list[Method]:
    """The methods whose codecs a method's codec stands on beside its own networks; none for most."""
    codec = registry.create("semantic", *semantic_of(method))
    wanted = codec.companions() if hasattr(codec, "companions") else ()
    return [method.model_copy(update={"name": f"{method.name} ({name})", "semantic": {"type": name, **options}})
            for name, options in wanted]


def semantic_training(scenario: Scenario, method: Method) -> Training:
    """How a method's semantic codec is trained, no field left empty; captions see one instant, at whatever speed."""
    training = merged(scenario.training, method.semantic_training)
    speeds = [] if scenario.channel.source == "files" else [Channel.model_fields["speed_kmh"].default]
    return training.model_copy(update={"speeds_kmh": speeds, "csi_snr_db": None})


def semantic_identity(scenario: Scenario, method: Method, data: RetrievalSet) -> dict[str, Any]:
    """What a semantic codec's checkpoint depends on, as JSON can hold it."""
    name, options = semantic_of(method)
    made_by = registry.block_class("semantic", name)
    training = semantic_training(scenario, method)
    return json.loads(json.dumps({
        "block": made_by.network_name or name, "version": made_by.version,
        "options": {key: value for key, value in options.items() if key not in made_by.transport_options},
        "data": data.identity,
        **({"generated": generated_digest(data)} if made_by.generates else {}),
        **({} if made_by.channel_free else {"channel_uses": scenario.semantic.channel_uses,
                                            "num_streams": scenario.link.num_streams_per_user}),
        "conditions": [drawn_fields(channel) for channel, _ in codec_conditions(scenario, training)],
        "num_drops": training.num_drops, "seed": training.seed, "fraction": training.fraction,
        "training_file": scenario.channel.files.training_sha256, "training": learned_fields(training),
    }))


class SemanticTrainee(Trainee):
    """The semantic codec of a method."""

    part = "semantic"

    @property
    def name(self) -> str:
        return f"semantic codec of {self.method.name}"

    @cached_property
    def training(self) -> Training:
        return semantic_training(self.scenario, self.method)

    @cached_property
    def data(self) -> RetrievalSet:
        return retrieval_set(self.scenario.semantic.data)

    @cached_property
    def about(self) -> dict[str, Any]:
        return semantic_identity(self.scenario, self.method, self.data)

    def drops(self, device: str) -> CodecDrops:
        return CodecDrops(self.scenario, self.training, device)

    def untrained(self, device: str = "cpu") -> LearnedSemanticCodec:
        shape = SemanticShape(self.scenario.semantic.channel_uses, self.scenario.link.num_streams_per_user)
        with torch.random.fork_rng([]):
            torch.manual_seed(stream_seed(self.training.weights_seed, "weights"))
            codec = registry.create("semantic", *semantic_of(self.method))
            codec.prepare(shape, self.data)
        return codec


def check_semantics(scenario: Scenario, device: str, only: str | None = None) -> None:
    """Whether `prepare_semantics` can begin, as far as can be told before anything is drawn or written.

    :raises LinksimError: data or a language model that are not to be had, a damaged checkpoint, a training that cannot
        begin.
    """
    from linksim.training.trainer import check_task

    for there, method in _picked(scenario, only):
        with named_method(method):
            trainee = SemanticTrainee(there, method)
            _check_gallery(there, trainee.data)
            if must_generate(trainee):
                check_task(trainee, device)
            elif found_checkpoint(there, trainee.about) is None:
                check_task(trainee, device)
                trainee.untrained()
            else:
                load_semantic(there, method)


def channels_to_train_on(scenario: Scenario) -> list[Channel]:
    """Channels of the trainings that `prepare_semantics` would begin."""
    trainees = [SemanticTrainee(there, method) for there, method in semantic_methods(scenario)]
    return [channel for one in trainees if must_generate(one) or found_checkpoint(one.scenario, one.about) is None
            for channel, _ in codec_conditions(one.scenario, one.training)]


def prepare_semantics(scenario: Scenario, device: str, console: Console, only: str | None = None) -> list[str]:
    """Train what has no matching checkpoint, saying so first.

    :param only: the name of a method; the codecs of others are left as they are.
    :returns: a line for the header about each codec.
    :raises StoreError: the checkpoint folder cannot be written.
    :raises LinksimError: training failed.
    """
    from linksim.training.launch import train

    lines = []
    for there, method in _picked(scenario, only):
        trainee = SemanticTrainee(there, method)
        if must_generate(trainee):
            say(console, f"generating captions of {trainee.data.name}: none are stored")
            generate_captions(trainee.data, "smollm2", lambda text: say(console, text))
        if (folder := found_checkpoint(there, trainee.about)) is not None:
            lines.append(f"{trainee.name}: loaded from {shown(folder)}")
            continue
        folder, began = checkpoint_folder(there, trainee.about), time.monotonic()
        made = train(trainee, folder, device, console)
        lines.append(f"{trainee.name}: {how_made('trained', made, began, folder)}")
    return lines


def planned_semantics(scenario: Scenario, only: str | None = None) -> list[str]:
    """A line for the header about each codec, before `prepare_semantics`."""
    lines = []
    for there, method in _picked(scenario, only):
        trainee = SemanticTrainee(there, method)
        generates = must_generate(trainee)
        folder = None if generates else found_checkpoint(there, trainee.about)
        captions = f"captions of {trainee.data.name} are generated first, then " * generates
        lines.append(f"{trainee.name}: {captions}" + (
            to_be("trained", there) if folder is None else f"loaded from {shown(folder)}"))
    return lines


def _check_gallery(scenario: Scenario, data: RetrievalSet) -> None:
    """Whether every Rank@K that is asked for exists."""
    items = len(data.test.item_identities)
    for rank in RANKS:
        if rank > items and f"rank{rank}" in [*scenario.metrics, scenario.run.stopping.metric]:
            raise ScenarioError(f"metrics: rank{rank} needs a gallery of {rank} items, the test split of {data.name} "
                                f"has {items}: leave it out")


def must_generate(trainee: SemanticTrainee) -> bool:
    """Whether a codec learns from generated captions that are not there yet."""
    made_by = registry.block_class("semantic", semantic_of(trainee.method)[0])
    return made_by.generates and not is_generated(trainee.data)


def load_semantic(scenario: Scenario, method: Method) -> LearnedSemanticCodec:
    """A semantic codec from its checkpoint, on the CPU, in evaluation mode.

    :raises LinksimError: no matching checkpoint, or a damaged one.
    """
    trainee = SemanticTrainee(scenario, method)
    folder = found_checkpoint(scenario, trainee.about) or checkpoint_folder(scenario, trainee.about)
    state = read_weights(folder)
    codec = trainee.untrained()
    try:
        codec.load_state_dict(matched(codec.state_dict(), state, trainee.about["block"]))
    except LinksimError as error:
        raise LinksimError(f"{folder}: {error}; delete the folder and train again") from None
    if others := companions(method):
        codec.send_bits_by([load_semantic(scenario, other) for other in others])
    return codec.eval()


def _picked(scenario: Scenario, only: str | None) -> list[tuple[Scenario, Method]]:
    """Methods whose codecs are wanted; none where the name is another's."""
    methods = semantic_methods(scenario)
    if only is None:
        return methods
    keys = {semantic_key(there, method) for there, method in methods if method.name == only}
    wanted = next((method for method in scenario.methods if method.name == only), None)
    if wanted is not None and wanted.semantic is not None:
        keys |= {semantic_key(scenario, one) for one in (wanted, *companions(wanted))}
    return [(there, method) for there, method in methods if semantic_key(there, method) in keys]
