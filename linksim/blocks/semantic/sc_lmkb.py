"""SC-LMKB's codec: learns from captions and from what a language model makes of them, filtered and fused."""

from __future__ import annotations

from linksim.blocks.semantic.generated import GeneratedCaptions, LearnsFromGenerated
from linksim.blocks.semantic.jscc import JsccCodec
from linksim.blocks.semantic.learned import EncoderSizes, SentSymbols
from linksim.blocks.semantic.requirements import networks
from linksim.core.registry import register


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
    """

    def __init__(self, sizes: EncoderSizes = EncoderSizes(), symbols: SentSymbols = SentSymbols(),
                 generated: GeneratedCaptions = GeneratedCaptions()) -> None:
        super().__init__(sizes, symbols)
        self.learn_from(generated)
