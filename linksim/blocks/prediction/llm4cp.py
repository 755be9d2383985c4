"""LLM4CP: a pretrained language model between small trained layers.

| | trained | all | published (Table I of CSI-ALM) | published latency (RTX A6000) |
|---|---|---|---|---|
| llm4cp with gpt2 | 1,762,912 | 82.87 M | 1.77 M of 83.6 M | 20.1 ms |
| llm4cp with smollm2 | 890,272 | 50.44 M | | |

Of GPT-2's trained parameters 0.79 M are 1,024 position vectors, of which the history's 16 are used; SmolLM2 has none.
Of all parameters 38.6 M (28.3 M) are word embeddings, through which no CSI passes.

Source: B. Liu, X. Liu, S. Gao, X. Cheng and L. Yang, "LLM4CP: Adapting large language models for channel prediction",
JCIN 9(2), 2024 (arXiv:2406.14440), Section III, and its public version (github.com/liuboxun/LLM4CP) for sizes and the
order of layers. Where this differs from that version:

- Each user's history is normalised by its own root mean square, not by mean and deviation of the batch.
- Labels are noiseless (the public data set adds noise to them, which puts a floor of -18 dB under any method).
- Delay bins keep their real and imaginary parts apart; the public version concatenates them and then reads them as
  alternating.
- Each branch has its own layer over patches (the public one makes two and uses one in both), and there is no embedding
  of calendar time: 3,072 parameters without effect.
- The embedding's convolution over time does not wrap round from the newest sample to the oldest.
- The transform to delays is unitary, so that both branches see values of unit mean power.
- The language model's own dropout (0.1 in GPT-2) is off in training, as in every block here that has one.
"""

from __future__ import annotations

import torch

from linksim.backbone import Backbone, BackboneChoice, LanguageModel, build_backbone
from linksim.blocks.prediction.learned import ProblemShape
from linksim.blocks.prediction.rules import llm4cp_sizes
from linksim.blocks.prediction.sequences import SequencePredictor
from linksim.blocks.prediction.transformer import SampleEmbedding
from linksim.core.registry import register
from linksim.core.types import Fraction, PositiveInt


class PatchLayer(torch.nn.Module):
    """One linear map over the samples of every patch of time; the last patch is filled up with zeros."""

    def __init__(self, patch_size: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(patch_size, patch_size)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """``[..., time, bin]`` to the same shape."""
        size, times = self.linear.in_features, picture.shape[-2]
        padded = torch.nn.functional.pad(picture, (0, 0, 0, -times % size))
        return self.linear(padded.unflatten(-2, (-1, size)).mT).mT.flatten(-3, -2)[..., :times, :]


class ChannelAttention(torch.nn.Module):
    """A weight in (0, 1) for each channel, from its mean and from its maximum over the picture."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.shared = torch.nn.Sequential(torch.nn.Linear(num_channels, num_channels, bias=False), torch.nn.ReLU(),
                                          torch.nn.Linear(num_channels, num_channels, bias=False))

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """``[sequence, channel, time, bin]`` to ``[sequence, channel, 1, 1]``."""
        mean, largest = (pool(picture, 1).flatten(1) for pool in (torch.nn.functional.adaptive_avg_pool2d,
                                                                  torch.nn.functional.adaptive_max_pool2d))
        return (self.shared(mean) + self.shared(largest)).sigmoid()[..., None, None]


class ResidualBlock(torch.nn.Module):
    """Two convolutions, weighed by channel attention, beside the identity."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.convolutions = torch.nn.Sequential(
            torch.nn.Conv2d(num_channels, num_channels, 3, padding=1), torch.nn.ReLU(),
            torch.nn.Conv2d(num_channels, num_channels, 3, padding=1))
        self.attention = ChannelAttention(num_channels)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """``[sequence, channel, time, bin]`` to the same shape."""
        change = self.convolutions(picture)
        return picture + self.attention(change) * change


class Llm4cpNetwork(torch.nn.Module):
    """Preprocessor, embedding, backbone and output module (Sections III-A to III-D).

    :param backbone: maps ``[sequence, time, width]`` to the same shape.
    """

    def __init__(self, shape: ProblemShape, backbone: Backbone, num_channels: int, num_blocks: int, patch_size: int,
                 dropout: float) -> None:
        super().__init__()
        num_features = 2 * shape.num_subcarriers

        def branch() -> torch.nn.Sequential:
            return torch.nn.Sequential(
                PatchLayer(patch_size), torch.nn.Conv2d(2, num_channels, 3, padding=1),
                *(ResidualBlock(num_channels) for _ in range(num_blocks)),
                torch.nn.Conv2d(num_channels, 2, 3, padding=1))

        self.frequency_branch, self.delay_branch = branch(), branch()
        self.embedding = SampleEmbedding(num_features, backbone.width, shape.num_history, dropout, bias=False)
        self.mix_times = torch.nn.Linear(shape.num_history, shape.num_history)
        self.backbone = backbone
        self.output_features = torch.nn.Linear(backbone.width, num_features)
        self.output_times = torch.nn.Linear(shape.num_history, shape.num_future)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, num_history, 2 * subcarrier]`` to ``[sequence, num_future, 2 * subcarrier]``."""
        by_frequency = x.unflatten(-1, (2, -1)).transpose(1, 2)
        delays = torch.fft.ifft(torch.complex(by_frequency[:, 0], by_frequency[:, 1]), norm="ortho")
        by_delay = torch.view_as_real(delays).movedim(-1, 1)
        picture = _through(self.frequency_branch, by_frequency) + _through(self.delay_branch, by_delay)
        tokens = self.embedding(picture.transpose(1, 2).flatten(-2))
        # contiguous, as all after it then is: matrix products of transposed tokens take several times as long
        hidden = self.backbone(self.mix_times(tokens.mT).mT.contiguous())
        return self.output_times(self.output_features(hidden).mT).mT


def _through(branch: torch.nn.Sequential, picture: torch.Tensor) -> torch.Tensor:
    """The patches, then the convolutions, which take half the time on a CPU where channels lie side by side."""
    return branch[1:](branch[0](picture).contiguous(memory_format=torch.channels_last))


@register("predictor", "llm4cp", trains=True, requires=llm4cp_sizes)
class Llm4cpPredictor(SequencePredictor):
    """LLM4CP: a language model with trained norms and positions between small networks, one antenna at a time.

    The paper's language model is gpt2.

    :param patch_size: samples in a patch.
    :param num_channels: channels of the residual blocks.
    :param num_blocks: residual blocks in each branch.
    :param dropout: share of the embedding dropped in training.
    """

    sequences_at_once = 512

    def __init__(self, language_model: LanguageModel = BackboneChoice(adaptation="norms"),
                 patch_size: PositiveInt = 4, num_channels: PositiveInt = 64, num_blocks: PositiveInt = 4,
                 dropout: Fraction = 0.1) -> None:
        super().__init__()
        self.choice = language_model
        self.sizes = {"num_channels": num_channels, "num_blocks": num_blocks, "patch_size": patch_size,
                      "dropout": dropout}

    def make_network(self, shape: ProblemShape) -> torch.nn.Module:
        return Llm4cpNetwork(shape, build_backbone(self.choice), **self.sizes)
