"""Items of a gallery to embeddings beside those of captions."""

from __future__ import annotations

import torch

_DROPOUT = 0.1
_KERNEL, _STRIDE = 5, 2


class ItemEncoder(torch.nn.Module):
    """Features ``[item, frame, feature]`` to embeddings of unit length ``[item, embedding]``.

    Sequences (audio, motion) pass two convolutions over time and are pooled by mean and maximum; a single frame (a
    picture's features) passes as it is.

    :param num_frames: 1 for pictures.
    :param mean: of the training items' features, ``[feature]``; ``deviation`` likewise.
    """

    def __init__(self, num_frames: int, mean: torch.Tensor, deviation: torch.Tensor, width: int, embedding: int
                 ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation.clamp_min(1e-3))
        features = len(mean)
        self.over_time = torch.nn.Sequential(
            torch.nn.Conv1d(features, width, _KERNEL, _STRIDE, _KERNEL // 2), torch.nn.GELU(),
            torch.nn.Conv1d(width, width, _KERNEL, _STRIDE, _KERNEL // 2), torch.nn.GELU(),
        ) if num_frames > 1 else None
        pooled = 2 * width if num_frames > 1 else features
        self.straight = torch.nn.Linear(pooled, embedding)
        self.bent = torch.nn.Sequential(torch.nn.Linear(pooled, 2 * width), torch.nn.GELU(),
                                        torch.nn.Dropout(_DROPOUT), torch.nn.Linear(2 * width, embedding))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """:param features: ``[item, frame, feature]``."""
        scaled = (features - self.mean) / self.deviation
        if self.over_time is None:
            pooled = scaled[:, 0]
        else:
            frames = self.over_time(scaled.mT)
            pooled = torch.cat([frames.mean(2), frames.amax(2)], 1)
        return torch.nn.functional.normalize(self.straight(pooled) + self.bent(pooled), dim=1)
