"""DeepSC over MIMO: a joint source and channel codec that learns from captions as they are."""

from __future__ import annotations

from linksim.blocks.semantic.jscc import JsccCodec
from linksim.blocks.semantic.requirements import networks
from linksim.core.registry import register


@register("semantic", "deepsc_mimo", trains=True, requires=networks)
class DeepScMimo(JsccCodec):
    """Joint source-channel coding of captions by transformers, trained end to end over SVD-precoded MIMO.

    Source: H. Xie et al., "Deep Learning Enabled Semantic Communication Systems", IEEE Trans. Signal Process. 69, 2021
    (layers and widths); the MIMO baseline of SC-LMKB, Section V-A. What is adapted:

    | there | here |
    |---|---|
    | 4 + 4 layers on word embeddings learned from a corpus | 2 + 2 on a frozen sentence encoder's token states |
    | every token is sent in 8 symbols | as many slots of 8 symbols as there are channel uses for |
    | text is restored | items are retrieved: a contrastive loss |
    | noise 3 dB too low, one fade for a batch | noise of each complex symbol; every drop has its channel and SNR |
    """
