"""Captions over the streams of a precoded MIMO-OFDM link: what carries them, what arrives, what both ends know.

A caption is `channel_uses` complex symbols over all streams together: stream after stream on one resource element (a
subcarrier at a time), then on the next. Its elements are spread over the whole band and all predicted times.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from linksim.mimo.noise import complex_normal
from linksim.mimo.receiver import lmmse

_LEAST_GAIN = 1e-6
"""Least gain of detected symbols, which is SINR / (1 + SINR): a stream without power is handed on with this SINR
instead of a division by zero, and none is taken for better than its inverse."""


@dataclass(frozen=True)
class Air:
    """What lies between both ends before anything is detected; all of complex values where nothing else is said.

    :param effective: channel with precoder, ``[caption, element, ue_ant, stream]``.
    :param error: of the receiver's estimate of it, likewise.
    :param noise: at the antennas, ``[caption, element, ue_ant]``.
    :param noise_variance: of the noise, ``[caption]``, real.
    :param power: that a symbol of unit power costs, ``[caption, element, stream]``, real.
    """

    effective: torch.Tensor
    error: torch.Tensor
    noise: torch.Tensor
    noise_variance: torch.Tensor
    power: torch.Tensor
    num_pilots: int

    def send(self, symbols: torch.Tensor, amplitude: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Detected symbols and their believed noise variance, ``[caption, use]`` each, as of `StreamLink`.

        Pilots are as strong as the data: streams with much power are known better, silent ones have no pilots. More
        power than the transmitter has is scaled down, which the receiver sees in the pilots.

        :param symbols: as sent, ``[caption, use]``.
        :param amplitude: root mean square of each, real, ``[caption, use]``; 0 where nothing is sent.
        """
        planned = amplitude.unflatten(1, self.power.shape[1:])
        spent = (self.power * planned.square()).sum(-1).mean(-1)
        sent = planned / spent.clamp_min(1).sqrt()[:, None, None]
        active = planned > 0
        unit = symbols.unflatten(1, planned.shape[1:]) / torch.where(active, planned, 1)
        loaded = self.noise_variance[:, None] * (1 + active.sum(-1) / self.num_pilots)
        true = self.effective * sent.unsqueeze(-2)
        detector, error_variance = _detector(true + self.error * active.unsqueeze(-2), loaded)
        received = (true @ (unit * active).unsqueeze(-1)).squeeze(-1) + self.noise
        detected = (detector @ received.unsqueeze(-1)).squeeze(-1)
        variance = torch.where(active, planned.square() * error_variance, 1 / _LEAST_GAIN)
        return (planned * detected).flatten(1), variance.flatten(1)


@dataclass(frozen=True)
class StreamLink:
    """The streams that carry the captions of some drops, and what both ends know of them.

    :param response: from sent to detected symbols, ``[caption, element, stream, stream]``: its diagonal is one where
        the receiver knows the channel.
    :param noise: of the detected symbols, ``[caption, element, stream]``.
    :param noise_variance: of the detected symbols' whole error as the receiver believes, ``[caption, use]``, for
        symbols of unit power.
    :param expected_sinr: that the transmitter's CSI promises to symbols of unit power, ``[caption, use]``, linear.
    :param air: for symbols of other powers.
    """

    response: torch.Tensor
    noise: torch.Tensor
    noise_variance: torch.Tensor
    expected_sinr: torch.Tensor
    air: Air

    def send(self, symbols: torch.Tensor) -> torch.Tensor:
        """Detected symbols ``[caption, use]``, unbiased as far as the receiver knows; differentiable.

        :param symbols: complex, ``[caption, use]``, unit mean power over each caption.
        """
        streams = symbols.unflatten(1, self.noise.shape[1:])
        return ((self.response @ streams.unsqueeze(-1)).squeeze(-1) + self.noise).flatten(1)


def stream_link(true: torch.Tensor, h_hat: torch.Tensor, weights: torch.Tensor, noise_variance: torch.Tensor,
                elements: torch.Tensor, num_pilots: int, noise: torch.Generator) -> StreamLink:
    """The link of the captions of some drops.

    The receiver estimates the effective channel of every resource element from ``num_pilots`` precoded pilots a stream
    of the data's power, which costs it ``noise_variance / num_pilots`` on every entry, and detects by LMMSE, taking the
    estimate's error for more noise. It does not know the transmitter's CSI, only what it receives.

    :param true: ``[drop, resource, ue_ant, bs_ant]``.
    :param h_hat: what the transmitter takes it for, likewise.
    :param weights: ``[drop, resource, bs_ant, stream]``, unit power.
    :param noise_variance: per complex entry, ``[drop]``.
    :param elements: resource of every caption's every element, ``[drop, caption, element]``.
    :param noise: drawn on the CPU, for all drops, captions and elements.
    :returns: captions of all drops, drop after drop.

    Source: Tse and Viswanath, Fundamentals of Wireless Communication, section 8.3.3 (LMMSE); pilot estimates by least
    squares: Hassibi and Hochwald, "How much training is needed in multiple-antenna wireless links?", eq. (19).
    """
    num_streams, ue_ant = weights.shape[-1], true.shape[-2]
    variance = noise_variance[:, None, None, None]
    loaded = noise_variance[:, None] * (1 + num_streams / num_pilots)
    effective = true @ weights
    error = (variance / num_pilots).sqrt() * complex_normal(effective.shape, noise).to(effective)
    detector, error_variance = _detector(effective + error, loaded)
    _, expected_variance = _detector(h_hat @ weights, loaded)
    drop = torch.arange(len(true), device=true.device)[:, None, None].expand_as(elements)

    def of_captions(per_resource: torch.Tensor) -> torch.Tensor:
        return per_resource[drop, elements].flatten(0, 1)

    received_noise = variance.sqrt() * complex_normal((*elements.shape, ue_ant), noise).to(effective)
    detected_noise = (of_captions(detector) @ received_noise.flatten(0, 1).unsqueeze(-1)).squeeze(-1)
    power = weights.abs().square().sum(-2)
    air = Air(of_captions(effective), of_captions(error), received_noise.flatten(0, 1),
              noise_variance.repeat_interleave(elements.shape[1]), of_captions(power), num_pilots)
    return StreamLink(of_captions(detector @ effective), detected_noise, of_captions(error_variance).flatten(1),
                      of_captions(1 / expected_variance).flatten(1), air)


def caption_elements(num_resources: int, num_captions: int, num_elements: int) -> torch.Tensor:
    """Resource elements of the captions of a drop, ``[caption, element]``: evenly over the resources, each caption
    beginning elsewhere. With more elements than resources these serve again, in other noise.
    """
    within = torch.arange(num_elements) * num_resources // num_elements
    begin = torch.arange(num_captions) * num_resources // num_captions
    return (begin[:, None] + within) % num_resources


def _detector(known: torch.Tensor, noise_variance: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Unbiased LMMSE detector ``[..., stream, ue_ant]`` of a channel ``[..., ue_ant, stream]``, and the error's
    variance of each stream's symbols, ``[..., stream]``, both in the channel's precision.
    """
    filters, share = lmmse(known, known, noise_variance)
    share = share.clamp(_LEAST_GAIN, 1 - _LEAST_GAIN)
    return (filters / share.unsqueeze(-1)).to(known.dtype), ((1 - share) / share).to(known.real.dtype)
