"""Types with a range, used by scenario fields and by the options of blocks; what a section of a scenario file is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

LARGEST = 10**9
"""Where nothing tighter is known: beyond it is a slip of the pen, and sums in single precision overflow."""

SMALLEST = 1e-12
"""Above zero: what is divided by less overflows."""

PositiveInt = Annotated[int, Field(ge=1, le=LARGEST)]
Iterations = Annotated[int, Field(ge=0, le=10_000)]
"""Iterations of something that converges within some tens."""
ReportBits = Annotated[int, Field(ge=1, le=200_000)]
"""Bits of one report; larger ones have more elements than a range coder's tables have frequencies."""
NonNegativeInt = Annotated[int, Field(ge=0, le=LARGEST)]
PositiveFloat = Annotated[float, Field(gt=0, ge=SMALLEST, le=LARGEST, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
FiniteFloat = Annotated[float, Field(ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Decibel = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
"""A ratio of powers that the link's single precision can still tell from zero and infinity."""
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(ge=0, le=1)]
"""Between 0 and 1, both included."""
PositiveFraction = Annotated[float, Field(gt=0, ge=SMALLEST, le=1)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
"""Cosine of the angle between two vectors."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
