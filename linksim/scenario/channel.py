"""The section `channel`: which channels are drawn, from where, with which arrays and on which band."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from linksim.core.types import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, Section
from linksim.scenario.ray_traced import RayTraced

SOURCE_SECTIONS = {"model": None, "files": "files", "ray_traced": "ray_traced"}
"""Sources of channels that linksim brings, each with the section of `Channel` that is its own; plugins bring others."""


class BsArray(Section):
    """The base station's panel, half-wavelength spacing at the carrier."""

    rows: Annotated[PositiveInt, Field(le=1024)] = Field(4, description="Antenna rows of the panel.")
    columns: Annotated[PositiveInt, Field(le=1024)] = Field(4, description="Antenna columns of the panel.")
    polarization: Literal["single", "dual"] = Field(
        "dual", description="One vertical element, or two slanted by +-45 degrees, at each position."
    )
    pattern: Literal["omni", "38.901"] = Field("38.901", description="Element pattern (TR 38.901 Table 7.3-1).")
    downtilt_deg: Annotated[float, Field(ge=-90, le=90)] = Field(
        7.0, description="Mechanical downtilt of the panel, degrees."
    )
    height_m: Annotated[PositiveFloat, Field(le=100_000)] | None = Field(
        None, description="Panel height, m; the model's own if empty."
    )

    @property
    def num_antennas(self) -> int:
        return self.rows * self.columns * (2 if self.polarization == "dual" else 1)


class UeArray(Section):
    """A terminal's antennas: a horizontal half-wavelength line, upright, turned at random about the vertical."""

    num_antennas: Annotated[int, Field(ge=1, le=4096)] = Field(
        1, description="Antennas per terminal; 1 to 64 where channels are drawn or traced."
    )
    polarization: Literal["single", "dual"] = Field("single", description="Dual: pairs slanted by +-45 degrees.")
    pattern: Literal["omni", "38.901"] = Field("omni", description="Element pattern.")

    @model_validator(mode="after")
    def _pairs(self) -> UeArray:
        if self.polarization == "dual" and self.num_antennas % 2:
            raise ValueError("a dual-polarised terminal needs an even num_antennas")
        return self


class ChannelFiles(Section):
    """Where stored channels come from, and what their format cannot say itself (docs/channel_files.md)."""

    path: str = Field("", description="File (llm4cp: folder) of the drops to simulate, relative to the scenario file.")
    training_path: str = Field("", description="The same for training drops, where a method trains.")
    format: Literal["auto", "linksim", "llm4cp", "cost2100", "deepmimo", "cir"] = Field(
        "auto", description="Layout of the file; auto tells it from the names of its arrays."
    )
    generator: str | dict[str, Any] | None = Field(
        None, description="Instead of a path: a plugged-in cir_source that computes impulse responses as they are "
        "needed, by its name or as {type: name, option: …}."
    )
    speeds_kmh: tuple[Annotated[float, Field(ge=0, le=100_000)], ...] = Field(
        (), description="llm4cp: speeds of the first axis; those published for sets of 10 and 900 if empty."
    )
    antenna_order: tuple[Literal["polarization", "column", "row"], ...] = Field(
        (), description="Nesting of the file's BS antenna index, slowest first; the format's own if empty."
    )
    direction: Literal["downlink", "uplink"] = Field(
        "downlink", description="cir: whether the transmitters of the file are base stations or terminals."
    )
    tones: Literal[125, 1024] = Field(
        125, description="cost2100: tones that the truncated delay window is transformed to."
    )
    spatial_domain: Literal["angle", "antenna"] = Field(
        "angle", description="cost2100: whether the 32 spatial values are beams (transformed back) or antennas."
    )
    speed_known: bool = Field(
        True, description="Filled in on loading: whether the file or the scenario says how fast terminals are."
    )
    sha256: str = Field(
        "", pattern=r"^([0-9a-f]{64})?$", description="Digest of the file, filled in on loading; given, it must agree."
    )
    training_sha256: str = Field(
        "", pattern=r"^([0-9a-f]{64})?$", description="The same for training_path."
    )

    def __hash__(self) -> int:  # a generator's options are a dictionary
        return hash(self.model_dump_json())

    @model_validator(mode="after")
    def _antenna_order_is_whole(self) -> ChannelFiles:
        if self.antenna_order and sorted(self.antenna_order) != ["column", "polarization", "row"]:
            raise ValueError("antenna_order names polarization, column and row once each")
        return self


class Channel(Section):
    """Which channels are drawn. One drop is one set of users around one base station."""

    source: str | dict[str, Any] = Field(
        "model", description="model: draw the drops from `model`; files: take them in order from `files`, which then "
        "fills in the fields of this section that the scenario leaves out; ray_traced: place users in the scene of "
        "`ray_traced`; or a plugged-in channel_source, by its name or as {type: name, option: …}."
    )
    files: ChannelFiles = ChannelFiles()
    ray_traced: RayTraced = RayTraced()
    model: Literal[
        "uma", "umi", "rma", "inh_open", "inh_mixed", "inf_sl", "inf_dl", "inf_sh", "inf_dh", "inf_hh",
        "cdl_a", "cdl_b", "cdl_c", "cdl_d", "cdl_e",
    ] = Field("uma", description="TR 38.901 scenario drawn afresh in every drop, or a fixed CDL profile.")
    los: Literal["mixed", "los", "nlos"] = Field(
        "mixed", description="Line of sight of outdoor users: by the model's probability, always, never."
    )
    carrier_frequency_ghz: Annotated[float, Field(gt=0, le=10_000)] = Field(
        2.4, description="Carrier (the uplink's in FDD), GHz; the models hold from 0.5 to 100 (rma: 30), traced "
        "materials from 1 to 100."
    )
    duplex: Literal["tdd", "fdd_adjacent", "fdd_gapped_coherent", "fdd_gapped_independent"] = Field(
        "tdd", description="Downlink band: the uplink's own; the adjacent half of one response; duplex_gap_mhz "
        "higher with the same paths and phases; the same with independent path phases."
    )
    duplex_gap_mhz: Annotated[PositiveFloat, Field(le=100_000)] = Field(
        95.0, description="Downlink minus uplink carrier in the gapped FDD modes, MHz."
    )
    num_subcarriers: Annotated[PositiveInt, Field(le=100_000)] = Field(48, description="Subcarriers (tones) per band.")
    subcarrier_spacing_khz: Annotated[PositiveFloat, Field(le=1_000_000)] = Field(
        180.0, description="Spacing of the tones, kHz."
    )
    csi_period_ms: Annotated[PositiveFloat, Field(le=100_000)] = Field(0.5, description="Time between CSI samples, ms.")
    num_history: Annotated[PositiveInt, Field(le=100_000)] = Field(
        16, description="CSI samples the base station has seen."
    )
    num_future: Annotated[PositiveInt, Field(le=100_000)] = Field(
        4, description="CSI samples to predict and transmit over."
    )
    samples_per_period: Annotated[PositiveInt, Field(le=10_000)] = Field(
        1, description="Instants of each future CSI period that are predicted and transmitted in, evenly spread; "
        "num_future counts these instants."
    )
    processing_delay_ms: Annotated[NonNegativeFloat, Field(le=100_000)] = Field(
        0.0, description="By how much the future begins later than a period (or its part) after the last CSI sample, "
                         "ms."
    )
    num_users: Annotated[int, Field(ge=1, le=4096)] = Field(
        1, description="Users per drop; 1 to 16 where channels are drawn or traced."
    )
    speed_kmh: Annotated[float, Field(ge=0, le=100_000)] = Field(
        30.0, description="Speed of every user, km/h, in a random horizontal direction; up to 500 where channels are "
        "drawn or traced."
    )
    indoor_share: Fraction = Field(
        0.0, description="Share of users indoors, 0 to 1; in UMa and UMi on the floors of houses with 4 to 8 of them."
    )
    o2i_penetration_loss: Literal["auto", "low", "high", "fixed"] = Field(
        "auto", description="How much is lost into a building (TR 38.901 7.4.3), where path_loss is applied: the model "
        "of low or of high loss, or 20 dB for every wall (Table 7.4.3-3: UMa and UMi below 6 GHz); auto is fixed where "
        "that is allowed, else low."
    )
    path_loss: bool = Field(False, description="Apply path loss.")
    shadow_fading: bool = Field(False, description="Apply shadow fading.")
    normalization: Literal["user", "drop", "none"] = Field(
        "user", description="Unit average gain (over phases and antennas) of every user, or of the users of a "
        "drop together, or gains as drawn. Never uses fading, past or future."
    )
    delay_spread_ns: Annotated[PositiveFloat, Field(le=1_000_000)] = Field(
        300.0, description="RMS delay spread of the CDL profiles, ns."
    )
    beam_squint: bool | None = Field(
        None, description="Array phases and Doppler shifts at each tone's own frequency instead of the carrier's. "
        "Empty is false, and the run says so where it costs more than 0.1 dB of array gain."
    )
    precision: Literal["single", "double"] = Field(
        "single", description="Floating point numbers that rays are drawn and summed in (other drops for each); "
        "the chain's CSI is single."
    )
    bs_array: BsArray = BsArray()
    ue_array: UeArray = UeArray()

    def __hash__(self) -> int:  # a source's options are a dictionary
        return hash(self.model_dump_json())

    @field_validator("source", mode="before")
    @classmethod
    def _short(cls, source: Any) -> Any:
        """Without options, the name alone."""
        if not isinstance(source, dict):
            return source
        if not isinstance(name := source.get("type"), str):
            raise ValueError("a source is written as its name or as {type: name, option: value}")
        if name in SOURCE_SECTIONS and len(source) > 1:
            raise ValueError(f"{name} has no options here: they are fields of channel")
        return name if len(source) == 1 else source

    @model_validator(mode="after")
    def _consistent(self) -> Channel:
        self._check_source()
        cdl = self.model.startswith("cdl_")
        if cdl and self.los != "mixed":
            raise ValueError(f"los cannot be chosen for {self.model}: a CDL profile has its own (D and E are LOS)")
        if cdl and (self.indoor_share or self.path_loss or self.shadow_fading):
            raise ValueError(f"{self.model} has no indoor_share, path_loss or shadow_fading")
        if self.model.startswith(("inh_", "inf_")) and self.indoor_share:
            raise ValueError(f"every user of {self.model} is indoors: leave indoor_share out")
        if self.model == "inf_hh" and self.los == "nlos":
            raise ValueError("inf_hh has line of sight always")
        if self.beam_squint and self.source == "files" and self.files.generator is not None:
            raise ValueError("beam_squint is for channels that linksim computes from rays, and a generator's impulse "
                             "responses are what they are: leave it out")
        self._check_penetration()
        return self

    def _check_penetration(self) -> None:
        if self.o2i_penetration_loss == "auto":
            return
        if self.model not in ("uma", "umi", "rma"):
            raise ValueError(f"{self.model} has no way from outdoors into a building: leave o2i_penetration_loss out")
        if not self.path_loss:
            raise ValueError("o2i_penetration_loss is a part of the path loss: write path_loss: true, or leave it out")
        if self.model == "rma" and self.o2i_penetration_loss != "low":
            raise ValueError(f"o2i_penetration_loss: {self.o2i_penetration_loss} is not for rma, which has the low "
                             "loss alone (TR 38.901 7.4.3.1)")
        if self.o2i_penetration_loss == "fixed" and self.carrier_frequency_ghz >= 6:
            raise ValueError("o2i_penetration_loss: fixed is for carriers below 6 GHz (TR 38.901 Table 7.4.3-3): write "
                             f"low or high (carrier_frequency_ghz {self.carrier_frequency_ghz:g})")

    def _check_source(self) -> None:
        given = bool(self.files.path) + (self.files.generator is not None)
        if self.source == "ray_traced":
            self._check_ray_traced()
        elif self.ray_traced != RayTraced():
            raise ValueError(f"ray_traced options are given, but source is {self.source_name}: write source: "
                             "ray_traced")
        if self.source != "files":
            if given:
                raise ValueError(f"files are given, but source is {self.source_name}: write source: files")
        elif given != 1:
            raise ValueError("source is files: write files.path or files.generator" + ", not both" * (given == 2))

    def _check_ray_traced(self) -> None:
        for name in ("model", "indoor_share", "o2i_penetration_loss", "path_loss", "shadow_fading"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"source is ray_traced, which has no {name}: leave it out (given "
                                 f"{getattr(self, name)!r})")
        if self.bs_array.height_m is not None:
            raise ValueError("source is ray_traced: the height of the panel is the third number of "
                             "ray_traced.position_m, leave bs_array.height_m out")
        if self.ray_traced.track_spacing_m is not None and self.duplex != "tdd":
            raise ValueError("source is ray_traced with track_spacing_m: ways are traced for one band: write duplex: "
                             "tdd")

    @property
    def source_name(self) -> str:
        """The name of its source, whatever its options."""
        return self.source if isinstance(self.source, str) else self.source["type"]

    @property
    def source_section(self) -> str | None:
        """The section that says how its source makes drops; None where the fields of the channel itself do."""
        return SOURCE_SECTIONS.get(self.source_name)

    @property
    def knows_speed(self) -> bool:
        """Whether ``speed_kmh`` is that of the terminals: a file may leave it open."""
        return self.files.speed_known

    @property
    def los_name(self) -> str:
        """How the line of sight of its users is written: LOS, NLOS, LOS and NLOS."""
        return self.los.upper() if self.los != "mixed" else "LOS and NLOS"

    @property
    def has_floors(self) -> bool:
        """Whether a model puts users on the floors of houses."""
        return self.source == "model" and self.indoor_share > 0

    @property
    def penetration_loss(self) -> str:
        """Which model ``o2i_penetration_loss: auto`` stands for: low, high or fixed."""
        if self.o2i_penetration_loss != "auto":
            return self.o2i_penetration_loss
        return "fixed" if self.model in ("uma", "umi") and self.carrier_frequency_ghz < 6 else "low"

    @property
    def num_times(self) -> int:
        """Samples of history and future together."""
        return self.num_history + self.num_future


def horizon_s(channel: Channel) -> list[float]:
    """Times of the future after the last sample of the history."""
    step_s = channel.csi_period_ms * 1e-3 / channel.samples_per_period
    return [channel.processing_delay_ms * 1e-3 + step_s * (step + 1) for step in range(channel.num_future)]
