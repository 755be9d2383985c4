"""The trainee that a request names."""

from __future__ import annotations

from linksim.scenario.schema import Method, Scenario
from linksim.training.checkpoint import PredictorTrainee
from linksim.training.codecs import CodecTrainee
from linksim.training.semantics import SemanticTrainee
from linksim.training.trainee import Trainee
from linksim.training.universals import UniversalTrainee


def trainee_of(scenario: Scenario, method: Method, part: str) -> Trainee:
    """The predictor of a method, the codec of its reports, its semantic codec, or what answers its tasks.

    :param part: ``predictor``, ``feedback``, ``semantic`` or ``universal``.
    """
    kinds = PredictorTrainee, CodecTrainee, SemanticTrainee, UniversalTrainee
    return {kind.part: kind for kind in kinds}[part](scenario, method)
