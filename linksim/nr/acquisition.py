"""What the base station sees of the uplink: the true channel, the channel in noise, or pilots and an estimator."""

from __future__ import annotations

from dataclasses import replace

import torch

from linksim.core.csi import Csi, Observation
from linksim.core.seeding import sionna_seed
from linksim.mimo.noise import complex_normal, noise_variance_at
from linksim.scenario.schema import Acquisition

PILOT_SEED = 0

_NOISELESS_DB = 60.0


def acquire(true: Csi, acquisition: Acquisition, generator: torch.Generator, csi_snr_db: torch.Tensor | None = None,
            power: torch.Tensor | None = None) -> tuple[Csi, Observation]:
    """Estimate the history.

    Noise is drawn as unit normal values and scaled, so that two SNRs see the same noise.

    :param true: the true uplink channel at the history's times.
    :param acquisition: how it is observed.
    :param generator: of the noise; one on the CPU gives the same noise for every device.
    :param csi_snr_db: ``[batch]``, dB, instead of the acquisition's own: one for each drop.
    :param power: of each user, which the SNR of ``awgn`` refers to, ``[batch, user]``; that of the channel by default.
    :returns: the estimate, with the variance of its error per complex entry; and what it was made from.
    """
    everywhere = torch.ones(*true.h.shape[1:3], true.h.shape[-1], dtype=torch.bool, device=true.h.device)
    if acquisition.type == "perfect":
        return true, Observation(true.h, everywhere, true.noise_variance)
    # a number or [batch, 1]
    snr_db = acquisition.csi_snr_db if csi_snr_db is None else csi_snr_db.to(true.h.device)[:, None]
    if acquisition.type == "awgn":
        variance = (user_power(true) if power is None else power) * noise_variance_at(snr_db)
        noise = complex_normal(true.h.shape, generator).to(true.h)
        h = true.h + noise * variance.sqrt()[..., None, None, None, None]
        return replace(true, h=h, noise_variance=variance), Observation(h, everywhere, variance)
    return _pilot_estimate(true, acquisition, generator, snr_db)


def user_power(csi: Csi) -> torch.Tensor:
    """Mean |h|^2 of each user over antennas, times and subcarriers: ``[batch, user]``."""
    return csi.h.abs().square().mean((-4, -3, -2, -1))


def pilot_floor(true: Csi, acquisition: Acquisition) -> torch.Tensor:
    """Error of pilot estimates that no power takes away: what interpolation between pilots misses, at 60 dB.

    :param true: the true uplink channel; its last instant is looked at.
    :returns: NMSE of each user, linear, ``[batch, user]``.
    """
    last = replace(true, h=true.h[..., -1:, :], time_s=true.time_s[-1:])
    estimate, _ = _pilot_estimate(last, acquisition, torch.Generator().manual_seed(PILOT_SEED), _NOISELESS_DB)
    error, power = ((estimate.h - last.h), last.h)
    error, power = (part.abs().square().sum((-4, -3, -2, -1)) for part in (error, power))
    return error / power.clamp_min(torch.finfo(power.dtype).tiny)


def _pilot_estimate(true: Csi, acquisition: Acquisition, generator: torch.Generator, snr_db: float | torch.Tensor
                    ) -> tuple[Csi, Observation]:
    """One OFDM symbol of orthogonal comb pilots per CSI period, through Sionna's estimators.

    Pilot symbols have the power of data symbols (no boosting), so the noise at a pilot is that of ``awgn``.
    """
    from sionna.phy.ofdm import (  # start-up
        KroneckerPilotPattern,
        LMMSEChannelEstimator,
        LSChannelEstimator,
        ResourceGrid,
    )

    batch, user, ue_ant, bs_ant, time, subcarrier = true.h.shape
    spacing_hz = float(true.frequency_hz[1] - true.frequency_hz[0])
    device = str(true.h.device)
    grid = ResourceGrid(
        num_ofdm_symbols=1, fft_size=subcarrier, subcarrier_spacing=spacing_hz, num_tx=user,
        num_streams_per_tx=ue_ant, device=device,
    )
    with sionna_seed(PILOT_SEED):  # the same pilot symbols in every run and on every worker
        grid.pilot_pattern = KroneckerPilotPattern(grid, [0], normalize=False, device=device)
    pilots = grid.pilot_pattern.pilots.to(true.h)  # [user, ue_ant, subcarrier], zero off the port's comb
    variance = (user_power(true).mean(1, keepdim=True) * noise_variance_at(snr_db))[:, 0]  # one receiver, one noise
    noise = complex_normal((batch, bs_ant, time, subcarrier), generator).to(true.h)
    received = torch.einsum("buamtk,uak->bmtk", true.h, pilots) + noise * variance.sqrt()[:, None, None, None]
    # [batch * time, 1 receiver, bs_ant, 1 symbol, subcarrier]
    received = received.movedim(2, 1).flatten(0, 1)[:, None, :, None]
    if acquisition.estimator == "ls":
        kind = {"nearest": "nn", "linear": "lin"}[acquisition.interpolation]
        estimator = LSChannelEstimator(grid, interpolation_type=kind, device=device)
    else:
        offset_hz = torch.arange(subcarrier, device=true.h.device) * spacing_hz
        lag = offset_hz[:, None] - offset_hz
        covariance = 1 / (1 + 2j * torch.pi * lag * acquisition.delay_spread_ns * 1e-9)
        estimator = LMMSEChannelEstimator(
            grid, torch.ones(1, 1, dtype=true.h.dtype, device=true.h.device), covariance.to(true.h.dtype),
            order="f-t", device=device,
        )
    h_hat, error_variance = estimator(received, variance.repeat_interleave(time))
    # [batch * time, 1, bs_ant, user, ue_ant, 1, subcarrier] -> [batch, user, ue_ant, bs_ant, time, subcarrier]
    h = h_hat[:, 0, :, :, :, 0].unflatten(0, (batch, time)).permute(0, 3, 4, 2, 1, 5)
    error = error_variance[:, 0, :, :, :, 0].expand(h_hat[:, 0, :, :, :, 0].shape)
    error = error.unflatten(0, (batch, time)).mean((1, 2, 4, 5))
    # a port's own pilots divided out; off its comb the pilots are zero and the mask says so
    on_comb = pilots != 0
    symbol = torch.where(on_comb, pilots, torch.ones_like(pilots))
    raw = received[:, 0, :, 0].unflatten(0, (batch, time)).movedim(1, 2)[:, None, None] / symbol[:, :, None, None]
    observation = Observation(raw, on_comb, variance[:, None].expand(batch, user))
    return replace(true, h=h.contiguous(), noise_variance=error), observation
