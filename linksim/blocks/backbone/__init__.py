"""Pretrained language models as a part of other blocks: loading, adaptation, word embeddings, last attention."""

from linksim.blocks.backbone.architectures import LastAttention
from linksim.blocks.backbone.choice import BackboneChoice
from linksim.blocks.backbone.model import Backbone, build_backbone

__all__ = ["Backbone", "BackboneChoice", "LastAttention", "build_backbone"]
