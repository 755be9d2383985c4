"""The trainee that a request names."""

from __future__ import annotations

from linksim.scenario.schema import Method, Scenario
from linksim.training.checkpoint import PredictorTrainee
from linksim.training.codecs import CodecTrainee
from linksim.training.trainee import Trainee


def trainee_of(scenario: Scenario, method: Method, part: str) -> Trainee:
    """The predictor of a method, or the codec of its reports.

    :param part: ``predictor`` or ``feedback``.
    """
    return {kind.part: kind for kind in (PredictorTrainee, CodecTrainee)}[part](scenario, method)
