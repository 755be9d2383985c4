"""Block errors and bits delivered of one method at one link SNR: by tables, or through encoder and decoder."""

from __future__ import annotations

from dataclasses import replace

import torch

from linksim.channel.drops import Drops
from linksim.core.seeding import generator, stream_seed
from linksim.mimo.noise import noise_variance_at
from linksim.mimo.receiver import stream_sinr
from linksim.nr.coded_slots import Downlink, send_blocks
from linksim.nr.link_adaptation import adapt, block_error_rate, effective_sinr, thresholds_db
from linksim.nr.pilots import pilot_loss
from linksim.nr.slots import SlotFormat, csi_rs_share, delivered_rate, report_rate
from linksim.nr.transport_block import BlockSizes, block_sizes
from linksim.scenario.schema import Scenario


def block_measures(scenario: Scenario, drops: Drops, true: torch.Tensor, h_hat: torch.Tensor, weights: torch.Tensor,
                   report_bits: torch.Tensor | None, seed: int) -> dict[str, torch.Tensor]:
    """Measures of transport blocks, each ``[batch, user]``; see `linksim.metrics.catalogue`.

    :param true: ``[batch, time, subcarrier, user, ue_ant, bs_ant]``, a slot at each time.
    :param h_hat: what the base station knows of it; ``weights``, ``[batch, time, subcarrier, bs_ant, user * stream]``.
    :param report_bits: of one report, ``[batch, user]``; None where there are no reports.
    :param seed: of the chunk.
    """
    coding, channel = scenario.link.coding, scenario.channel
    # reports of fewer layers than the link may have make precoders of fewer streams
    slot = replace(SlotFormat.of(scenario), num_streams=weights.shape[-1] // channel.num_users)
    sizes = block_sizes(slot, coding.mcs_table)
    noise_variance = noise_variance_at(scenario.link.snr_db)
    mcs, lost = _by_tables(scenario, true, h_hat, weights, sizes, slot, noise_variance, seed)
    used = torch.ones_like(lost, dtype=torch.double)
    if scenario.link.mode == "coded":
        downlink = Downlink(
            lambda number, offsets_s: drops.downlink_at(drops.future.time_s[number].cpu() + offsets_s, number).cpu(),
            drops.future.max_doppler_hz, noise_variance)
        mcs, lost, used = send_blocks(coding, slot, sizes, downlink, weights, mcs, seed)
    bits = sizes.num_bits.to(mcs.device)[mcs] * ~lost
    share = bits.sum(1).double() / used.sum(1)
    over_slot, over_data = delivered_rate(share, slot, coding, channel)
    net = over_slot
    if report_bits is not None and coding.charge_overhead:
        net = net * max(0.0, 1 - csi_rs_share(channel, coding)) - report_rate(report_bits.to(net), channel)
    together = torch.ones_like(share)
    return {
        "throughput_bps_hz": net.float(), "gross_throughput_bps_hz": over_data.float(),
        "block_errors": (lost.sum((1, 2))[:, None] * together).float(),
        "num_blocks": lost[0].numel() * together.float(),
        "mcs": mcs.double().mean(1).float(), "num_transmissions": (used.sum(1) / lost.shape[1]).float(),
    }


def _by_tables(scenario: Scenario, true: torch.Tensor, h_hat: torch.Tensor, weights: torch.Tensor, sizes: BlockSizes,
               slot: SlotFormat, noise_variance: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """MCS and lost blocks, ``[batch, slot, user]``: link adaptation sees what the base station knows and which blocks
    arrived, nothing else.
    """
    coding = scenario.link.coding
    shape = true.shape[0], true.shape[1], scenario.channel.num_users
    if coding.mcs is not None and scenario.link.mode == "coded":
        return torch.full(shape, coding.mcs), torch.zeros(shape, dtype=torch.bool)
    # the terminal's channels are estimated from pilots, and the base station knows how well
    noise_variance = noise_variance * (1 + pilot_loss(coding, slot))
    seen = _effective(true, weights, noise_variance, coding.mcs_table)
    loss = block_error_rate(seen, sizes)
    passes = 1 if coding.mcs is not None else coding.outer_loop_passes + 1
    # the same draws for every method and SNR: differences are paired
    draws = torch.rand(passes, *shape, generator=generator(stream_seed(seed, "block errors")))
    if coding.mcs is not None:
        mcs = torch.full(shape, coding.mcs)
        return mcs, draws[0] < loss[..., coding.mcs]
    promised = _effective(h_hat, weights, noise_variance, coding.mcs_table)
    return adapt(10 * promised.log10(), loss, draws, thresholds_db(sizes, coding), coding)


def _effective(h: torch.Tensor, weights: torch.Tensor, noise_variance: float, mcs_table: int) -> torch.Tensor:
    """Effective SINR of every user's block in every slot if ``h`` is the channel, ``[batch, slot, user, MCS]``."""
    sinr = stream_sinr(h, weights, noise_variance)  # [batch, slot, subcarrier, user, stream]
    return effective_sinr(sinr.movedim(2, -1).flatten(-2).cpu(), mcs_table)
