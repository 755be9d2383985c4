"""What is drawn: the networks of TR 38.901 Tables 7.8-1 and 7.8-2, and single sectors as in linksim's scenarios."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from sionna.phy import config
from sionna.phy.channel.tr38901 import PanelArray, UMa, UMi
from sionna.sys import gen_tr38901_multicell_topology

from linksim.channel.statistical.drops import build_model, draw_topology
from linksim.scenario.channel import Channel
from studies.calibration.ports import steered_port
from studies.calibration.wrap_around import nearest_images

Phase = Literal["large scale", "configuration 1", "configuration 2", "single sector"]

DISTANCE_BETWEEN_SITES_M = {"uma": 500.0, "umi": 200.0}
DOWNTILT_ZENITH_DEG = 102.0
"""Electrical, in zenith angle (Table 7.8-1, UMa and UMi)."""
NOISE_FIGURE_DB = 9.0
TRANSMIT_POWER_DBM = {"uma": (49.0, 35.0), "umi": (44.0, 35.0)}
"""At 6 GHz, and at 30 GHz and above."""
BANDWIDTH_HZ = (20e6, 100e6)
NUM_TONES = 25
"""Tones over which a link's power is averaged; the wideband power of the table's RSRP."""
PRB_SUBCARRIERS = 12
PRB_INDEX = 20
"""From the carrier. Not the centre: there, with panels that are symmetric too, a response whose ray phases are
conjugated has the same singular values."""
SUBCARRIER_SPACING_HZ = 15e3
GROUPS = 3
"""A drop is generated in three parts of 19 terminals, one in a sector of every site: Sionna holds every ray of every
antenna pair at once."""


@dataclass(frozen=True)
class Network:
    """19 sites of three sectors with wrap-around, one terminal dropped in every sector, downlink.

    :param scenario: ``"uma"`` or ``"umi"``.
    :param carrier_hz: 6 or 30 GHz in the tables.
    :param phase: ``"large scale"`` is Table 7.8-1, the configurations are those of Table 7.8-2.
    :param spec_version: of TR 38.901, as Sionna names it.
    """

    scenario: Literal["uma", "umi"]
    carrier_hz: float
    phase: Phase
    spec_version: str = "19.2"

    @property
    def place(self) -> str:
        return f"{_NAMES[self.scenario]} {self.carrier_hz / 1e9:g} GHz"

    @property
    def name(self) -> str:
        return f"{self.place}, {self.phase}"

    @property
    def _above_6_ghz(self) -> bool:
        return self.carrier_hz >= 30e9

    @property
    def transmit_power_dbm(self) -> float:
        return TRANSMIT_POWER_DBM[self.scenario][self._above_6_ghz]

    @property
    def bandwidth_hz(self) -> float:
        return BANDWIDTH_HZ[self._above_6_ghz]

    def tones_hz(self) -> torch.Tensor:
        """``[tone]``, offsets from the carrier, evenly over the bandwidth."""
        return centred(NUM_TONES, self.bandwidth_hz / NUM_TONES)

    def bs_array(self) -> PanelArray:
        """Large scale: 10 vertical elements; configuration 1: one of its two panels of 4 x 4 x 2; 2: 2 x 2."""
        rows, columns, polarization, slant = {
            "large scale": (10, 1, "single", "V"),
            "configuration 1": (4, 4, "dual", "cross"),
            "configuration 2": (2, 2, "single", "V"),
        }[self.phase]
        return PanelArray(rows, columns, polarization, slant, "38.901", self.carrier_hz, precision="single",
                          device="cpu")

    def ue_array(self) -> PanelArray:
        """One isotropic vertical element, or an isotropic pair at 0 and 90 degrees."""
        polarization, slant = ("single", "V") if self.phase == "large scale" else ("dual", "VH")
        return PanelArray(1, 1, polarization, slant, "omni", self.carrier_hz, precision="single", device="cpu")

    def ports(self, bs_array: PanelArray) -> torch.Tensor:
        """Weights ``[bs_ant, port]`` of the one port that terminals measure: CRS port 0."""
        if self.phase == "configuration 2":  # every element is a port
            return torch.eye(bs_array.num_ant, dtype=torch.complex64)[:, :1]
        return steered_port(bs_array, self.carrier_hz, DOWNTILT_ZENITH_DEG)

    def draw_model(self, part: int) -> Any:
        """A Sionna model with terminals dropped, from Sionna's current random state.

        :param part: number of the part in the series; parts alternate between high and low penetration loss.
        """
        model_class = UMa if self.scenario == "uma" else UMi
        model = model_class(
            carrier_frequency=self.carrier_hz, o2i_model="high" if part % 2 else "low", ut_array=self.ue_array(),
            bs_array=self.bs_array(), direction="downlink", spec_version=self.spec_version, precision="single",
            device="cpu",
        )
        model.set_topology(**self._topology(part % GROUPS))
        return model

    def _topology(self, group: int) -> dict[str, torch.Tensor]:
        topology = dict(zip(_TOPOLOGY, gen_tr38901_multicell_topology(
            self.scenario, 1, 1, self.carrier_hz, precision="single", device="cpu")))
        for name in ("ut_loc", "ut_orientations", "ut_velocities", "in_state", "distance_2d_in"):
            topology[name] = topology[name][:, group::GROUPS].clone()
        topology["bs_virtual_loc"] = nearest_images(topology["ut_loc"], topology["bs_loc"],
                                                    DISTANCE_BETWEEN_SITES_M[self.scenario])
        if self.phase != "large scale":
            # Table 7.8-2: bearing uniform, downtilt 90 degrees
            bearing = 2 * torch.pi * torch.rand(topology["in_state"].shape, generator=config.torch_rng("cpu"))
            flat = torch.full_like(bearing, math.pi / 2)
            topology["ut_orientations"] = torch.stack([bearing, flat, torch.zeros_like(bearing)], -1)
        return topology


@dataclass(frozen=True)
class Sector:
    """One sector with outdoor terminals and the panel of linksim's scenarios.

    :param channel: as in a scenario file.
    :param batch_size: drops in a part.
    """

    channel: Channel
    batch_size: int = 16
    phase: Phase = field(default="single sector", init=False)

    @property
    def scenario(self) -> str:
        return self.channel.model

    @property
    def spec_version(self) -> str:
        return "19.2"

    @property
    def carrier_hz(self) -> float:
        return self.channel.carrier_frequency_ghz * 1e9

    @property
    def place(self) -> str:
        return f"{_NAMES[self.scenario]} {self.carrier_hz / 1e9:g} GHz"

    @property
    def name(self) -> str:
        return f"{self.place}, {self.phase}"

    def tones_hz(self) -> torch.Tensor:
        """``[tone]``, offsets from the carrier: the scenario's."""
        return centred(self.channel.num_subcarriers, self.channel.subcarrier_spacing_khz * 1e3)

    def ports(self, bs_array: PanelArray) -> torch.Tensor:
        """Every antenna is a port: their mean power is what a link's gain means in linksim."""
        return torch.eye(bs_array.num_ant, dtype=torch.complex64)

    def draw_model(self, part: int) -> Any:
        """As `Network.draw_model`."""
        model = build_model(self.channel, "cpu")
        model.set_topology(**draw_topology(self.channel, self.batch_size, "cpu"))
        return model


Setup = Network | Sector

_NAMES = {"uma": "UMa", "umi": "UMi"}
_TOPOLOGY = ("ut_loc", "bs_loc", "ut_orientations", "bs_orientations", "ut_velocities", "in_state", "los",
             "bs_virtual_loc", "bs_site_ids", "spatial_consistency_track_ids", "distance_2d_in")


def networks(phase: Phase, spec_version: str = "19.2") -> list[Network]:
    """UMa and UMi at 6 and 30 GHz."""
    return [Network(scenario, carrier_hz, phase, spec_version)
            for scenario in ("uma", "umi") for carrier_hz in (6e9, 30e9)]


def sectors() -> list[Sector]:
    """linksim's usual scenario at 2.4 GHz, and a street canyon at 28 GHz."""
    own = {"path_loss": True, "shadow_fading": True, "normalization": "none", "num_users": 4,
           "ue_array": {"num_antennas": 2, "polarization": "dual"}}
    return [Sector(Channel(model="uma", carrier_frequency_ghz=2.4, **own)),
            Sector(Channel(model="umi", carrier_frequency_ghz=28.0, **own))]


def prb_hz() -> torch.Tensor:
    """``[subcarrier]``, offsets from the carrier, of the PRB whose singular values are taken."""
    return centred(PRB_SUBCARRIERS, SUBCARRIER_SPACING_HZ) + PRB_INDEX * PRB_SUBCARRIERS * SUBCARRIER_SPACING_HZ


def centred(number: int, spacing_hz: float) -> torch.Tensor:
    """``[number]``, offsets evenly on both sides of the carrier."""
    return (torch.arange(number, dtype=torch.float64) - (number - 1) / 2) * spacing_hz
