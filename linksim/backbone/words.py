"""A language model's word embeddings as a dictionary: reduced by PCA, or spoilt for a control."""

from __future__ import annotations

import hashlib

import torch

from linksim.core import seeding
from linksim.core.cache import cached_tensors
from linksim.core.errors import ScenarioError


def shuffled(words: torch.Tensor, seed: int) -> torch.Tensor:
    """The entries of each word permuted, every word in its own way.

    Each word keeps its length, mean and values; which entry stands for what, and so every direction and similarity
    between words, is lost.

    :param words: ``[vocabulary, width]``.
    :returns: likewise.
    """
    stream = seeding.generator(seeding.stream_seed(seed, "shuffled words"))
    order = torch.rand(words.shape, generator=stream).argsort(-1)
    return words.gather(-1, order.to(words.device))


def principal_words(words: torch.Tensor, count: int) -> torch.Tensor:
    r"""PCA along the vocabulary dimension: few linear combinations of the words that carry most of their variance.

    Every entry of the embedding is one observation of as many variables as there are words (CSI-ALM eq. (14), as
    ``PCA(count).fit_transform(words.T).T`` of scikit-learn). With :math:`\mathbf D_c` the words less their own means
    and :math:`\mathbf D_c^T \mathbf D_c = \sum_i s_i^2 \mathbf u_i \mathbf u_i^T`, the rows are
    :math:`s_i \mathbf u_i^T`: orthogonal, strongest first. All are scaled by one factor, so that their root mean
    square is that of the words, and the largest entry of each is positive. The first is much the strongest: it is
    what all words have in common.

    They are kept in the cache. On another machine near-equal components may come out otherwise: a block that was
    trained with them saves them with its weights.

    :param words: ``[vocabulary, width]``.
    :param count: at most ``width - 1``.
    :returns: ``[count, width]``, float32.
    :raises ScenarioError: more components than there are.
    """
    if not 1 <= count < words.shape[1]:
        raise ScenarioError(f"principal words: 1 to {words.shape[1] - 1} can be had of embeddings that are "
                            f"{words.shape[1]} wide (given {count})")
    on_cpu = words.detach().float().cpu().contiguous()
    digest = hashlib.sha256(on_cpu.numpy()).hexdigest()[:24]
    components = cached_tensors(f"principal_words-1/{digest}.safetensors",
                                lambda: {"components": _components(on_cpu)})["components"][:count]
    scale = on_cpu.square().mean().sqrt() / components.square().mean().sqrt()
    return (scale * components).to(words.device)


def _components(words: torch.Tensor) -> torch.Tensor:
    """All of them, ``[width - 1, width]``, unscaled."""
    gram = torch.zeros(words.shape[1], words.shape[1], dtype=torch.float64)
    for part in words.split(8192):  # in double precision, a part at a time for memory
        centred = part.double() - part.double().mean(-1, keepdim=True)
        gram += centred.mT @ centred
    squares, vectors = torch.linalg.eigh(gram)  # in rising order; the smallest is the mean that was taken off
    rows = (squares.clamp_min(0).sqrt() * vectors).mT.flip(0)[:-1]
    largest = rows.gather(-1, rows.abs().argmax(-1, keepdim=True))
    return (rows * largest.sign()).float()
