"""One chunk of drops: the rays, the true uplink history and the true downlink future, from one draw."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sionna.phy import SPEED_OF_LIGHT

from linksim.channel.beam_squint import squint_note
from linksim.channel.rays import Rays
from linksim.channel.response import frequency_response, squinting_response
from linksim.core.csi import Csi, Panel
from linksim.core.errors import LinksimError
from linksim.core.seeding import generator, stream_seed
from linksim.scenario.channel import Channel


@dataclass(frozen=True)
class Band:
    """Where a band lies.

    :param carrier_hz: sets wavelength and Doppler.
    :param frequency_hz: ``[subcarrier]``, absolute.
    :param beam_squint: every tone has a wavelength and a Doppler shift of its own.
    """

    carrier_hz: float
    frequency_hz: torch.Tensor
    beam_squint: bool = False

    def response(self, rays: Rays, time_s: torch.Tensor, reference_hz: float) -> torch.Tensor:
        """The channel of rays in this band, ``[*links, ue_ant, bs_ant, time, subcarrier]``, complex64.

        :param time_s: ``[time]``.
        :param reference_hz: the carrier that ray phases refer to.
        """
        if self.beam_squint:
            h = squinting_response(rays, self.frequency_hz, time_s, reference_hz)
        else:
            h = frequency_response(rays, self.carrier_hz, time_s, self.frequency_hz - reference_hz)
        return h.to(torch.complex64)


@dataclass(frozen=True)
class Drops:
    """A chunk of drops. What the base station may know is derived from ``history`` by acquisition.

    :param history: true uplink channel at the history's times.
    :param future: true downlink channel at the times to predict.
    :param uplink_rays: rays of the history; ``downlink_rays`` of the future: the same ones, but for the phases
        in ``fdd_gapped_independent``.
    :param reference_hz: the carrier that ray phases refer to.
    :param area: number of the procedural area that each user stands in, ``[batch, user]``.
    :param rays_stay: the rays hold at all times; false where paths are traced anew along the way.
    :param notes: what a run should say of these drops.
    """

    history: Csi
    future: Csi
    uplink: Band
    downlink: Band
    uplink_rays: Rays
    downlink_rays: Rays
    reference_hz: float
    area: torch.Tensor | None = None
    rays_stay: bool = True
    notes: tuple[str, ...] = ()

    def response(self, time_s: torch.Tensor) -> Csi:
        """The true uplink channel at any other times; the same rays, so the same fading."""
        return self.history.with_h(
            self.uplink.response(self.uplink_rays, time_s, self.reference_hz), time_s=time_s
        )

    def downlink_history(self) -> Csi:
        """The true downlink channel at the history's times: what terminals report.

        :raises ValueError: drops without rays have it in TDD alone.
        """
        same_band = torch.equal(self.downlink.frequency_hz, self.uplink.frequency_hz)
        if same_band and self.downlink_rays is self.uplink_rays:
            return self.history
        if self.downlink_rays is None:
            raise ValueError("drops without rays hold no downlink history outside TDD")
        time_s = self.history.time_s
        h = self.downlink.response(self.downlink_rays, time_s, self.reference_hz)
        return self.future.with_h(h, time_s=time_s)

    def downlink_at(self, time_s: torch.Tensor, number: int) -> torch.Tensor:
        """The true downlink channel at times around the future's instant ``number``.

        :returns: ``[batch, user, ue_ant, bs_ant, time, subcarrier]``; where there are no rays, or paths are traced anew
            along the way, that instant's channel at all times.
        """
        if self.downlink_rays is None or not self.rays_stay:
            return self.future.h[..., number:number + 1, :].expand(*self.future.h.shape[:-2], len(time_s), -1)
        return self.downlink.response(self.downlink_rays, time_s, self.reference_hz)

    @property
    def path_loss_db(self) -> torch.Tensor:
        """``[batch, user]``: loss between isotropic antennas before normalisation, where path loss is modelled.

        That of a ray-traced user is the loss of all its paths together.
        """
        return -10 * self.uplink_rays.large_scale_gain.log10()


@dataclass(frozen=True)
class DropsWithoutRays(Drops):
    """Drops whose rays are not known: nothing is known of them at other times either.

    :param uplink_future: true uplink channel at the future's times, where it is known.
    """

    uplink_future: Csi | None = None

    def response(self, time_s: torch.Tensor) -> Csi:
        """The true uplink channel at the future's times; no others are known.

        :raises LinksimError: other times, or the downlink's future alone is known.
        """
        if self.uplink_future is None or not torch.equal(time_s, self.uplink_future.time_s):
            raise LinksimError("channel: the uplink's future is needed here, but its source gives neither it nor the "
                               "rays")
        return self.uplink_future


def bands(channel: Channel) -> tuple[Band, Band]:
    """Uplink and downlink band of a duplex mode."""
    carrier_hz = channel.carrier_frequency_ghz * 1e9
    spacing_hz = channel.subcarrier_spacing_khz * 1e3
    count = channel.num_subcarriers

    def tones(number: int) -> torch.Tensor:
        return (torch.arange(number, dtype=torch.float64) - (number - 1) / 2) * spacing_hz

    squint = bool(channel.beam_squint)
    match channel.duplex:
        case "tdd":
            band = Band(carrier_hz, carrier_hz + tones(count), squint)
            return band, band
        case "fdd_adjacent":
            # both halves of one response: one carrier, hence one wavelength, as in the published data sets
            both = carrier_hz + tones(2 * count)
            return Band(carrier_hz, both[:count], squint), Band(carrier_hz, both[count:], squint)
        case _:
            downlink_hz = carrier_hz + channel.duplex_gap_mhz * 1e6
            return (Band(carrier_hz, carrier_hz + tones(count), squint),
                    Band(downlink_hz, downlink_hz + tones(count), squint))


def time_grid(channel: Channel) -> tuple[torch.Tensor, torch.Tensor]:
    """History and future times in seconds; time 0 is the first history sample."""
    period_s = channel.csi_period_ms * 1e-3
    if channel.samples_per_period == 1 and not channel.processing_delay_ms:
        times = torch.arange(channel.num_history + channel.num_future, dtype=torch.float64) * period_s
        return times[: channel.num_history], times[channel.num_history:]
    past = torch.arange(channel.num_history, dtype=torch.float64) * period_s
    steps = torch.arange(1, channel.num_future + 1, dtype=torch.float64) / channel.samples_per_period
    return past, past[-1] + steps * period_s + channel.processing_delay_ms * 1e-3


def drops_of_rays(channel: Channel, rays: Rays, seed: int) -> Drops:
    """History and future of rays, wherever they come from.

    :param rays: of ``[batch, user]`` links; their phases refer to the uplink's carrier.
    :param seed: of this chunk, for the downlink's phases where they are independent.
    """
    downlink_rays = rays
    if channel.duplex == "fdd_gapped_independent":
        downlink_rays = rays.with_fresh_phases(generator(stream_seed(seed, "downlink phases")))
    uplink, downlink = bands(channel)
    past, future = time_grid(channel)
    def csi(rays: Rays, band: Band, time_s: torch.Tensor) -> Csi:
        return true_csi(channel, band.response(rays, time_s, uplink.carrier_hz), band, time_s,
                        rays.speed_m_s.float() * (band.carrier_hz / SPEED_OF_LIGHT))

    return Drops(
        history=csi(rays, uplink, past), future=csi(downlink_rays, downlink, future), uplink=uplink,
        downlink=downlink, uplink_rays=rays, downlink_rays=downlink_rays, reference_hz=uplink.carrier_hz,
        notes=(note,) if (note := squint_note(channel)) else (),
    )


def drops_of_channels(channel: Channel, h: torch.Tensor, batch_size: int, device: str = "cpu") -> DropsWithoutRays:
    """Drops of channels that somebody else computes; their terminals are as fast as the scenario says.

    :param h: ``[batch, user, ue_ant, bs_ant, time, subcarrier]``, complex: the uplink at the times of the history, then
        the downlink at those of the future.
    :raises LinksimError: another shape, or real numbers.
    """
    shape = (batch_size, channel.num_users, channel.ue_array.num_antennas, channel.bs_array.num_antennas,
             channel.num_times, channel.num_subcarriers)
    if not isinstance(h, torch.Tensor) or not h.is_complex() or h.shape != shape:
        found = f"{h.dtype} {list(h.shape)}" if isinstance(h, torch.Tensor) else type(h).__name__
        raise LinksimError(f"channel_source {channel.source_name!r}: draw returned {found}, but a complex tensor "
                           f"{list(shape)} is needed: [batch, user, ue_ant, bs_ant, time, subcarrier]")
    uplink, downlink = bands(channel)
    h = h.to(device, torch.complex64)

    def csi(part: torch.Tensor, band: Band, time_s: torch.Tensor) -> Csi:
        doppler_hz = channel.speed_kmh / 3.6 * band.carrier_hz / SPEED_OF_LIGHT
        return true_csi(channel, part, band, time_s, torch.full(shape[:2], doppler_hz, device=h.device))

    past, ahead = (part.contiguous() for part in h.split([channel.num_history, channel.num_future], -2))
    past_s, future_s = time_grid(channel)
    future = csi(ahead, downlink, future_s)
    return DropsWithoutRays(
        history=csi(past, uplink, past_s), future=future, uplink=uplink, downlink=downlink, uplink_rays=None,
        downlink_rays=None, reference_hz=uplink.carrier_hz, uplink_future=future if downlink is uplink else None)


def true_csi(channel: Channel, h: torch.Tensor, band: Band, time_s: torch.Tensor, max_doppler_hz: torch.Tensor) -> Csi:
    """A true channel, which has no noise.

    :param h: ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
    :param time_s: ``[time]``; ``max_doppler_hz``: ``[batch, user]``.
    """
    array = channel.bs_array
    panel = Panel(rows=array.rows, columns=array.columns, polarizations=2 if array.polarization == "dual" else 1)
    return Csi(h=h, time_s=time_s.to(h.device), frequency_hz=band.frequency_hz.to(h.device), panel=panel,
               noise_variance=torch.zeros(h.shape[:2], device=h.device), max_doppler_hz=max_doppler_hz)
