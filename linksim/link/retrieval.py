"""Captions of the test split over the channels of a chunk of drops, and how well their items are found."""

from __future__ import annotations

import torch

from linksim.blocks.semantic.base import SemanticCodec, relevance
from linksim.core.seeding import generator, stream_seed
from linksim.metrics.retrieval import retrieval_measures
from linksim.mimo.stream_link import caption_elements, stream_link
from linksim.scenario.semantic import Semantic


@torch.inference_mode()
def retrieve(codec: SemanticCodec, true: torch.Tensor, h_hat: torch.Tensor, weights: torch.Tensor,
             noise_variance: float, sent: Semantic, seed: int) -> dict[str, torch.Tensor]:
    """Retrieval measures of every drop, mean over its captions: each ``[drop, 1]``.

    Captions, pilots' errors and noise are the same for all methods and link SNRs but for their scale.

    :param true: ``[drop, time, subcarrier, user, ue_ant, bs_ant]``, one user.
    :param h_hat: as the transmitter takes it for, likewise.
    :param weights: ``[drop, time, subcarrier, bs_ant, stream]``.
    :param noise_variance: per complex entry.
    :param seed: of the chunk.
    """
    split = codec.data.test
    num_drops, num_streams = len(true), weights.shape[-1]
    draw = generator(stream_seed(seed, "captions"))
    captions = torch.randint(len(split.captions), (num_drops * sent.captions_per_drop,), generator=draw)
    channel, taken_for, sent_by = (part.flatten(1, 2) for part in (true[..., 0, :, :], h_hat[..., 0, :, :], weights))
    elements = caption_elements(channel.shape[1], sent.captions_per_drop, sent.channel_uses // num_streams)
    link = stream_link(channel, taken_for, sent_by, torch.full((num_drops,), noise_variance, device=true.device),
                       elements.expand(num_drops, -1, -1).to(true.device), sent.num_pilots,
                       generator(stream_seed(seed, "semantic link")))
    scores = codec.over(codec.queries("test", captions), link) @ codec.test_gallery.mT
    measures = retrieval_measures(scores.float(), relevance(split, captions).to(scores.device))
    return {name: values.unflatten(0, (num_drops, -1)).mean(1, keepdim=True) for name, values in measures.items()}
