"""What a scenario file may say. Every field has its unit in its name and its meaning in its description."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from linksim.core.printing import hidden_character
from linksim.core.types import Decibel, Fraction, NonNegativeInt, PositiveFloat, PositiveInt, Section, Seed
from linksim.scenario.channel import Channel
from linksim.scenario.coding import Coding
from linksim.scenario.training import MethodTraining, Training

MAX_DROPS = 10_000_000


class Stopping(Section):
    """When enough drops have been simulated at a channel point."""

    metric: str = Field("nmse_db", description="Watched for every method.")
    half_width: Annotated[PositiveFloat, Field(le=1_000_000)] = Field(
        0.3, description="Stop when no interval is wider than +- this."
    )
    min_drops: Annotated[PositiveInt, Field(le=MAX_DROPS)] = Field(
        200, description="Simulated in any case; the first look at the intervals is at the end of the work "
        "unit that they fill."
    )
    max_drops: Annotated[PositiveInt, Field(le=MAX_DROPS)] = Field(1000, description="Stop here at the latest.")
    adaptive: bool = Field(True, description="If false, run min_drops and no more.")
    block_errors: PositiveInt | None = Field(
        None, description="Stop when every method has lost so many blocks at every point, or at max_drops; watches no "
        "interval then."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_alone(cls, data: Any) -> Any:
        """Where only one of them is given, the other's default gives way."""
        if not isinstance(data, dict) or len(given := {"min_drops", "max_drops"} & data.keys()) != 1:
            return data
        name, = given
        other, nearer = ("min_drops", min) if name == "max_drops" else ("max_drops", max)
        if type(data[name]) is not int:
            return data
        return {**data, other: nearer(data[name], cls.model_fields[other].default)}

    @model_validator(mode="after")
    def _order(self) -> Stopping:
        if self.max_drops < self.min_drops:
            raise ValueError(f"max_drops ({self.max_drops}) is below min_drops ({self.min_drops}): change both")
        return self


class Run(Section):
    """How the run is executed. Only seed, chunk_size, device and precision change the numbers."""

    chunk_size: Annotated[int, Field(ge=1, le=4096)] = Field(25, description="Drops per work unit.")
    units_per_round: Annotated[PositiveInt, Field(le=1_000_000)] = Field(
        4, description="Work units between two looks at the stopping rule."
    )
    threads_per_worker: Annotated[PositiveInt, Field(le=1024)] = Field(
        2, description="CPU threads of each worker; fixed, so that results do not depend on the machine's cores."
    )
    device: str = Field("cpu", pattern=r"^(cpu|cuda(:\d+)?|auto)$", description="cpu, cuda, cuda:<n> or auto.")
    precision: Literal[32, "bf16-mixed"] = Field(
        32, description="Floating point numbers of matrix products in predictors trained by gradient descent, as in "
        "`training.precision`; everything else is in single precision or better always."
    )
    maps: bool = Field(
        False, description="Keep where every user stands, and draw a map of each method's NMSE over the cell."
    )
    confidence: Annotated[float, Field(gt=0.5, lt=1)] = Field(0.95, description="Level of every interval.")
    quick: bool = Field(
        False, description="A look at the ends and the middle of every axis alone, which begins no work unit after "
        "30 s; run again, it goes on. What is trained stays as it is."
    )
    left_out: list[str] = Field([], description="Names of methods that are neither trained nor simulated.")
    stopping: Stopping = Stopping()


class Semantic(Section):
    """What is sent by methods that have a semantic codec, and how.

    Every drop sends `captions_per_drop` captions of the test split to one user, each in `channel_uses` complex symbols
    over ``link.num_streams_per_user`` streams; the receiver ranks the whole gallery of the test split for each.
    """

    data: str | dict[str, Any] = Field(
        "emoji", description="A retrieval data set's name, or {type: name, option: …}; `linksim blocks` lists them."
    )
    channel_uses: Annotated[PositiveInt, Field(le=1_000_000)] = Field(
        16, description="Complex symbols of a caption, over all streams together; a multiple of the streams."
    )
    captions_per_drop: Annotated[PositiveInt, Field(le=1_000_000)] = Field(
        16, description="Captions sent over the channel of every drop, each drawn anew."
    )
    num_pilots: Annotated[PositiveInt, Field(le=1_000_000)] = Field(
        8, description="Precoded pilots of each stream, of the data's power, from which the receiver estimates its "
        "effective channel on every resource element."
    )


STAGES = ("channel", "acquisition", "feedback", "prediction", "precoding")
"""Stages in the order of the chain. A sweep axis repeats its own stage and the later ones, nothing before."""

STAGE_OF_SECTION = {
    "channel": "channel", "acquisition": "acquisition", "feedback": "feedback", "methods": "prediction",
    "training": "prediction", "link": "precoding", "semantic": "precoding",
}

PERFECT_CSI = "perfect CSI"


class Acquisition(Section):
    """How the base station obtains the history."""

    type: Literal["perfect", "awgn", "pilots"] = Field(
        "awgn", description="The true channel, the true channel in noise, or uplink pilots with an estimator."
    )
    csi_snr_db: Decibel = Field(
        18.0, description="SNR of the CSI (awgn) or of the pilots, dB below each user's own mean power."
    )
    estimator: Literal["ls", "lmmse"] = Field("ls", description="Pilot estimator (Sionna's).")
    interpolation: Literal["nearest", "linear"] = Field(
        "linear", description="Between pilot subcarriers, for the ls estimator."
    )
    delay_spread_ns: Annotated[PositiveFloat, Field(le=1_000_000)] = Field(
        300.0, description="RMS delay spread that the lmmse estimator's covariance assumes, ns."
    )


class Feedback(Section):
    """How reports travel, for methods whose CSI is fed back.

    The terminal sees the downlink as `acquisition` says, with noise of its own, and reports every CSI period.
    """

    bits: PositiveInt | None = Field(
        None, description="Bits per report of every codec that takes a budget and is given none of its own."
    )
    delay_periods: Annotated[NonNegativeInt, Field(le=100_000)] = Field(
        0, description="CSI periods until a report can be used: the latest ones are missing from the history."
    )
    bit_error_rate: Fraction = Field(
        0.0, description="Chance that a bit of a report is received wrong; a report that cannot be decoded is replaced "
        "by the one before it, the first by zeros, and counted in the manifest."
    )


class Link(Section):
    """The downlink transmission."""

    snr_db: Decibel = Field(
        20.0, description="Transmit power over noise power per subcarrier at unit average channel gain, dB."
    )
    precoder: str | dict[str, Any] = Field("rzf", description="A precoder's name, or {type: name, option: …}.")
    num_streams_per_user: Annotated[PositiveInt, Field(le=64)] = Field(1, description="Spatial streams per user.")
    unusable_csi: Literal["mend", "raise"] = Field(
        "mend", description="Rank-deficient or non-finite CSI: mend it and count it in the manifest, or stop."
    )
    mode: Literal["rate", "abstraction", "coded"] = Field(
        "rate", description="rate: what is achievable. coded: transport blocks through encoder, channel and decoder. "
        "abstraction: block errors from effective SINR and tables, much faster. Both add bler and throughput_bps_hz."
    )
    coding: Coding = Coding()


FORMULA = tuple("=+-@")
"""With which a spreadsheet's formulas begin: a cell of ``metrics.csv`` would be computed where it is opened."""


def _plain_name(text: str) -> str:
    """A name that looks as it is written, in every table, figure and file name."""
    if found := hidden_character(text):
        raise ValueError(f"must not hold {found}: a name is one line of visible characters")
    if text.startswith(FORMULA):
        raise ValueError(f"must not begin with {text[0]!r}: a spreadsheet would take it for a formula")
    return text


def whole_method(method: Any) -> Any:
    """A method given by its name alone, ``perfect CSI`` or a predictor's, as keys and values."""
    if not isinstance(method, str):
        return method
    return {"name": method, "csi": "perfect"} if method == PERFECT_CSI else {"name": method, "predictor": method}


class Method(Section):
    """One curve: which CSI the base station has, which predictor, which precoder."""

    name: Annotated[str, Field(min_length=1, max_length=60), AfterValidator(_plain_name)]
    csi: Literal["perfect", "uplink", "reports"] | None = Field(
        None, description="What the base station knows: the true channel, its own estimates of the uplink, or reports; "
        "left out, reports where there is feedback, else the uplink."
    )
    predictor: str | dict[str, Any] = Field(
        "hold", description="A predictor's name, or {type: name, option: …}; a trained one may name its checkpoint's "
        "folder, {type: name, checkpoint: folder}."
    )
    precoder: str | dict[str, Any] | None = Field(None, description="Instead of link.precoder.")
    feedback: str | dict[str, Any] | None = Field(
        None, description="The codec by which the terminals report their downlink CSI, by its name or as {type: name, "
        "option: …}; without one the base station estimates the uplink itself."
    )
    training: MethodTraining | None = Field(
        None, description="What is otherwise in this method's training than in `training`: a paper's own epochs, other "
        "channels, fewer drops."
    )
    codec_training: MethodTraining | None = Field(
        None, description="What is otherwise than in `training` when the codec of `feedback` is trained."
    )
    semantic: str | dict[str, Any] | None = Field(
        None, description="The semantic codec that sends the captions of the section `semantic`, by its name or as "
        "{type: name, option: …}."
    )
    semantic_training: MethodTraining | None = Field(
        None, description="What is otherwise than in `training` when the codec of `semantic` is trained."
    )
    universal: str | dict[str, Any] | None = Field(
        None, description="The block that answers tasks about ray-traced terminals (positioning, line of sight, "
        "precoding, beam, path loss), by its name or as {type: name, option: …}; it takes the place of the predictor."
    )
    universal_training: MethodTraining | None = Field(
        None, description="What is otherwise than in `training` when the block of `universal` is trained; `teacher` "
        "names the method whose encoders it takes over."
    )

    precoder_training: MethodTraining | None = Field(
        None, description="What is otherwise than in `training` when the method's own precoder is trained."
    )

    @model_validator(mode="after")
    def _name_decides_nothing(self) -> Method:
        if self.csi is None and (self.name == PERFECT_CSI or self.name.startswith(f"{PERFECT_CSI}, ")):
            other = "uplink" if self.feedback is None else "reports"
            raise ValueError(f"{self.name!r}: a name does not say what the base station knows: add csi: perfect, or "
                             f"csi: {other}")
        return self


Swept = Annotated[float, Field(ge=-2**63, le=2**63, allow_inf_nan=False)] | Annotated[int, Field(ge=-2**63, le=2**63)]
"""A number of an axis; the field that it is put into says more."""


class Scenario(Section):
    """A whole scenario file."""

    name: str = Field(
        "scenario", pattern=r"^\w[\w.-]*$",
        description="Name of the output folder: letters, digits, '_', '.' and '-'; the file's by default."
    )
    description: str = Field("", description="One or two sentences for the header and the report.")
    seed: Seed = Field(1, description="Seed of every random stream.")
    plugins: list[str] = Field([], description="Python files with blocks of your own; their code is executed.")
    channel: Channel = Channel()
    acquisition: Acquisition = Acquisition()
    feedback: Feedback = Feedback()
    link: Link = Link()
    semantic: Semantic = Semantic()
    methods: list[Method] = Field(min_length=1, max_length=200, description="The curves.")
    bounds: list[str | dict[str, Any]] = Field(
        ["genie_lmmse", "sum_capacity"], description="Physical limits drawn beside the methods: LMMSE prediction "
        "with the geometry known, from the uplink or from reports of any size, the least error of one report of "
        "feedback.bits with the geometry known, zero forcing with the true channel (the limit of methods precoded by "
        "zf), dirty-paper coding."
    )
    metrics: list[str] = Field(
        ["nmse_db", "sgcs", "rate_bps_hz", "sum_rate_bps_hz"], description="What is reported.", min_length=1
    )
    sweep: dict[str, list[Swept | str]] = Field(
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
            data["methods"] = [whole_method(method) for method in data["methods"]]
        return data

    @model_validator(mode="after")
    def _unique(self) -> Scenario:
        names = [m.name for m in self.methods]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"methods: two are named {name!r}")
        for name in self.run.left_out:
            if name not in names:
                raise ValueError(f"run: left_out names {name!r}, and no method is called that")
        if set(self.run.left_out) >= set(names):
            raise ValueError("run: left_out leaves no method")
        named: dict[str, Sequence[str | dict[str, Any]]] = {"bounds": self.bounds, "metrics": self.metrics}
        for section, listed in named.items():
            for one in listed:
                if listed.count(one) > 1:
                    raise ValueError(f"{section}: {one} is named twice: name it once")
        points = math.prod(map(len, self.sweep.values()))
        if points > MAX_POINTS:
            raise ValueError(f"sweep: {points} points on the grid of its axes, at most {MAX_POINTS} are possible: "
                             "write fewer values, or several files")
        for values_of, values in self.sweep.items():
            if not values:
                raise ValueError(f"sweep: {values_of} has no values")
            if len(set(values)) != len(values):
                raise ValueError(f"sweep: {values_of} names a value twice")
            for value in values:
                if isinstance(value, str) and value.startswith(FORMULA):
                    raise ValueError(f"sweep: {values_of}: {value!r} must not begin with {value[0]!r}: a spreadsheet "
                                     "would take it for a formula")
        columns = [axis_column(key) for key in self.sweep]
        for column in columns:
            if columns.count(column) > 1:
                raise ValueError(f"sweep: two axes would share the column {column!r}")
            if column in RESERVED_COLUMNS:
                raise ValueError(f"sweep: an axis may not be called {column!r}")
        return self


MAX_POINTS = 1000
"""Most points of a sweep's grid: each is checked before the run, and is simulated for every method."""

RESERVED_COLUMNS = ("method", "metric", "value", "ci_low", "ci_high", "num_drops", "drop", "user")


def axis_column(key: str) -> str:
    """The column of a sweep axis: the last part of its path."""
    return key.rpartition(".")[2]


CHECKPOINT_WEIGHTS = "weights.safetensors"
"""The file that makes a folder a checkpoint."""
