"""A small retrieval set and channels without Sionna."""

import itertools

import torch

from linksim.blocks.prediction.learned import TrainingBatch
from linksim.core.csi import Csi, Panel
from linksim.retrieval.data import RetrievalSet, Split

COLOURS = ("red", "green", "blue", "yellow", "black", "white")
THINGS = ("car", "dog", "tree", "house", "boat", "apple", "bird", "chair")


def toy_set() -> RetrievalSet:
    """48 identities, two captions each; a picture's features say colour and thing, with noise."""
    draw = torch.Generator().manual_seed(0)
    pairs = list(itertools.product(range(len(COLOURS)), range(len(THINGS))))

    def split(numbers: list[int]) -> Split:
        captions, identities, features = [], [], []
        for number in numbers:
            colour, thing = pairs[number]
            captions += [f"a {COLOURS[colour]} {THINGS[thing]}", f"the {THINGS[thing]} is {COLOURS[colour]}"]
            identities += [number, number]
            parts = torch.zeros(len(COLOURS) + len(THINGS))
            parts[colour], parts[len(COLOURS) + thing] = 1, 1
            features.append(parts + 0.05 * torch.randn(len(parts), generator=draw))
        return Split(tuple(captions), torch.tensor(identities), torch.tensor(numbers), torch.stack(features)[:, None])

    order = torch.randperm(len(pairs), generator=draw).tolist()
    return RetrievalSet("toy", "image", split(sorted(order[:32])), split(sorted(order[32:40])),
                        split(sorted(order[40:])), {"name": "toy"})


def toy_batch(drops: int = 8, antennas: int = 4, tones: int = 6, seed: int = 0) -> TrainingBatch:
    """Independent Rayleigh fading of one user."""
    draw = torch.Generator().manual_seed(seed)
    h = torch.randn(drops, 1, antennas, antennas, 1, tones, dtype=torch.complex64, generator=draw)
    csi = Csi(h, torch.zeros(1), torch.arange(tones) * 1e5, torch.zeros(drops, 1), Panel(1, antennas, 1),
              torch.zeros(drops, 1))
    return TrainingBatch(csi, csi, csi)
