"""What generated captions are worth where there is no channel."""

from __future__ import annotations

from linksim.blocks.semantic.generated import GeneratedCaptions, LearnsFromGenerated
from linksim.blocks.semantic.learned import EncoderSizes
from linksim.blocks.semantic.no_channel import NoChannel
from linksim.blocks.semantic.requirements import networks
from linksim.core.registry import register


@register("semantic", "no_channel_generated", trains=True, requires=networks)
class NoChannelGenerated(LearnsFromGenerated, NoChannel):
    """As ``no_channel``, trained with generated captions as ``sc_lmkb`` is."""

    def __init__(self, sizes: EncoderSizes = EncoderSizes(num_layers=4),
                 generated: GeneratedCaptions = GeneratedCaptions()) -> None:
        NoChannel.__init__(self, sizes)
        self.learn_from(generated)
