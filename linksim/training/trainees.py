"""The trainee that a request names."""

from __future__ import annotations

from linksim.scenario.schema import Method, Scenario
from linksim.training.checkpoint import PredictorTrainee
from linksim.training.codecs import CodecTrainee
from linksim.training.semantics import SemanticTrainee
from linksim.training.trainee import Trainee


def trainee_of(scenario: Scenario, method: Method, part: str) -> Trainee:
    """The predictor of a method, the codec of its reports, or its semantic codec.

    :param part: ``predictor``, ``feedback`` or ``semantic``.
    """
    return {kind.part: kind for kind in (PredictorTrainee, CodecTrainee, SemanticTrainee)}[part](scenario, method)
