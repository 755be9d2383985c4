"""SC-LMKB's codec: learns from captions and from what a language model makes of them, filtered and fused."""

from __future__ import annotations

from typing import Literal

from linksim.blocks.semantic.generated import LearnsFromGenerated
from linksim.blocks.semantic.jscc import JsccCodec
from linksim.blocks.semantic.requirements import networks
from linksim.core.registry import register
from linksim.core.types import Cosine, Decibel, Fraction, PositiveFloat, PositiveInt


@register("semantic", "sc_lmkb", trains=True, requires=networks)
class ScLmkb(LearnsFromGenerated, JsccCodec):
    """Joint source-channel coding with a language model as source knowledge base: SDG, filter and cross-domain fusion.

    The first stage of training knows the captions alone. Then the hallucination filter compares what the codec's own
    encoder makes of each caption with what it makes of its generated ones, in their order, and takes the first that is
    near enough (Algorithm 1; after `tries` of them the original is kept). In the second stage a caption and its
    generated one go over the link together: how much each matters for the task, by the gradient of the loss, weighs the
    other's features. What is used after training is the codec alone: the transmitter generates nothing.

    Source: "Semantic Communication with an LLM-enabled Knowledge Base", Sections III-B, IV-A and IV-C, eqs. (22)-(29),
    Algorithm 1. What the paper leaves open, and what is chosen here:

    | open | choice |
    |---|---|
    | similarity threshold | `threshold` |
    | how often the model is asked again | generated ones are stored with the data set, `tries` of each are tried |
    | when the filter is applied | once, by the encoder that the first stage has trained |
    | pooling of gradients (27) | mean of magnitudes over the features of a caption: signed ones cancel |
    | scale of the softmax (28) | of the two pooled gradients over their sum, by `fusion_temperature` |
    | fused features (29) | w' s + w s': each weighed by the other's importance |
    | captions without a generated one | are sent as they are |

    :param width: of features.
    :param embedding: entries of what is compared with the gallery.
    :param num_heads: of attention.
    :param num_layers: transformer layers at either end.
    :param symbols_per_slot: complex symbols that carry one feature vector.
    :param snr_low_db: link SNR in training, drawn evenly up to `snr_high_db`, dB.
    :param snr_high_db: see `snr_low_db`.
    :param threshold: cosine similarity that a generated caption must have; -1 takes all.
    :param tries: generated captions that are tried, of those stored.
    :param fusion: "cross" as in the paper; "mean": both features count half, a control; "none": in every step a caption
        or its generated one is sent, at random, which is plain augmentation.
    :param fusion_temperature: of the softmax; small: the more important feature decides.
    :param hallucinated: share of generated captions that are replaced by another identity's, to see what the filter
        does with faults that are known.
    """

    def __init__(self, width: PositiveInt = 128, embedding: PositiveInt = 256, num_heads: PositiveInt = 8,
                 num_layers: PositiveInt = 2, symbols_per_slot: PositiveInt = 8, snr_low_db: Decibel = -20.0,
                 snr_high_db: Decibel = 20.0, threshold: Cosine = 0.7, tries: PositiveInt = 3,
                 fusion: Literal["cross", "mean", "none"] = "cross", fusion_temperature: PositiveFloat = 0.2,
                 hallucinated: Fraction = 0.0) -> None:
        super().__init__(width, embedding, num_heads, num_layers, symbols_per_slot, snr_low_db, snr_high_db)
        self.learn_from(threshold, tries, fusion, fusion_temperature, hallucinated)
