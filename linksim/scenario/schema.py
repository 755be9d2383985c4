"""What a scenario file may say. Every field has its unit in its name and its meaning in its description."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field, model_validator

from linksim import registry
from linksim.errors import ScenarioError
from linksim.faults import describe, suggestion
from linksim.metrics.catalogue import METRICS, metric
from linksim.scenario.ray_traced import RayTraced
from linksim.scenario.section import Section
from linksim.scenario.training import MethodTraining, Training, merged
from linksim.types import FiniteFloat, Fraction, PositiveFloat, PositiveInt

STAGES = ("channel", "acquisition", "prediction", "precoding")
"""Stages in the order of the chain. A sweep axis repeats its own stage and the later ones, nothing before."""

STAGE_OF_SECTION = {
    "channel": "channel", "acquisition": "acquisition", "methods": "prediction", "link": "precoding",
}

PERFECT_CSI = "perfect CSI"
BOUNDS = {
    "genie_lmmse": "genie LMMSE bound",
    "perfect_csi_zf": "perfect-CSI ZF bound",
    "sum_capacity": "sum capacity",
}
GENIE_CSI = "genie LMMSE CSI"
"""The link that uses the genie's estimate: a reference, since the least error does not mean the highest rate."""


class BsArray(Section):
    """The base station's panel, half-wavelength spacing at the carrier."""

    rows: PositiveInt = Field(4, description="Antenna rows of the panel.")
    columns: PositiveInt = Field(4, description="Antenna columns of the panel.")
    polarization: Literal["single", "dual"] = Field(
        "dual", description="One vertical element, or two slanted by +-45 degrees, at each position."
    )
    pattern: Literal["omni", "38.901"] = Field("38.901", description="Element pattern (TR 38.901 Table 7.3-1).")
    downtilt_deg: Annotated[float, Field(ge=-90, le=90)] = Field(
        7.0, description="Mechanical downtilt of the panel, degrees."
    )
    height_m: PositiveFloat | None = Field(None, description="Panel height, m; the model's own if empty.")

    @property
    def num_antennas(self) -> int:
        return self.rows * self.columns * (2 if self.polarization == "dual" else 1)


class UeArray(Section):
    """A terminal's antennas: a horizontal half-wavelength line, upright, turned at random about the vertical."""

    num_antennas: Annotated[int, Field(ge=1, le=4)] = Field(1, description="Antennas per terminal, 1 to 4.")
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
    speeds_kmh: tuple[Annotated[float, Field(ge=0, le=500)], ...] = Field(
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

    source: Literal["model", "files", "ray_traced"] = Field(
        "model", description="Draw the drops from `model`, or take them in order from `files`, which then fills in "
        "the fields of this section that the scenario leaves out, or place users in the scene of `ray_traced`."
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
    carrier_frequency_ghz: Annotated[float, Field(gt=0, le=100)] = Field(
        2.4, description="Carrier (the uplink's in FDD), GHz; the models begin at 0.5."
    )
    duplex: Literal["tdd", "fdd_adjacent", "fdd_gapped_coherent", "fdd_gapped_independent"] = Field(
        "tdd", description="Downlink band: the uplink's own; the adjacent half of one response; duplex_gap_mhz "
        "higher with the same paths and phases; the same with independent path phases."
    )
    duplex_gap_mhz: PositiveFloat = Field(
        95.0, description="Downlink minus uplink carrier in the gapped FDD modes, MHz."
    )
    num_subcarriers: PositiveInt = Field(48, description="Subcarriers (tones) per band.")
    subcarrier_spacing_khz: PositiveFloat = Field(180.0, description="Spacing of the tones, kHz.")
    csi_period_ms: PositiveFloat = Field(0.5, description="Time between CSI samples, ms.")
    num_history: PositiveInt = Field(16, description="CSI samples the base station has seen.")
    num_future: PositiveInt = Field(4, description="CSI samples to predict and transmit over.")
    num_users: Annotated[int, Field(ge=1, le=16)] = Field(1, description="Users per drop, 1 to 16.")
    speed_kmh: Annotated[float, Field(ge=0, le=500)] = Field(
        30.0, description="Speed of every user, km/h, in a random horizontal direction."
    )
    indoor_share: Fraction = Field(0.0, description="Share of users indoors, 0 to 1.")
    path_loss: bool = Field(False, description="Apply path loss.")
    shadow_fading: bool = Field(False, description="Apply shadow fading.")
    normalization: Literal["user", "drop", "none"] = Field(
        "user", description="Unit average gain (over phases and antennas) of every user, or of the users of a "
        "drop together, or gains as drawn. Never uses fading, past or future."
    )
    delay_spread_ns: PositiveFloat = Field(300.0, description="RMS delay spread of the CDL profiles, ns.")
    precision: Literal["single", "double"] = Field(
        "single", description="Floating point numbers that rays are drawn and summed in (other drops for each); "
        "the chain's CSI is single."
    )
    bs_array: BsArray = BsArray()
    ue_array: UeArray = UeArray()

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
        return self

    def _check_source(self) -> None:
        given = bool(self.files.path) + (self.files.generator is not None)
        if self.source == "ray_traced":
            self._check_ray_traced()
        elif self.ray_traced != RayTraced():
            raise ValueError(f"ray_traced options are given, but source is {self.source}: write source: ray_traced")
        if self.source != "files":
            if given:
                raise ValueError(f"files are given, but source is {self.source}: write source: files")
            if self.source == "model" and self.carrier_frequency_ghz < 0.5:
                raise ValueError(f"carrier_frequency_ghz must be at least 0.5 for {self.model} "
                                 f"(given {self.carrier_frequency_ghz:g})")
        elif given != 1:
            raise ValueError("source is files: write files.path or files.generator" + ", not both" * (given == 2))

    def _check_ray_traced(self) -> None:
        for name in ("model", "indoor_share", "path_loss", "shadow_fading"):
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"source is ray_traced, which has no {name}: leave it out (given "
                                 f"{getattr(self, name)!r})")
        if self.bs_array.height_m is not None:
            raise ValueError("source is ray_traced: the height of the panel is the third number of "
                             "ray_traced.position_m, leave bs_array.height_m out")
        if self.carrier_frequency_ghz < 1:
            raise ValueError("carrier_frequency_ghz must be at least 1 for ray_traced: materials are known from there "
                             f"on (given {self.carrier_frequency_ghz:g})")

    @property
    def num_times(self) -> int:
        """Samples of history and future together."""
        return self.num_history + self.num_future


NOT_DRAWN = {"source", "files"}
"""Fields of `Channel` that say where drops come from, not what they are: random streams do not depend on them."""


def later_fields(channel: Channel) -> set[str]:
    """Fields that came after results were released: at their defaults they name no random stream and no result."""
    later = {"precision"} if channel.precision == "single" else set()
    return later if channel.source == "ray_traced" else later | {"ray_traced"}


def drawn_fields(channel: Channel) -> dict[str, Any]:
    """What the drops of a channel depend on, as JSON can hold it: what training streams and checkpoints are named by.

    A scene of the user counts by its digest, not by where it lies.
    """
    drawn = channel.model_dump(mode="json", exclude=NOT_DRAWN | later_fields(channel))
    if "ray_traced" in drawn and channel.ray_traced.scene_sha256:
        del drawn["ray_traced"]["scene"]
    return drawn


class Acquisition(Section):
    """How the base station obtains the history."""

    type: Literal["perfect", "awgn", "pilots"] = Field(
        "awgn", description="The true channel, the true channel in noise, or uplink pilots with an estimator."
    )
    csi_snr_db: FiniteFloat = Field(
        18.0, description="SNR of the CSI (awgn) or of the pilots, dB below each user's own mean power."
    )
    estimator: Literal["ls", "lmmse"] = Field("ls", description="Pilot estimator (Sionna's).")
    interpolation: Literal["nearest", "linear"] = Field(
        "linear", description="Between pilot subcarriers, for the ls estimator."
    )
    delay_spread_ns: PositiveFloat = Field(
        300.0, description="RMS delay spread that the lmmse estimator's covariance assumes, ns."
    )


class Link(Section):
    """The downlink transmission."""

    snr_db: FiniteFloat = Field(
        20.0, description="Transmit power over noise power per subcarrier at unit average channel gain, dB."
    )
    precoder: str | dict[str, Any] = Field("rzf", description="A precoder's name, or {type: name, option: …}.")
    num_streams_per_user: PositiveInt = Field(1, description="Spatial streams per user.")
    unusable_csi: Literal["mend", "raise"] = Field(
        "mend", description="Rank-deficient or non-finite CSI: mend it and count it in the manifest, or stop."
    )


class Method(Section):
    """One curve: which CSI the base station has, which predictor, which precoder."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    predictor: str | dict[str, Any] = Field(
        "hold", description="A predictor's name, or {type: name, option: …}; a trained one may name its checkpoint's "
        "folder, {type: name, checkpoint: folder}."
    )
    precoder: str | dict[str, Any] | None = Field(None, description="Instead of link.precoder.")
    training: MethodTraining | None = Field(
        None, description="What is otherwise in this method's training than in `training`: a paper's own epochs, other "
        "channels, fewer drops."
    )


class Stopping(Section):
    """When enough drops have been simulated at a channel point."""

    metric: str = Field("nmse_db", description="Watched for every method.")
    half_width: PositiveFloat = Field(0.3, description="Stop when no interval is wider than +- this.")
    min_drops: PositiveInt = Field(200, description="Simulated in any case.")
    max_drops: PositiveInt = Field(1000, description="Stop here at the latest.")
    adaptive: bool = Field(True, description="If false, run min_drops and no more.")

    @model_validator(mode="after")
    def _order(self) -> Stopping:
        if self.max_drops < self.min_drops:
            raise ValueError(f"max_drops ({self.max_drops}) is below min_drops ({self.min_drops})")
        return self


class Run(Section):
    """How the run is executed. Only seed, chunk_size, device and precision change the numbers."""

    chunk_size: Annotated[int, Field(ge=1, le=4096)] = Field(25, description="Drops per work unit.")
    units_per_round: PositiveInt = Field(4, description="Work units between two looks at the stopping rule.")
    threads_per_worker: PositiveInt = Field(
        2, description="CPU threads of each worker; fixed, so that results do not depend on the machine's cores."
    )
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?|auto)$", description="cpu, cuda, cuda:<n> or auto.")
    precision: Literal[32, "bf16-mixed"] = Field(
        32, description="Floating point numbers of matrix products in predictors trained by gradient descent, as in "
        "`training.precision`; everything else is in single precision or better always."
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(0.95, description="Level of every interval.")
    stopping: Stopping = Stopping()


def later_run_fields(run: Run) -> set[str]:
    """As `later_fields`."""
    return {"precision"} if run.precision == 32 else set()


class Scenario(Section):
    """A whole scenario file."""

    name: str = Field(
        "scenario", pattern=r"^\w[\w.-]*$", description="Name of the output folder; the file's by default."
    )
    description: str = Field("", description="One or two sentences for the header and the report.")
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(1, description="Seed of every random stream.")
    plugins: list[str] = Field([], description="Python files with blocks of your own; their code is executed.")
    channel: Channel = Channel()
    acquisition: Acquisition = Acquisition()
    link: Link = Link()
    methods: list[Method] = Field(min_length=1, description="The curves.")
    bounds: list[Literal["genie_lmmse", "perfect_csi_zf", "sum_capacity"]] = Field(
        ["genie_lmmse", "sum_capacity"], description="Physical limits drawn beside the methods: LMMSE prediction "
        "with the geometry known, zero forcing with the true channel (the limit of methods precoded by zf), "
        "dirty-paper coding."
    )
    metrics: list[str] = Field(
        ["nmse_db", "sgcs", "rate_bps_hz", "sum_rate_bps_hz"], description="What is reported.", min_length=1
    )
    sweep: dict[str, list[float | int | str]] = Field(
        {}, description="Axes: any numeric field, or choice between names, by its dotted path, with its values."
    )
    run: Run = Run()
    training: Training = Training()

    @model_validator(mode="before")
    @classmethod
    def _method_shorthand(cls, data: Any) -> Any:
        """A method may be just a name: ``perfect CSI`` or a predictor's."""
        if isinstance(data, dict) and isinstance(data.get("methods"), list):
            data = dict(data)
            data["methods"] = [
                {"name": m, "predictor": "none" if m == PERFECT_CSI else m} if isinstance(m, str) else m
                for m in data["methods"]
            ]
        return data

    @model_validator(mode="after")
    def _unique(self) -> Scenario:
        names = [m.name for m in self.methods]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"methods: two are named {name!r}")
            if name in (*BOUNDS.values(), GENIE_CSI):
                raise ValueError(f"methods: {name!r} is the name of a limit: choose another")
        for values_of, values in self.sweep.items():
            if not values:
                raise ValueError(f"sweep: {values_of} has no values")
            if len(set(values)) != len(values):
                raise ValueError(f"sweep: {values_of} names a value twice")
        columns = [axis_column(key) for key in self.sweep]
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"sweep: two axes would share the column {column!r}")
            if column in RESERVED_COLUMNS:
                raise ValueError(f"sweep: an axis may not be called {column!r}")
        return self


RESERVED_COLUMNS = ("method", "metric", "value", "ci_low", "ci_high", "num_drops", "drop", "user")


def axis_column(key: str) -> str:
    """The column of a sweep axis: the last part of its path."""
    return key.rpartition(".")[2]


def block_of(reference: str | dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Split ``name`` or ``{type: name, option: …}`` into name and options, `checkpoint_of` left out.

    :raises ScenarioError: a mapping without ``type``.
    """
    if isinstance(reference, str):
        return reference, {}
    options = dict(reference)
    if not isinstance(options.get("type"), str):
        raise ScenarioError("a block is written as its name or as {type: name, option: value}")
    options.pop("checkpoint", None)
    return options.pop("type"), options


def checkpoint_of(reference: str | dict[str, Any]) -> str | None:
    """The folder of the checkpoint that a block's entry names."""
    return None if isinstance(reference, str) else reference.get("checkpoint")


def check(scenario: Scenario) -> None:
    """The rules that span sections and need the registry of blocks.

    :raises ScenarioError: the first rule broken, with the key in the text as ``key: message``.
    """
    channel, link = scenario.channel, scenario.link
    if channel.source == "files":
        _check_files(scenario)
    streams = channel.num_users * link.num_streams_per_user
    if link.num_streams_per_user > channel.ue_array.num_antennas:
        raise ScenarioError(
            f"link.num_streams_per_user: {link.num_streams_per_user} streams need as many antennas per user, "
            f"but channel.ue_array.num_antennas is {channel.ue_array.num_antennas}"
        )
    if streams > channel.bs_array.num_antennas:
        raise ScenarioError(
            f"channel.num_users: {channel.num_users} users x {link.num_streams_per_user} streams exceed the "
            f"{channel.bs_array.num_antennas} BS antennas of channel.bs_array"
        )
    if scenario.acquisition.type == "pilots":
        ports = channel.num_users * channel.ue_array.num_antennas
        if channel.num_subcarriers % ports or channel.num_subcarriers < 2 * ports:
            raise ScenarioError(
                f"channel.num_subcarriers: {channel.num_subcarriers} subcarriers cannot carry the pilots of "
                f"{ports} antenna ports: use a multiple of {ports}, at least {2 * ports}"
            )
    _check_block("link.precoder", "precoder", link.precoder, channel)
    for index, method in enumerate(scenario.methods):
        if method.precoder is not None:
            _check_block(f"methods.{index}.precoder", "precoder", method.precoder, channel)
        if method.name == PERFECT_CSI:
            if method.predictor not in ("none", Method.model_fields["predictor"].default):
                raise ScenarioError(f"methods.{index}: {PERFECT_CSI!r} knows the channel and takes no predictor")
        else:
            _check_block(f"methods.{index}.predictor", "predictor", method.predictor, channel)
    _check_training(scenario)
    if "perfect_csi_zf" in scenario.bounds:
        for index, method in enumerate(scenario.methods):
            if block_of(method.precoder or link.precoder)[0] != "zf":
                raise ScenarioError(
                    f"methods.{index}: precoded by {block_of(method.precoder or link.precoder)[0]}, but the bound "
                    "perfect_csi_zf holds for zf alone: set link.precoder to zf or leave the bound out"
                )
    for index, name in enumerate(scenario.metrics):
        try:
            metric(name)
        except KeyError:
            near = registry.nearest(name, METRICS)
            raise ScenarioError(f"metrics.{index}: unknown metric {name!r}: did you mean {near!r}?") from None
        step = name.removeprefix("nmse_step_").removesuffix("_db")
        if step.isdigit() and not 1 <= int(step) <= channel.num_future:
            raise ScenarioError(
                f"metrics.{index}: there is no predicted step {step}: channel.num_future is {channel.num_future}"
            )
    if scenario.run.stopping.metric not in METRICS:
        near = registry.nearest(scenario.run.stopping.metric, METRICS)
        raise ScenarioError(
            f"run.stopping.metric: unknown metric {scenario.run.stopping.metric!r}: did you mean {near!r}?"
        )
    if METRICS[scenario.run.stopping.metric].reduction == "percentile":
        raise ScenarioError("run.stopping.metric: a percentile cannot be watched while running: name a mean")


def trained_methods(scenario: Scenario) -> list[Method]:
    """The methods whose predictor learns."""
    return [method for method in scenario.methods if _is_trained(method)]


def _is_trained(method: Method) -> bool:
    return method.name != PERFECT_CSI and registry.find("predictor", block_of(method.predictor)[0]).trains


def training_of(scenario: Scenario, method: Method) -> Training:
    """How a method is trained, no field left empty.

    :raises ScenarioError: its fields and those of the scenario contradict each other.
    """
    try:
        return merged(scenario.training, method.training)
    except pydantic.ValidationError as error:
        raise ScenarioError(f"training: {describe(error.errors()[0])}") from None


_SAME_SIZES = ("num_history", "num_future", "num_subcarriers", "num_users")


def training_channel(channel: Channel, changes: dict[str, Any]) -> Channel:
    """A channel with the changes that ``training.channel`` makes.

    :raises ScenarioError: a change that cannot be made, ``.key: message``.
    """
    for key in (*_SAME_SIZES, "files"):
        if key in changes:
            raise ScenarioError(f".{key}: cannot be another one in training" + (
                "; training files are named in channel.files.training_path" if key == "files" else ""))
    data = _deeper(channel.model_dump(), changes)
    if changes.get("source") == "model":
        data |= {"files": {}, "ray_traced": changes.get("ray_traced", {})}
    try:
        return Channel.model_validate(data)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = "".join(f".{part}" for part in first["loc"])
        fault = f"unknown key: {suggestion(str(first['loc'][-1]), Channel.model_fields)}" \
            if first["type"] == "extra_forbidden" else describe(first)
        raise ScenarioError(f"{place}: {fault}") from None


def _deeper(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {**data, **{key: _deeper(data[key], value) if isinstance(value, dict) and isinstance(data.get(key), dict)
                       else value for key, value in changes.items()}}


def _check_training(scenario: Scenario) -> None:
    """How trained methods are trained, and that the others say nothing of it."""
    for index, method in enumerate(scenario.methods):
        if not _is_trained(method):
            if method.training is not None:
                raise ScenarioError(f"methods.{index}.training: {method.name!r} is not trained")
            continue
        own = set() if method.training is None else method.training.model_dump(exclude_none=True).keys()

        def place(field: str, own: set[str] = own, index: int = index) -> str:
            return f"methods.{index}.training.{field}" if field in own else f"training.{field}"

        try:
            training = training_of(scenario, method)
        except ScenarioError as error:
            key, _, message = str(error).partition(": ")
            raise ScenarioError(f"{f'methods.{index}.' if own else ''}{key}: {message}") from None
        try:
            channel = training_channel(scenario.channel, training.channel)
        except ScenarioError as error:
            raise ScenarioError(f"{place('channel')}{error}") from None
        if training.csi_snr_db is not None and scenario.acquisition.type == "perfect":
            raise ScenarioError(f"{place('csi_snr_db')}: acquisition.type is perfect: there is no noise to vary")
        if training.teacher:
            _check_teacher(scenario, method, training.teacher, place("teacher"))
        if training.fresh_drops and channel.source == "files" and channel.files.generator is None:
            raise ScenarioError(f"{place('fresh_drops')}: a training file has no other drops in the next epoch")


def _check_teacher(scenario: Scenario, method: Method, teacher: str, place: str) -> None:
    names = [other.name for other in trained_methods(scenario) if other.name != method.name]
    if teacher not in names:
        known = suggestion(teacher, names) if names else "no other method is trained"
        raise ScenarioError(f"{place}: no trained method {teacher!r} to teach {method.name!r}: {known}")
    teaching = next(other for other in scenario.methods if other.name == teacher)
    if training_of(scenario, teaching).teacher:
        raise ScenarioError(f"{place}: {teacher!r} has a teacher itself; one that has none can teach")


def _check_files(scenario: Scenario) -> None:
    """The channel files against the rest of the scenario. Only here does a check open more than the scenario."""
    from linksim.channel.files.agreement import check_against_file, check_training_file, num_drops

    channel, stopping = scenario.channel, scenario.run.stopping
    if channel.files.generator is None:
        header = check_against_file(channel)
        title, has_rays = header.title, header.has_rays
        held, size = num_drops(channel), scenario.run.chunk_size
        if held // size * size < stopping.min_drops:
            whole = held // size * size
            fix = f"run.stopping.min_drops={whole}" if whole else f"run.chunk_size={held}"
            raise ScenarioError(f"run.stopping.min_drops: {stopping.min_drops} drops wanted, but {title} has {held} "
                                f"({held // size} whole chunks of {size}): --set {fix}")
    else:
        _check_block("channel.files.generator", "cir_source", channel.files.generator, channel)
        title, has_rays = f"cir_source {block_of(channel.files.generator)[0]!r}", False
        if channel.duplex not in ("tdd", "fdd_adjacent"):
            raise ScenarioError(f"channel.duplex: {channel.duplex} needs the rays; impulse responses serve tdd and "
                                "fdd_adjacent")
    if "genie_lmmse" in scenario.bounds and not has_rays:
        raise ScenarioError(f"bounds: genie_lmmse needs the rays of every drop, which {title} does not hold: write "
                            "bounds: [sum_capacity], or []")
    trained = [method.name for method in trained_methods(scenario) if checkpoint_of(method.predictor) is None
               and training_of(scenario, method).channel.get("source") != "model"]
    if not trained:
        return
    if channel.files.training_path:
        users = channel.num_users if scenario.acquisition.type == "pilots" else 1
        check_training_file(channel.model_copy(update={"num_users": users}))
    elif channel.files.generator is None:
        raise ScenarioError(f"channel.files.training_path: method {trained[0]!r} is trained, but the scenario names no "
                            "training drops: write it, or leave the method out")


def _check_block(key: str, kind: str, reference: str | dict[str, Any], channel: Channel) -> None:
    try:
        name, options = block_of(reference)
        spec = registry.find(kind, name)
        values = registry.validate_options(spec, options)
    except ScenarioError as error:
        raise ScenarioError(f"{key}: {error}") from None
    checkpoint = checkpoint_of(reference)
    if checkpoint is not None and not spec.trains:
        raise ScenarioError(f"{key}: {kind} {name!r} is not trained: leave its checkpoint out")
    if not isinstance(checkpoint, str | None):
        raise ScenarioError(f"{key}: checkpoint names a folder (given {checkpoint!r})")
    needed = spec.required_history(values)
    if needed > channel.num_history:
        raise ScenarioError(
            f"{key}: {name} needs a history of at least {needed} samples with these options, but "
            f"channel.num_history is {channel.num_history}"
        )
