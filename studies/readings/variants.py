"""A plugin: readings of the papers' predictors that are not the blocks', to be trained beside them.

Each class is a block with an option ``reading``; what a reading is stands with the code that makes it, and what it is
worth in ``docs/results/readings.md``. All other options are the block's defaults.
"""

from __future__ import annotations

from typing import Literal

import torch

from linksim import register
from linksim.backbone import BackboneChoice, build_backbone
from linksim.blocks.prediction.csi_alm import CsiAlmNetwork, CsiAlmPredictor
from linksim.blocks.prediction.csi_alm_light import CsiAlmLightNetwork, CsiAlmLightPredictor
from linksim.blocks.prediction.csi_llm import CsiLlmNetwork, CsiLlmPredictor
from linksim.blocks.prediction.learned import ProblemShape
from linksim.blocks.prediction.llm4cp import Llm4cpNetwork, Llm4cpPredictor
from linksim.blocks.prediction.rnn import GruPredictor, RecurrentNetwork
from linksim.blocks.prediction.transformer import TransformerNetwork, TransformerPredictor, sinusoidal_positions


class GruOfChanges(RecurrentNetwork):
    """Each step is a change of the one before."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden, state = self.recurrent(self.encoder(x))
        steps = [x[:, -1:] + self.decoder(hidden[:, -1:])]
        while len(steps) < self.num_future:
            hidden, state = self.recurrent(self.encoder(steps[-1]), state)
            steps.append(steps[-1] + self.decoder(hidden))
        return torch.cat(steps, 1)


class _NormedGru(torch.nn.Module):
    """Layers with a norm before each and a path around it."""

    def __init__(self, num_features: int, hidden_size: int, num_layers: int) -> None:
        super().__init__()
        self.first = torch.nn.Linear(num_features, hidden_size)
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(hidden_size) for _ in range(num_layers + 1))
        self.layers = torch.nn.ModuleList(torch.nn.GRU(hidden_size, hidden_size, batch_first=True)
                                          for _ in range(num_layers))

    def forward(self, x: torch.Tensor, states: list[torch.Tensor] | None = None
                ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        x, after = self.first(x), []
        for number, layer in enumerate(self.layers):
            change, state = layer(self.norms[number](x), None if states is None else states[number])
            x = x + change
            after.append(state)
        return self.norms[-1](x), after


@register("predictor", "gru_reading", trains=True)
class GruReading(GruPredictor):
    """GRU in a reading that is not the block's.

    :param reading: ``changes``, or ``norms``: paths and layer norms around the layers.
    """

    def __init__(self, reading: Literal["changes", "norms"] = "changes") -> None:
        super().__init__()
        self.reading = reading

    def make_network(self, shape: ProblemShape) -> torch.nn.Module:
        if self.reading == "changes":
            return GruOfChanges(self.cell, 2 * shape.num_subcarriers, shape.num_future, self.hidden_size,
                                self.num_layers)
        network = super().make_network(shape)
        network.recurrent = _NormedGru(2 * shape.num_subcarriers, self.hidden_size, self.num_layers)
        return network


class TransformerOfChanges(TransformerNetwork):
    """What it says is the change from the last sample."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, -1:] + super().forward(x)


class PlainTransformer(torch.nn.Module):
    """An encoder-decoder as torch has it, norms first, of as many parameters: width 384, 3 + 3 layers, 256 units."""

    def __init__(self, num_features: int, num_history: int, num_future: int, changes: bool) -> None:
        super().__init__()
        self.embedding, self.output = torch.nn.Linear(num_features, 384), torch.nn.Linear(384, num_features)
        self.positions = torch.nn.Parameter(sinusoidal_positions(num_history, 384))
        self.asked = torch.nn.Parameter(0.02 * torch.randn(num_future, 384))
        self.layers = torch.nn.Transformer(384, 8, 3, 3, 256, 0.0, "gelu", batch_first=True, norm_first=True)
        self.changes = changes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.output(self.layers(self.embedding(x) + self.positions, self.asked.expand(len(x), -1, -1)))
        return x[:, -1:] + y if self.changes else y


@register("predictor", "transformer_reading", trains=True)
class TransformerReading(TransformerPredictor):
    """The Transformer in a reading that is not the block's.

    :param reading: ``changes`` from the last sample; ``plain``, a plain encoder-decoder; or ``plain_changes``.
    """

    def __init__(self, reading: Literal["changes", "plain", "plain_changes"] = "changes") -> None:
        super().__init__()
        self.reading = reading

    def make_network(self, shape: ProblemShape) -> torch.nn.Module:
        sizes = 2 * shape.num_subcarriers, shape.num_history, shape.num_future
        if self.reading == "changes":
            return TransformerOfChanges(*sizes, **self.sizes)
        return PlainTransformer(*sizes, self.reading == "plain_changes")


class LightOfChanges(CsiAlmLightNetwork):
    """What it says is the change from the last sample."""

    def with_attention(self, x: torch.Tensor) -> tuple:
        y, attended = super().with_attention(x)
        return x[:, -1:] + y, attended


class LightBesideLine(CsiAlmLightNetwork):
    """A linear map over time beside the network, the same for every feature, zero at first."""

    def __init__(self, shape: ProblemShape, **sizes: int) -> None:
        super().__init__(shape, **sizes)
        self.line = torch.nn.Linear(shape.num_history, shape.num_future, bias=False)
        torch.nn.init.zeros_(self.line.weight)

    def with_attention(self, x: torch.Tensor) -> tuple:
        y, attended = super().with_attention(x)
        return self.line(x.mT).mT + y, attended


@register("predictor", "csi_alm_light_reading", trains=True)
class LightReading(CsiAlmLightPredictor):
    """CSI-ALM-Light in a reading that is not the block's.

    :param reading: ``changes`` from the last sample, or a ``line`` over time beside the network.
    """

    def __init__(self, reading: Literal["changes", "line"] = "changes") -> None:
        super().__init__()
        self.reading = reading

    def make_network(self, shape: ProblemShape) -> CsiAlmLightNetwork:
        return (LightOfChanges if self.reading == "changes" else LightBesideLine)(shape, **self.sizes)


class _BareAttention(torch.nn.Module):
    """(13) as it is printed: nothing around it."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(width, num_heads, batch_first=True)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.attention(tokens, tokens, tokens, need_weights=False)[0]


class CsiAlmReadingNetwork(CsiAlmNetwork):
    """One thing otherwise than in the block."""

    def __init__(self, shape: ProblemShape, reading: str, **parts: object) -> None:
        super().__init__(shape, **parts)  # type: ignore[arg-type]
        self.reading = reading
        width, features, align = self.backbone.width, 2 * shape.num_subcarriers, self.text.align
        match reading:
            case "bare_attention":
                align.self_attention = _BareAttention(width, align.num_heads)
            case "no_positions":
                self.positions = torch.nn.Parameter(torch.zeros_like(self.positions), requires_grad=False)
            case "one_head":
                align.num_heads, align.joined = 1, torch.nn.Identity()
            case "by_time":  # (12): features, then tokens, as in Light
                num_tokens = self.output.in_features // width
                self.output = torch.nn.Linear(width, features)
                self.output_times = torch.nn.Linear(num_tokens, shape.num_future)

    def with_alignment(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens, cosine = self.tokens(x)
        hidden = self.backbone(tokens) + (0 if self.reading == "no_path" else tokens)
        if self.reading == "by_time":
            return self.output_times(self.output(hidden).mT).mT, cosine
        y = self.output(hidden.flatten(1)).unflatten(1, (self.num_future, -1))
        return (x[:, -1:] + y if self.reading == "changes" else y), cosine


@register("predictor", "csi_alm_reading", trains=True)
class CsiAlmReading(CsiAlmPredictor):
    """CSI-ALM in a reading that is not the block's.

    :param reading: ``bare_attention`` in (13); ``no_positions`` before it; ``one_head`` in (15), without an output map;
        ``no_path`` around the language model; ``by_time``, two small maps in the place of (12)'s large one;
        ``changes`` from the last sample.
    """

    def __init__(self, reading: Literal["bare_attention", "no_positions", "one_head", "no_path", "by_time", "changes"]
                 = "bare_attention") -> None:
        super().__init__()
        self.reading = reading

    def make_network(self, shape: ProblemShape) -> CsiAlmNetwork:
        return CsiAlmReadingNetwork(shape, self.reading, backbone=build_backbone(self.choice), **self.sizes)


class _AroundBackbone(torch.nn.Module):
    """A path around a language model."""

    def __init__(self, backbone: torch.nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.width = backbone.width

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens + self.backbone(tokens)

    def forward_on(self, tokens: torch.Tensor, memory: object) -> tuple[torch.Tensor, object]:
        hidden, memory = self.backbone.forward_on(tokens, memory)
        return tokens + hidden, memory


@register("predictor", "llm4cp_reading", trains=True)
class Llm4cpReading(Llm4cpPredictor):
    """LLM4CP with a path around its language model."""

    def __init__(self) -> None:
        super().__init__(BackboneChoice(adaptation="norms"))

    def make_network(self, shape: ProblemShape) -> torch.nn.Module:
        return Llm4cpNetwork(shape, _AroundBackbone(build_backbone(self.choice)), **self.sizes)


@register("predictor", "csi_llm_reading", trains=True)
class CsiLlmReading(CsiLlmPredictor):
    """Csi-LLM with a path around its language model."""

    def __init__(self) -> None:
        super().__init__()

    def make_network(self, shape: ProblemShape) -> CsiLlmNetwork:
        return CsiLlmNetwork(shape, _AroundBackbone(build_backbone(self.choice)))
