"""The section `run`: how a scenario is executed and when enough drops have been simulated."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from linksim.core.types import PositiveFloat, PositiveInt, Section

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
