r"""What IdasNet and LLMCsiNet report: the elements of the window with most information, and where they are.

Source: J. Wu, W. Xu, L. Liang, X. You and M. Debbah, "Large Language Model Empowered CSI Feedback in Massive MIMO
Systems" (LLMCsiNet), Sections III and IV-B and Fig. 2; self-information is from Z. Yin et al., "Deep CSI Compression
for Massive MIMO: A Self-information Model-driven Neural Network" (IdasNet), IEEE Trans. Wireless Commun. 21(10), 2022.
Equation numbers are LLMCsiNet's. Windows ``[n, 2, rows, beams]`` have zero for zero, and 1 for the largest magnitude.

What the paper leaves open, and what is chosen here:

| open | choice |
|---|---|
| which 9 of the :math:`(2R+1)^2` neighbours | rows and beams at -R, 0 and R: a 3 x 3 kernel of dilation R |
| 9 maps for the 2 parts | kernels of the complex difference: one mask for both parts |
| weights of the convolution from 9 to 64 maps | 1/9, as (9) sums: 64 equal maps, computed once |
| constant C | :math:`\log_2` of the kernel's peak: an element like all its neighbours has 0 bits, none more than 3.17 |
| bandwidth h | 0.03 of the largest magnitude |
| threshold T | 0.2 bits: more than the 0.17 that one odd neighbour of 9 gives |
| the order in "sorted" | magnitude of the self-information image |
| biases of the convolutions | yes, see `SelfInformationEncoder` |

With h and T an element among zeros is kept if it is larger than 0.017, or -35 dB of the largest magnitude. Of UMa
windows (28 GHz, 100 MHz, 32 x 32) that keeps a third of the places, and what is dropped has -25 dB of the energy.
"""

from __future__ import annotations

import torch

from linksim.blocks.feedback.networks.layers import NEGATIVE_SLOPE, begin_small, convolution, leaky_relu
from linksim.core import seeding

NUM_MAPS = 64

_AT_ONCE = 4

_POSITION_BITS = 24
"""More positions than any window has."""


class SelfInformation(torch.nn.Module):
    r"""SICNet: how much an element differs from its neighbourhood, and whether that is enough.

    .. math:: I_j = -\log_2 \frac{1}{9} \sum_r e^{-|c_j - c_{j,r}|^2 / (2 h^2)}

    is (9) with C chosen as above. One of the 9 is the element itself: the sum is never below 1. Beyond the window
    there are zeros. Nothing is learned, and no gradient passes.

    :param radius: R, of the neighbourhood.
    :param bandwidth: h, in units of the input.
    :param threshold: T, in bits.
    """

    def __init__(self, radius: int = 3, bandwidth: float = 0.03, threshold: float = 0.2) -> None:
        super().__init__()
        self.radius, self.bandwidth, self.threshold = radius, bandwidth, threshold

    @torch.no_grad()
    def information(self, window: torch.Tensor) -> torch.Tensor:
        """``[n, 2, rows, beams]`` to bits, ``[n, rows, beams]``, from 0 to log2 9."""
        neighbours = torch.nn.functional.unfold(window, 3, dilation=self.radius, padding=self.radius)
        difference = neighbours.unflatten(1, (2, 9)) - window.flatten(2)[:, :, None]
        kernel = (-difference.square().sum(1) / (2 * self.bandwidth**2)).exp()  # (7) over its peak
        return -kernel.mean(1).log2().unflatten(1, window.shape[2:])  # (9)

    @torch.no_grad()
    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """``[n, 2, rows, beams]`` to the mask, ``[n, 1, rows, beams]``: 1 where there is information, else 0."""
        # as `information`, without its logarithm, and without copies of the neighbours
        reach, (rows, beams) = self.radius, window.shape[2:]
        around = torch.nn.functional.pad(window, (reach,) * 4).unfold(2, rows, reach).unfold(3, beams, reach)
        distance = (around - window[:, :, None, None]).square_().sum(1)  # [n, 3, 3, rows, beams]
        likeness = distance.mul_(-0.5 / self.bandwidth**2).exp_().sum((1, 2))
        return (likeness <= 9 * 2**-self.threshold).to(window.dtype)[:, None]


class SelfInformationEncoder(torch.nn.Module):
    """f_EN: features, masked where there is little information, become the self-information image.

    2,502 parameters are trained: 3 x 3 convolutions 2-64-2 with biases and batch normalisation. Together with the
    fixed kernels that the paper computes self-information with, 9 x 9 that pick neighbours and 9 x 64 that sum maps,
    these are 3,159, and the paper says 3.16 K.

    :param information: the mask.
    """

    def __init__(self, information: SelfInformation | None = None) -> None:
        super().__init__()
        self.information = information or SelfInformation()
        self.features = torch.nn.Sequential(convolution(2, NUM_MAPS, 3, bias=True), leaky_relu())
        self.image = torch.nn.Sequential(convolution(NUM_MAPS, 2, 3, bias=True), leaky_relu())
        begin_small(self.image[0])
        self._kernels: tuple[torch.Tensor, ...] | None = None
        self.register_load_state_dict_post_hook(lambda module, _: module._forget())

    def train(self, mode: bool = True) -> SelfInformationEncoder:
        self._forget()
        return super().train(mode)

    def _apply(self, *arguments: object) -> SelfInformationEncoder:  # to another device
        self._forget()
        return super()._apply(*arguments)

    def _forget(self) -> None:
        self._kernels = None

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """``[n, 2, rows, beams]`` to the same."""
        if self.training or torch.is_grad_enabled():
            return self.image(self.features(window) * self.information(window))
        # few at a time: their 64 maps stay in a processor's cache
        at_once = len(window) if window.is_cuda else _AT_ONCE
        return torch.cat([self._deployed(part) for part in window.split(at_once)])

    def _deployed(self, window: torch.Tensor) -> torch.Tensor:
        """The same as a terminal would run it: normalisations folded into the kernels, nothing kept for gradients."""
        if self._kernels is None:
            kernel, bias = _folded(self.image[0])
            # two maps from 64: a matrix product for each place of the kernel, and their sum, whose order is reversed
            self._kernels = *_folded(self.features[0]), kernel.flip(2, 3).permute(0, 2, 3, 1).flatten(0, 2), \
                bias[:, None, None]
        kernel, bias, places, offset = self._kernels
        features = torch.nn.functional.conv2d(window, kernel, bias, padding=1)
        features = torch.nn.functional.leaky_relu_(features, NEGATIVE_SLOPE) * self.information(window)
        image = torch.nn.functional.fold(places @ features.flatten(2), window.shape[2:], 3, padding=1)
        return torch.nn.functional.leaky_relu_(image + offset, NEGATIVE_SLOPE)


def _folded(unit: torch.nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel and bias of a `convolution` whose normalisation has its running statistics."""
    kernel, normalization = unit
    return torch.nn.utils.fusion.fuse_conv_bn_weights(
        kernel.weight, kernel.bias, normalization.running_mean, normalization.running_var, normalization.eps,
        normalization.weight, normalization.bias)


def select_strongest(image: torch.Tensor, num_values: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The elements of largest magnitude; of equal ones the first.

    :param image: ``[n, 2, rows, beams]``.
    :param num_values: elements selected of each image, M.
    :returns: values ``[n, M]``, which gradients pass through, and positions in the flattened image, ascending,
        int64 ``[n, M]``.
    :raises ValueError: more values than an image has.
    """
    flat = image.flatten(1)
    if not 1 <= num_values <= flat.shape[1]:
        raise ValueError(f"selection: 1 to {flat.shape[1]} values can be had of an image {list(image.shape[1:])} "
                         f"(given {num_values})")
    positions = _strongest(flat, num_values).sort(-1).values
    return flat.gather(1, positions), positions


def select_strongest_each(image: torch.Tensor, num_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """As `select_strongest`, each image with its own number of values: training for several compressions at once.

    Source: LLMCsiNet, Section V-E.

    :param num_values: integers ``[n]``.
    :returns: values ``[n, M]``, M being the largest number; positions ``[n, M]``; which of them are meant, bool
        ``[n, M]``. The others stand at the end: values of 0, at the position behind the last, which `fill` leaves out.
    :raises ValueError: a number that an image has not.
    """
    flat = image.flatten(1)
    total = flat.shape[1]
    if num_values.min() < 1 or num_values.max() > total:
        raise ValueError(f"selection: 1 to {total} values can be had of an image {list(image.shape[1:])} "
                         f"(given {num_values.tolist()})")
    order = _strongest(flat, int(num_values.max()))
    meant = torch.arange(order.shape[1], device=order.device) < num_values[:, None]  # the first are the strongest
    positions = order.masked_fill(~meant, total).sort(-1).values
    return torch.nn.functional.pad(flat, (0, 1)).gather(1, positions), positions, meant


def _strongest(flat: torch.Tensor, num_values: int) -> torch.Tensor:
    """Positions of the largest magnitudes, largest first, of equal ones the first: ``[n, num_values]``."""
    # bits of a positive float are ordered as it is; ties (all that is masked) fall the same way on every device
    rank = flat.detach().float().abs().contiguous().view(torch.int32).long() << _POSITION_BITS
    return (rank - torch.arange(flat.shape[1], device=flat.device)).topk(num_values, -1).indices


def fill(values: torch.Tensor, positions: torch.Tensor, mean: torch.Tensor, rows: int, beams: int) -> torch.Tensor:
    """The first step of f_PD: the matrix K, the mean everywhere but where values were reported.

    :param values: ``[n, M]``; gradients pass through.
    :param positions: ``[n, M]``; a position behind the last element is left out.
    :param mean: of the original windows, ``[n]``.
    :returns: ``[n, 2, rows, beams]``.

    Source: LLMCsiNet, Section IV-C.
    """
    total = 2 * rows * beams
    matrix = mean.to(values.dtype)[:, None].expand(-1, total + 1).scatter(1, positions, values)
    return matrix[:, :total].unflatten(1, (2, rows, beams))


class StrongestSelection(torch.nn.Module):
    """The strongest elements of what a network makes of the window; without one, of the window itself.

    Without a network it is a control: what the terminal's learned encoder is worth.
    """

    def __init__(self, network: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.network = network or torch.nn.Identity()

    def forward(self, window: torch.Tensor, num_values: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As `select_strongest`."""
        return select_strongest(self.network(window), num_values)


class RandomSelection(torch.nn.Module):
    """Elements of the window itself at random places: the ablation "without f_EN" (LLMCsiNet, Section V-G).

    The places are the same for all windows, drawn from a seed that both sides know, so that positions cost no bits. A
    smaller number of values takes a part of a larger one's places.

    :param seed: of the places.
    """

    def __init__(self, rows: int, beams: int, seed: int = 0) -> None:
        super().__init__()
        stream = seeding.generator(seeding.stream_seed(seed, "random selection"))
        self.register_buffer("order", torch.randperm(2 * rows * beams, generator=stream), persistent=False)

    def forward(self, window: torch.Tensor, num_values: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As `select_strongest`; positions ``[n, M]`` are the same in each row.

        :raises ValueError: more values than a window has.
        """
        if not 1 <= num_values <= len(self.order):
            raise ValueError(f"selection: 1 to {len(self.order)} values can be had of this window (given {num_values})")
        positions = self.order[:num_values].sort().values.expand(len(window), -1)
        return window.flatten(1).gather(1, positions), positions
