"""What an engine must be able to tell of one draw, and the metrics of clause 7.8 made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from sionna.sys import coupling_loss_db, geometry_sinr_db, geometry_sir_db, serving_indices

from studies.calibration.setups import NOISE_FIGURE_DB, Network, Setup

SPREADS = {"delay_spread_ns": 1e9, "asd_deg": 180 / torch.pi, "asa_deg": 180 / torch.pi, "zsd_deg": 180 / torch.pi,
           "zsa_deg": 180 / torch.pi}
"""Metric, and the factor from SI units."""


class Draw(Protocol):
    """One part of a set-up as an engine drew it. Links are ``[batch, bs, user]``."""

    def line_of_sight(self) -> torch.Tensor:
        """``[batch, bs, user]``, bool."""

    def line_of_sight_gain(self) -> torch.Tensor:
        """Path loss, shadowing and the port's pattern along the line of sight, ``[batch, bs, user]``, linear."""

    def mean_gain(self) -> torch.Tensor:
        """Power between port and terminal, mean over ports, terminal antennas and tones: as `line_of_sight_gain`."""

    def spreads(self, serving: torch.Tensor) -> dict[str, torch.Tensor]:
        """RMS delay spread (s) and circular angle spreads (radian) of the links to ``serving``.

        :param serving: ``[batch, user]``, index of a base station.
        :returns: for each of `SPREADS`, ``[batch, user]``.
        """

    def singular_values_db(self, serving: torch.Tensor) -> torch.Tensor:
        """Eigenvalues of the covariance of one PRB at t = 0, path loss and shadowing taken out, in dB.

        :returns: ``[batch, user, ue_ant]``, descending.
        """


@dataclass(frozen=True)
class Metric:
    """How a metric is shown and what two engines with the same random numbers may differ by.

    :param label: in words.
    :param unit: of its values.
    :param rounding: largest difference that single precision explains, in the metric's unit.
    :param logarithmic: whether its axis is.
    :param specular_differs: Sionna's metric treats the line of sight in another way than its coefficients do
        (`studies.calibration.sionna_draw`), so only terminals without one can agree.
    """

    label: str
    unit: str
    rounding: float
    logarithmic: bool = False
    specular_differs: bool = False


METRICS = {
    "coupling_gain_db": Metric("coupling gain", "dB", 0.01),
    "sir_db": Metric("wideband SIR", "dB", 0.01),
    "sinr_db": Metric("SINR with noise", "dB", 0.01),
    "delay_spread_ns": Metric("delay spread", "ns", 0.01, True, specular_differs=True),
    "asd_deg": Metric("ASD", "degree", 0.001, True),
    "asa_deg": Metric("ASA", "degree", 0.001, True),
    "zsd_deg": Metric("ZSD", "degree", 0.001, True),
    "zsa_deg": Metric("ZSA", "degree", 0.001, True),
    "largest_singular_db": Metric("largest singular value", "dB", 0.001),
    "smallest_singular_db": Metric("smallest singular value", "dB", 0.01),
    "singular_ratio_db": Metric("ratio of singular values", "dB", 0.01),
}

METRICS_OF_PHASE = {
    "large scale": ("coupling_gain_db", "sir_db", "sinr_db"),
    "configuration 1": ("coupling_gain_db", "sir_db", *SPREADS),
    "configuration 2": ("coupling_gain_db", "sir_db", "largest_singular_db", "smallest_singular_db",
                        "singular_ratio_db"),
    "single sector": ("coupling_gain_db", *SPREADS, "largest_singular_db", "smallest_singular_db",
                      "singular_ratio_db"),
}

Values = dict[str, np.ndarray]
"""A value of every metric for every terminal, the index ``serving`` of its base station, and ``line_of_sight``."""


def measure(draw: Draw, setup: Setup) -> Values:
    """The metrics of one part.

    :returns: for each metric of the set-up's phase, ``serving`` and ``line_of_sight``, ``[terminal]``.
    """
    names = METRICS_OF_PHASE[setup.phase]
    gain = draw.line_of_sight_gain() if setup.phase == "large scale" else draw.mean_gain()
    loss_db = coupling_loss_db(10 * gain.double().mT.log10(), precision="double")  # [batch, user, bs]
    serving = serving_indices(loss_db)
    found = {"serving": serving, "coupling_gain_db": -_of(serving, loss_db),
             "line_of_sight": _of(serving, draw.line_of_sight().mT)}
    if isinstance(setup, Network):
        found["sir_db"] = geometry_sir_db(loss_db, serving, precision="double")
        found["sinr_db"] = geometry_sinr_db(
            loss_db, setup.transmit_power_dbm, setup.bandwidth_hz, NOISE_FIGURE_DB, serving, precision="double")
    if "delay_spread_ns" in names:
        spreads = draw.spreads(serving)
        found |= {name: spreads[name] * factor for name, factor in SPREADS.items()}
    if "largest_singular_db" in names:
        values_db = draw.singular_values_db(serving)
        found["largest_singular_db"], found["smallest_singular_db"] = values_db[..., 0], values_db[..., -1]
        found["singular_ratio_db"] = values_db[..., 0] - values_db[..., -1]
    return {name: found[name].flatten().numpy() for name in ("serving", "line_of_sight", *names)}


def _of(serving: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Those of ``[batch, user, bs]`` that belong to each terminal's base station."""
    return values.gather(-1, serving.unsqueeze(-1)).squeeze(-1)
