"""Memory of what is trained by gradient descent: parameters, and what stands between layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from linksim.backbone.choice import assumed_sizes
from linksim.loading.memory.sizes import COMPLEX, Need, Sizes, placed
from linksim.scenario.resolved import Block, LearningBlock, ResolvedScenario

_FLOAT = 4
_TRAINED = 4
"""Copies of a trained parameter: itself, its gradient, AdamW's two moments."""

_LIBRARIES_BYTES = 7e8
"""Memory of what training needs beside torch, and of what torch's optimiser imports."""

Options = dict[str, Any]


class Network(NamedTuple):
    """Sizes of a network.

    :param parameters: trained ones; ``frozen`` are those of a language model, ``words`` its embedding.
    :param values: between layers, for each token of a sequence.
    """

    parameters: float
    frozen: float = 0
    values: float = 0
    tokens: float = 1
    words: float = 0

    def bytes_for(self, sequences: float) -> float:
        """While so many sequences are learned from."""
        model = self.parameters * _TRAINED + 2 * (self.frozen + self.words)
        return (model + sequences * self.tokens * self.values) * _FLOAT


def network_needs(scenario: ResolvedScenario, size: Sizes) -> Iterator[Need]:
    """Needs of every method's predictor, codec, semantic codec and universal block that is a network, in training."""
    # a training drop has one user, but where pilots of several share a slot
    users = size.users if scenario.acquisition.type == "pilots" else 1
    for index, method in enumerate(scenario.methods):
        for block in method.blocks:
            if not block.is_trained or (total := _while_learning(block, scenario, size, users)) is None:
                continue
            drops = block.training.batch_drops
            batch = 3 * drops * (size.past + 2 * size.ahead) / size.drops * 8
            field = size.largest_of(block.spec, block.options, training__batch_drops=drops / 64)
            yield placed(Need(total + batch + _LIBRARIES_BYTES, f"training {block.name}", field),
                         f"methods.{index}.{block.kind}")
    if scenario.data is not None:
        yield from _gallery(scenario.data, scenario, size)


def network_of(predictor: Block, scenario: ResolvedScenario, size: Sizes) -> Network | None:
    """Sizes of a predictor's network; None where it is none."""
    return _PREDICTORS[predictor.name](predictor.options, scenario, size) if predictor.name in _PREDICTORS else None


def _while_learning(block: LearningBlock, scenario: ResolvedScenario, size: Sizes, users: int) -> float | None:
    """Bytes of a network and of what stands between its layers; None for blocks that are fitted in closed form.

    :param users: of a training drop.
    """
    options, drops = block.options, block.training.batch_drops
    match block.kind:
        case "predictor" if block.name == "unfolded_sparse_bayesian":
            return _unfolded(options, scenario, size, drops * users)
        case "predictor" if "num_tokens" in options and "frequency_rank" in options:
            in_memory = not block.training.fresh_noise and not block.training.keep_drops
            kept = block.training.num_drops if in_memory else 0
            waves, _ = _waves(options, scenario, size)
            return _angle_delay(options, scenario, size, drops * users) + 6.0 * kept * users * waves * COMPLEX
        case "predictor" if block.name in _PREDICTORS:
            pairs = size.ue * size.bs
            sequences = min(drops * users * min(block.training.antenna_pairs or pairs, pairs),
                            512 if "backbone" in options else 1024)
            return _PREDICTORS[block.name](options, scenario, size).bytes_for(sequences)
        case "feedback" if "delay_window" in options and "num_values" in options:
            return _codec(options, size).bytes_for(drops * users * size.ue)
        case "semantic":
            return _semantic(options, scenario).bytes_for(8 * drops)
        case "universal" if "backbone" in options or "num_features" in options:
            return _universal(options, size).bytes_for(drops)
    return None


def _backbone(options: Options, tokens: float) -> Network:
    """A language model, as it is adapted."""
    sizes = assumed_sizes(options["backbone"])
    body = options.get("body", "language_model")
    layers = options["num_layers"] if body == "language_model" else 1
    whole = layers * sizes.layer_parameters if body in ("language_model", "attention") else 0
    words = sizes.num_words * sizes.width
    values = layers * (24 * sizes.width + 4 * sizes.mlp_width + 10 * tokens)
    if options.get("adaptation") == "full" or body == "attention":
        return Network(whole, 0, values, tokens, words)
    return Network(layers * options.get("lora_rank", 8) * 5 * sizes.width, whole, values, tokens, words)


def _width(options: Options) -> int:
    return assumed_sizes(options["backbone"]).width


def _recurrent(gates: int) -> Callable[[Options, ResolvedScenario, Sizes], Network]:
    def network(options: Options, scenario: ResolvedScenario, size: Sizes) -> Network:
        hidden, layers, features = options["hidden_size"], options["num_layers"], 2 * size.tones
        return Network(gates * 2 * layers * hidden**2 + 2 * hidden * features + features**2,
                        values=layers * hidden * gates * 3 + 4 * features, tokens=size.history + size.future)
    return network


def _cnn(options: Options, scenario: ResolvedScenario, size: Sizes) -> Network:
    widest = 8.0 * 2**min(options["num_layers"] - 1, 60)  # each layer has twice the channels of the one before
    return Network(13 * widest**2, values=6 * widest * size.tones, tokens=size.history)


def _transformer(options: Options, scenario: ResolvedScenario, size: Sizes) -> Network:
    width, inner = options["width"], options["feedforward_width"]
    layers = 3 * options["num_encoder_layers"] + 2 * options["num_decoder_layers"]
    tokens = size.history + size.future
    return Network(layers * (7 * width**2 + 2 * width * inner) + 4 * width * size.tones,
                    values=layers * (12 * width + 2 * inner + options["num_heads"] * tokens), tokens=tokens)


def _csi_alm_light(options: Options, scenario: ResolvedScenario, size: Sizes) -> Network:
    width, inner, layers = options["width"], options["feedforward_width"], options["num_layers"]
    patch = options["patch_size"]
    tokens = -(-size.history // patch) + options["num_prompts"]
    return Network(layers * (4.0 * width**2 + 2 * width * inner) + (2 * (patch + 1) * size.tones + tokens) * width,
                    values=layers * (12 * width + 2 * inner + options["num_heads"] * tokens) + 2 * patch * size.tones,
                    tokens=tokens)


def _csi_llm(options: Options, scenario: ResolvedScenario, size: Sizes) -> Network:
    body, width = _backbone(options, size.history + size.future), _width(options)
    return body._replace(parameters=body.parameters + 6 * width * size.tones, values=body.values + 12 * width)


def _llm4cp(options: Options, scenario: ResolvedScenario, size: Sizes) -> Network:
    body, width = _backbone(options, size.history), _width(options)
    patch, channels, blocks = options["patch_size"], options["num_channels"], options["num_blocks"]
    own = 12 * width * size.tones + 2 * size.history**2 + 4 * patch**2 \
        + 2 * (blocks * 20 * channels**2 + 40 * channels)
    pictures = 4 * (2 * blocks + 2) * channels * 2 * size.tones
    filled = 6 * size.tones * (1 + patch / size.history)
    return body._replace(parameters=body.parameters + own, values=body.values + pictures + filled + 12 * width)


def _csi_alm(options: Options, scenario: ResolvedScenario, size: Sizes) -> Network:
    patch, prompts = options["patch_size"], options["num_prompts"]
    tokens = -(-size.history // patch) + prompts
    body, width = _backbone(options, tokens), _width(options)
    own, values = _aligned(options, tokens)
    own += 2 * size.tones * width * (patch + tokens * size.future)
    rows = (2 * size.tones)**2 / tokens + 8 * size.tones * patch
    return body._replace(parameters=body.parameters + own, values=body.values + values + rows)


def _aligned(options: Options, tokens: float) -> tuple[float, float]:
    """Parameters of alignment and prompts, and values between their layers for each token."""
    width, inner = _width(options), options["feedforward_width"]
    own = 10.0 * width**2 + 2 * width * inner + options["num_words"] * (options["num_anchors"] + width)
    return own, 30 * width + 3 * inner + options["num_heads"] * (tokens + options["num_words"])


def _cdg(options: Options, scenario: ResolvedScenario, size: Sizes) -> Network:
    patches = 1 + size.history / options["stride"]
    body, width, features = _backbone(options, patches), _width(options), 2 * size.tones
    own = options["patch_size"] * features * width + 2 * width * size.future * features + 4 * width**2 \
        + options["num_tokens"] * (width + options["num_words"])
    values = 2 * options["patch_size"] * features + 3 * size.future * features \
        + (4 + options["num_heads"]) * options["num_tokens"] + 12 * width
    return body._replace(parameters=body.parameters + own, values=body.values + values)


_PREDICTORS: dict[str, Callable[[Options, ResolvedScenario, Sizes], Network]] = {
    "rnn": _recurrent(1), "gru": _recurrent(3), "lstm": _recurrent(4), "cnn": _cnn, "transformer": _transformer,
    "csi_alm_light": _csi_alm_light, "csi_llm": _csi_llm, "llm4cp": _llm4cp, "csi_alm": _csi_alm, "cdg": _cdg,
}


def _unfolded(options: Options, scenario: ResolvedScenario, size: Sizes, users: int) -> float:
    """Bytes of the steps of an iteration, each of which is kept for the gradient."""
    waves, samples = _waves(options, scenario, size)
    return float(options["num_steps"] * users * (6 * samples + waves * (20 + 3 * options["hidden_size"])) * COMPLEX)


def _waves(options: Options, scenario: ResolvedScenario, size: Sizes) -> tuple[float, float]:
    """Plane waves of a user, and entries of the covariances of their beams."""
    array = scenario.channel.bs_array
    beams, tones = array.rows * array.columns, min(size.tones, options["frequency_rank"])
    waves = beams * min(options["num_delays"], 8 * size.tones) * options["num_dopplers"]
    return waves, beams * (size.history * tones)**2


def _angle_delay(options: Options, scenario: ResolvedScenario, size: Sizes, users: int) -> float:
    """Bytes of a step: the network, what stands between its layers, the learned steps."""
    waves, samples = _waves(options, scenario, size)
    rows = waves / options["num_dopplers"] * (100 + 5 * options["width"])
    steps = (1 + options["num_steps"]) * (6 * samples + waves * (20 + 3 * options["hidden_size"]))
    return float(angle_delay_network(options).bytes_for(users) + users * (rows + steps) * COMPLEX)


def angle_delay_network(options: Options) -> Network:
    """Sizes of what mixes angle-delay tokens; a sequence is a user."""
    tokens, width = options["num_tokens"] + options["num_prompts"], options["width"]
    if "backbone" in options:
        body = _backbone(options, tokens)
        own, values = _aligned(options, tokens)
        return body._replace(parameters=body.parameters + own, values=body.values + values)
    inner, layers = options["feedforward_width"], options["num_layers"]
    return Network(layers * (4.0 * width**2 + 2 * width * inner), tokens=tokens,
                   values=layers * (12 * width + 2 * inner + options["num_heads"] * tokens))


def _codec(options: Options, size: Sizes) -> Network:
    image = 2 * min(options["delay_window"], size.tones) * size.bs
    if "several_values" not in options:
        return Network(2.0 * options["num_values"] * (image + 1024 * 20), values=160.0 * image)
    maps = 768.0 * image
    if "backbone" not in options:
        return Network(1e5, values=maps)
    patch = options["patch_size"]
    body, width = _backbone(options, 1 + image / 2 / patch**2), _width(options)
    filled = 4 * max(2 * patch**2, image)
    return Network(body.parameters + 4.0 * patch**2 * width, body.frozen + body.words,
                   maps + filled + body.tokens * body.values)


def _semantic(options: Options, scenario: ResolvedScenario) -> Network:
    width, layers = options["width"], options["num_layers"]
    slots = -(-scenario.semantic.channel_uses // options.get("symbols_per_slot", 8))
    return Network(layers * 24.0 * width**2 + 8.0 * width**2 + (384 * slots + 4 * options["embedding"] + 800) * width,
                    values=2 * layers * (16 * width + options["num_heads"] * (32 + slots)), tokens=32 + slots)


def _universal(options: Options, size: Sizes) -> Network:
    features = options.get("num_features", 128)
    own = 1024.0 * (128 * -(-size.bs // 16) * -(-size.tones // 16) + 1) + 4.0 * features * (512 + 2 * size.bs)
    pictures = 60.0 * size.bs * size.tones
    if "backbone" not in options:
        return Network(own, values=pictures)
    tokens = 12 + options["num_prefix"]
    body = _backbone({**options, "body": "none"} if options["body"] == "perceptron" else options, tokens)
    return Network(own + body.parameters + 5.0 * options["num_prefix"] * _width(options), body.frozen + body.words,
                    pictures + 5 * tokens * body.values)


def _gallery(data: Block, scenario: ResolvedScenario, size: Sizes) -> Iterator[Need]:
    """The data set, its captions as the sentence encoder sees them, and captions compared with the gallery."""
    sent, name, spec, options = scenario.semantic, data.name, data.spec, data.options
    count = next((options[key] for key in ("num_identities", "num_motions", "num_clips") if key in options), 2000)
    items = count * max((value for key, value in options.items() if "_per_" in key), default=4)
    yield placed(Need(items * (16 * 384 * _FLOAT + (200_000 if name == "motions" else 40_000)), f"the data set {name}",
                      size.largest_of(spec, options)), "semantic.data")
    captions = size.drops * sent.captions_per_drop
    elements = sent.channel_uses * (4 * size.ue + 12) * 8
    yield Need(captions * (items * 0.2 * 16 + elements + 32 * 384 * 8), "captions of a unit",
               "semantic.captions_per_drop" if sent.captions_per_drop > sent.channel_uses else "semantic.channel_uses")
