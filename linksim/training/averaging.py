"""An average of a block's weights over the last steps: smoother than the weights themselves, and often better."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from linksim.blocks.parameters import matched


class WeightAverage:
    r"""The exponential average of what a block learns.

    Its memory is a share of the steps made so far, :math:`\bar w_t = \bar w_{t-1} + (w_t - \bar w_{t-1}) \min(1, 1 /
    (s t))`. So it needs no correction at the beginning, where it is the weights themselves, and means the same for
    trainings of any length, also for those that a budget ends. With a share of 1 it is the mean of all steps.

    Trained parameters are averaged, and floating-point buffers with them: the statistics of a batch normalisation
    belong to weights. What is frozen is not copied.

    :param block: on the device that it is trained on.
    :param share: s, above 0 and at most 1.
    :ivar num_steps: t, since the average was begun.

    Source: an exponential average with a memory that grows with the training is that of T. Karras et al., "Analyzing
    and Improving the Training Dynamics of Diffusion Models", CVPR 2024, Section 3.1, up to its start.
    """

    def __init__(self, block: torch.nn.Module, share: float) -> None:
        self.share = share
        self.num_steps = 0
        self._weights = {name: tensor for name, tensor in (*block.named_parameters(), *block.named_buffers())
                         if tensor.requires_grad or (tensor.is_floating_point()
                                                     and not isinstance(tensor, torch.nn.Parameter))}
        self._average = {name: tensor.detach().clone() for name, tensor in self._weights.items()}

    def begin(self) -> None:
        """Forget all steps: the next one is the first."""
        self.num_steps = 0

    def update(self) -> None:
        """Take the weights in, after a step."""
        self.num_steps += 1
        newest = min(1.0, 1 / (self.share * self.num_steps))
        weights = [tensor.detach() for tensor in self._weights.values()]
        get_ema_multi_avg_fn(1 - newest)(list(self._average.values()), weights, self.num_steps)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The block has the average meanwhile, and its own weights again afterwards."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        # values, not tensors: a recurrent layer's weights have to stay where they lie together on a GPU
        for name, tensor in self._weights.items():
            own = tensor.clone()
            tensor.copy_(self._average[name])
            self._average[name].copy_(own)

    def state(self) -> dict[str, Any]:
        """What `restore` takes."""
        return {"num_steps": self.num_steps, "average": self._average}

    def restore(self, state: dict[str, Any], name: str) -> None:
        """Go on from a state.

        :param name: of the method, for messages.
        :raises LinksimError: names, sizes or types are not this block's.
        """
        for key, tensor in matched(self._average, state["average"], name).items():
            self._average[key].copy_(tensor)
        self.num_steps = int(state["num_steps"])
