"""What trained blocks learn from and how: the section ``training``, its presets, and what a method has otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, create_model, model_validator

from linksim.core.types import (
    Decibel,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveFraction,
    PositiveInt,
    Section,
    Seed,
)

PRESETS: dict[str, dict[str, Any]] = {
    "cpu": {
        "num_epochs": 40, "batch_drops": 16, "antenna_pairs": 2, "learning_rate": 1e-3, "weight_decay": 0.0,
        "schedule": "cosine", "warmup": 0.05, "gradient_clip": 1.0, "patience": 10, "precision": 32, "max_minutes": 0.0,
    },
    "gpu": {
        "num_epochs": 200, "batch_drops": 64, "antenna_pairs": 0, "learning_rate": 1e-3, "weight_decay": 0.0,
        "schedule": "cosine", "warmup": 0.05, "gradient_clip": 1.0, "patience": 20, "precision": "bf16-mixed",
        "max_minutes": 0.0,
    },
}
"""What a preset fills in where the file says nothing. Checkpoints are named by the values, not by the preset."""


class Training(Section):
    """What trained blocks learn from and how, when no matching checkpoint exists.

    Fields below ``preset`` matter to blocks trained by gradient descent alone; empty ones are the preset's, which is
    given in brackets for cpu and gpu.
    """

    num_drops: Annotated[PositiveInt, Field(le=100_000_000)] = Field(
        400, description="Training drops, from streams of their own; at least 250 for each channel and acquisition "
        "swept. Every fifth chunk of 25 is for validation."
    )
    seed: Seed = Field(0, description="Training data seed; never overlaps with test drops.")
    speeds_kmh: list[Annotated[float, Field(ge=0, le=500)]] = Field(
        [], description="Training speeds, km/h; empty: the speeds of the scenario."
    )
    folder: str = Field("checkpoints", description="Where checkpoints are kept, relative to the working folder.")
    channel: dict[str, Any] = Field(
        {}, description="Fields of `channel` that differ in training, e.g. {model: uma} where the scenario tests umi "
        "(zero-shot), or {source: model} where it tests channels from files."
    )
    csi_snr_db: tuple[Decibel, Decibel] | None = Field(
        None, description="SNR of the training histories, dB, drawn evenly between these two for each drop (and each "
        "epoch); empty: as the scenario's acquisition says."
    )
    fraction: PositiveFraction = Field(
        1.0, description="Share of the training drops used (few-shot), the same drops always and of every condition; "
        "validation drops stay whole. A smaller share is part of a larger one."
    )
    even_steps: bool = Field(
        False, description="Go over a fraction of the drops so often in each epoch that it has about as many steps as "
        "with all of them: shares of drops compared at the same training budget."
    )
    fresh_drops: bool = Field(
        False, description="Draw other training drops in every epoch, instead of the same ones again."
    )
    fresh_noise: bool = Field(
        True, description="Draw another noise of the histories in every epoch; without it they stay as in the first, "
        "and what a block makes of them before its weights come in (csi_alm_ad's classical estimate) is made once."
    )
    weights_seed: Seed = Field(
        0, description="Seed of initial weights, order, dropout and the noise of histories; data stay as they are."
    )
    teacher: str = Field(
        "", description="Name of a trained method of this scenario whose block teaches this one (distillation); it is "
        "trained before. Report what the teacher has seen, too."
    )
    start_from: str = Field(
        "", description="Name of a trained method of this scenario whose weights this one starts from (transfer to "
        "another channel); it has the same block, and is trained before."
    )
    preset: Literal["cpu", "gpu"] = Field("cpu", description="Fills the fields below that are left out.")
    num_epochs: Annotated[PositiveInt, Field(le=1_000_000)] | None = Field(
        None, description="Passes over the training drops at the most (40; 200)."
    )
    batch_drops: Annotated[PositiveInt, Field(le=1_000_000)] | None = Field(
        None, description="Drops per optimiser step over all devices together, at the most (16; 64). The antennas of a "
        "drop stay together: 16 drops of 32 antenna pairs are 512 sequences."
    )
    antenna_pairs: Annotated[NonNegativeInt, Field(le=1_000_000)] | None = Field(
        None, description="Antenna pairs of each user, drawn at random in every pass, that blocks which see each pair "
        "by itself learn from, 0: all (2; 0). Validation takes as many, the same ones always."
    )
    learning_rate: Annotated[PositiveFloat, Field(le=100)] | None = Field(
        None, description="Largest learning rate of AdamW (0.001)."
    )
    weight_decay: Annotated[NonNegativeFloat, Field(le=1000)] | None = Field(
        None, description="Weight decay of AdamW (0)."
    )
    schedule: Literal["cosine", "constant"] | None = Field(
        None, description="Learning rate over the steps: a rise over `warmup` and a cosine to zero, or constant "
        "(cosine)."
    )
    warmup: Fraction | None = Field(None, description="Share of the steps over which the rate rises, cosine (0.05).")
    gradient_clip: Annotated[NonNegativeFloat, Field(le=1_000_000)] | None = Field(
        None, description="Norm that gradients are scaled down to, 0: never (1)."
    )
    patience: Annotated[NonNegativeInt, Field(le=1_000_000)] | None = Field(
        None, description="Stop after so many epochs without a better validation NMSE, 0: never (10; 20)."
    )
    precision: Literal[32, "bf16-mixed", "16-mixed"] | None = Field(
        None, description="Floating point numbers of matrix products; weights are single always (32; bf16-mixed)."
    )
    max_minutes: Annotated[NonNegativeFloat, Field(le=1_000_000)] | None = Field(
        None, description="Wall-clock budget of each method, minutes, 0: none (0). The schedule is shortened to what "
        "fits; the best weights so far count."
    )
    weight_averaging: Fraction = Field(
        0.0, description="Memory of an exponential average of the weights, as a share of the steps made so far, 0: no "
        "average. Steps go on from the weights themselves; what is validated, chosen and kept is their average."
    )
    compile: bool = Field(
        False, description="Fuse a step's operations by torch.compile, which takes a C++ compiler, and a minute or two "
        "before the first step. Pays in trainings of half an hour and more: on a CPU llm4cp makes 1.7 times as many "
        "steps a second, csi_alm 1.3, recurrent networks no more."
    )
    devices: Annotated[PositiveInt, Field(le=1024)] = Field(
        1, description="GPUs (or CPU processes) of each machine that share every step."
    )
    num_nodes: Annotated[PositiveInt, Field(le=100_000)] = Field(
        1, description="Machines; with more than one, start `linksim train` on each through torchrun or srun."
    )
    cache_gb: Annotated[NonNegativeFloat, Field(le=1_000_000)] = Field(
        4.0, description="Memory for keeping training drops from epoch to epoch, GB per process; the others are drawn "
        "again, to the same values."
    )
    keep_drops: bool = Field(
        False, description="Keep drawn training drops (without noise) in the cache folder, LINKSIM_CACHE: blocks that "
        "learn from the same drops, in this run or another, draw them once. 0.2 GB for 25,000 windows of 32 x 32. "
        "Without fresh_noise also what a block makes of their histories (csi_alm_ad: 2 MB a drop)."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Training:
        check_training(self)
        return self


def check_training(training: Any) -> None:
    """The rules of the section that span fields.

    :raises ValueError: the first one broken.
    """
    if training.csi_snr_db is not None and training.csi_snr_db[0] > training.csi_snr_db[1]:
        raise ValueError(f"csi_snr_db goes from {training.csi_snr_db[0]:g} down to {training.csi_snr_db[1]:g}: write "
                         "the lower one first")
    if training.fresh_drops and training.fresh_noise is False:
        raise ValueError("fresh_drops draws other histories in every epoch, which fresh_noise: false forbids: leave "
                         "one of them out")
    processes = (training.devices or 1) * (training.num_nodes or 1)
    if training.batch_drops is not None and training.batch_drops % processes:
        raise ValueError(f"batch_drops ({training.batch_drops}) cannot be shared evenly by {processes} processes: use "
                         f"a multiple of {processes}")


class _OfMethod(Section):
    @model_validator(mode="after")
    def _consistent(self) -> _OfMethod:
        check_training(self)
        return self


if TYPE_CHECKING:
    class MethodTraining(_OfMethod): ...
else:
    MethodTraining = create_model(
        "MethodTraining", __base__=_OfMethod, __module__=__name__,
        __doc__="Fields of `training` that are otherwise for this method; those left out are the scenario's.",
        **{name: (field.rebuild_annotation() | None, Field(None, description=field.description))
           for name, field in Training.model_fields.items() if name != "folder"},
    )
    """All fields of `Training` but the folder, each of them empty unless the method says otherwise."""


class WholeTraining(Training):
    """A training with no field left empty, see `merged`."""

    num_epochs: int
    batch_drops: int
    antenna_pairs: int
    learning_rate: float
    weight_decay: float
    schedule: Literal["cosine", "constant"]
    warmup: float
    gradient_clip: float
    patience: int
    precision: Literal[32, "bf16-mixed", "16-mixed"]
    max_minutes: float


NOT_LEARNED = {"folder", "preset", "compile", "devices", "num_nodes", "cache_gb", "keep_drops"}
"""Fields that say where and with what a block is trained, not what it becomes (but for its last digits)."""


def merged(training: Training, method: MethodTraining | None) -> WholeTraining:
    """The training of a method: its own fields, then the scenario's, then the preset's."""
    own = {} if method is None else {name: value for name in type(method).model_fields
                                     if (value := getattr(method, name)) is not None}
    given = {name: getattr(training, name) for name in Training.model_fields} | own
    preset = {name: value for name, value in PRESETS[given["preset"]].items() if given[name] is None}
    return WholeTraining.model_validate(given | preset)
