"""Options as constructors say them: groups are spread and put together again, and JSON loses nothing."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic
import pytest

from linksim.core import registry
from linksim.core.errors import ScenarioError
from linksim.core.options import Only, construct, documentation, fields_of, from_json, model_of, to_json
from linksim.core.types import Decibel, Fraction, PositiveInt


class Engine(pydantic.BaseModel, frozen=True):
    """What drives.

    :param power: of it.
    :param fuel: what it burns,
        if anything.
    :param noise_db: nobody says it in a file.
    """

    power: PositiveInt = 2
    fuel: Literal["none", "oil"] = "none"
    noise_db: Decibel = 3.0


class Car:
    """Drives.

    :param fuel: what this one burns.
    """

    def __init__(self, wheels: PositiveInt, engine: Annotated[Engine, Only("power", "fuel")] = Engine(power=7),  # noqa: B008
                 *, share: Fraction | None = None) -> None:
        self.wheels, self.engine, self.share = wheels, engine, share


class Van(Car):
    """Carries."""


@pytest.mark.parametrize("made", [Car, Van])
def test_a_group_is_spread_with_its_defaults_and_put_together_again(made):
    fields = fields_of(made)
    assert fields == {"wheels": (PositiveInt, ...), "power": (PositiveInt, 7),
                      "fuel": (Literal["none", "oil"], "none"), "share": (Fraction | None, None)}
    car = construct(made, {"wheels": 4, "fuel": "oil"})
    assert (car.wheels, car.engine) == (4, Engine(power=7, fuel="oil"))
    assert construct(made, model_of("car", fields)(wheels=3).model_dump()).engine == Engine(power=7)


def test_what_a_docstring_leaves_out_is_said_by_bases_and_groups():
    assert documentation(Car, fields_of(Car)) == "Drives.\n\n:param fuel: what this one burns.\n:param power: of it."
    assert documentation(Van, fields_of(Van)) == "Carries.\n\n:param power: of it.\n:param fuel: what this one burns."
    assert documentation(Engine, {}) == Engine.__doc__.replace("\n    ", "\n").strip()


def test_json_loses_nothing():
    fields = fields_of(Car)
    again = from_json(to_json(fields))
    assert model_of("car", again).model_json_schema() == model_of("car", fields).model_json_schema()


def test_an_option_cannot_be_there_twice():
    def twice(engine: Engine, power: int = 1):
        pass

    with pytest.raises(TypeError, match="option 'power' is there twice"):
        fields_of(twice)


def test_options_of_a_group_are_checked_as_any_other():
    with pytest.raises(ScenarioError, match="predictor 'cdg', option 'num_layers': must be at least 1"):
        registry.create("predictor", "cdg", {"num_layers": 0})
    with pytest.raises(ScenarioError, match="no option 'layers': did you mean 'num_layers'"):
        registry.create("predictor", "cdg", {"layers": 3})
    choice = registry.create("predictor", "cdg", {"num_layers": 3, "words": "shuffled"}).choice
    assert (choice.num_layers, choice.words, choice.adaptation, choice.backbone) == (3, "shuffled", "frozen", "smollm2")
