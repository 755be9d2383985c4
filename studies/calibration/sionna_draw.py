"""Plain, unmodified Sionna: its own coefficients, and its own metrics wherever it has one.

One of these metrics, the delay spread, spreads the line of sight over the sub-clusters when its cluster is among the
two strongest, up to one cluster delay spread (5 ns in UMi); Sionna's coefficients, as eq. 7.5-30, do not.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from sionna.phy import SPEED_OF_LIGHT
from sionna.phy.channel import cir_to_ofdm_channel
from sionna.phy.channel.tr38901 import angular_spreads_from_rays, delay_spread_from_rays, prb_singular_values

from studies.calibration.setups import PRB_INDEX, PRB_SUBCARRIERS, SUBCARRIER_SPACING_HZ, Setup


class SionnaDraw:
    """A `studies.calibration.draw.Draw` of Sionna. Coefficients are generated when first asked for.

    :param model: its topology is set; drawn from with Sionna's current random state.
    """

    def __init__(self, model: Any, setup: Setup) -> None:
        self._model, self._setup = model, setup
        self._ports = setup.ports(model._scenario.bs_array)
        self._coefficients: torch.Tensor | None = None

    def line_of_sight(self) -> torch.Tensor:
        return self._model._scenario.los

    def line_of_sight_gain(self) -> torch.Tensor:
        scenario = self._model._scenario
        array = scenario.bs_array
        zenith = torch.deg2rad(scenario.los_zod)
        # the panels of a network are turned about the vertical alone
        azimuth = torch.deg2rad(scenario.los_aod) - scenario.bs_orientations[..., :1]
        azimuth = torch.remainder(azimuth + torch.pi, 2 * torch.pi) - torch.pi
        direction = torch.stack([zenith.sin() * azimuth.cos(), zenith.sin() * azimuth.sin(), zenith.cos()], -1)
        phase = 2 * torch.pi * self._setup.carrier_hz / SPEED_OF_LIGHT * (direction @ array.ant_pos.mT)
        factor = torch.polar(torch.ones_like(phase), phase) @ self._ports
        field = torch.stack(array.ant_pol1.field(zenith, azimuth), -1)
        return self._large_scale_gain() * factor.abs().square().sum(-1) * field.square().sum(-1)

    def mean_gain(self) -> torch.Tensor:
        self._generate()
        coefficients = torch.einsum("nubmapt,mq->nubqapt", self._coefficients.movedim(2, 4), self._ports)
        coefficients = coefficients.movedim(4, 2)  # [batch, user, ue_ant, bs, port, path, time]
        tones = self._setup.tones_hz().to(self._delays)
        h = cir_to_ofdm_channel(tones, coefficients, self._delays, normalize=False)
        return h.abs().square().mean((2, 4, 5, 6)).mT

    def spreads(self, serving: torch.Tensor) -> dict[str, torch.Tensor]:
        self._generate()
        rays, parameters = _double(self._rays), _double(self._model._lsp)
        found = angular_spreads_from_rays(rays, parameters, self._model._scenario, serving)
        found = {f"{name}_deg": spread for name, spread in found.items()}
        return found | {"delay_spread_ns": delay_spread_from_rays(rays, parameters, self._model._scenario, serving)}

    def singular_values_db(self, serving: torch.Tensor) -> torch.Tensor:
        self._generate()
        batch, user = torch.arange(len(serving)).unsqueeze(-1), torch.arange(serving.shape[1])
        h = self._coefficients[batch, user, :, serving, :, :, 0]  # [batch, user, ue_ant, bs_ant, path]
        h = h / self._large_scale_gain()[batch, serving, user].sqrt()[..., None, None, None]
        delays = self._delays[batch, user, serving]
        return prb_singular_values(h.to(torch.complex128), delays.double(), self._setup.carrier_hz,
                                   SUBCARRIER_SPACING_HZ, PRB_SUBCARRIERS, PRB_INDEX)

    def _generate(self) -> None:
        if self._coefficients is None:
            self._model.return_rays = True
            self._coefficients, self._delays, self._rays = self._model(1, 1.0)

    def _large_scale_gain(self) -> torch.Tensor:
        return 10 ** (-self._model._lsp.pathloss / 10) * self._model._lsp.sf


def _double(record: Any) -> Any:
    """A copy whose real numbers are in double precision: spreads of tenths of a degree cancel in single."""
    found = copy.copy(record)
    for name, value in vars(record).items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            setattr(found, name, value.double())
    return found
