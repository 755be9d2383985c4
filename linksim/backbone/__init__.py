"""Pretrained language models as a part of other blocks: loading, adaptation, word embeddings, last attention."""

from linksim.backbone.architectures import LastAttention
from linksim.backbone.choice import BackboneChoice
from linksim.backbone.model import Backbone, build_backbone

__all__ = ["Backbone", "BackboneChoice", "LastAttention", "build_backbone"]
