"""A retrieval data set of one's own, as a plug-in: six items a split."""

import torch

from linksim.core.registry import register
from linksim.retrieval.data import RetrievalData, RetrievalSet, Split

WORDS = ("car", "dog", "tree", "house", "boat", "apple")


def _split(adjective, first):
    features = torch.eye(6)[:, None] + 0.01 * first
    identities = torch.arange(first, first + 6)
    return Split(tuple(f"a {adjective} {word}" for word in WORDS), identities, identities, features)


@register("retrieval_data", "toy")
class Toy(RetrievalData):
    """Six things, in another colour in each split."""

    def load(self) -> RetrievalSet:
        return RetrievalSet("toy", "image", _split("red", 0), _split("green", 6), _split("blue", 12), {"name": "toy"})
