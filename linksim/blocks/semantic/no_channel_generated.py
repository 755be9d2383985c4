"""What generated captions are worth where there is no channel."""

from __future__ import annotations

from typing import Literal

from linksim.blocks.semantic.generated import LearnsFromGenerated
from linksim.blocks.semantic.no_channel import NoChannel
from linksim.blocks.semantic.requirements import networks
from linksim.core.registry import register
from linksim.core.types import Cosine, Fraction, PositiveFloat, PositiveInt


@register("semantic", "no_channel_generated", trains=True, requires=networks)
class NoChannelGenerated(LearnsFromGenerated, NoChannel):
    """As ``no_channel``, trained with generated captions as ``sc_lmkb`` is.

    :param width: of features.
    :param embedding: entries of what is compared with the gallery.
    :param num_heads: of attention.
    :param num_layers: transformer layers, of both ends together.
    :param threshold: cosine similarity that a generated caption must have; -1 takes all.
    :param tries: generated captions that are tried, of those stored.
    :param fusion: see ``sc_lmkb``.
    :param fusion_temperature: of the softmax; small: the more important feature decides.
    :param hallucinated: see ``sc_lmkb``.
    """

    def __init__(self, width: PositiveInt = 128, embedding: PositiveInt = 256, num_heads: PositiveInt = 8,
                 num_layers: PositiveInt = 4, threshold: Cosine = 0.7, tries: PositiveInt = 3,
                 fusion: Literal["cross", "mean", "none"] = "cross", fusion_temperature: PositiveFloat = 0.2,
                 hallucinated: Fraction = 0.0) -> None:
        NoChannel.__init__(self, width, embedding, num_heads, num_layers)
        self.learn_from(threshold, tries, fusion, fusion_temperature, hallucinated)
