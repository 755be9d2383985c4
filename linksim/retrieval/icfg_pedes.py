"""ICFG-PEDES: 54,522 pictures of 4,102 persons with one caption each (Ding et al., 2021)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from linksim.core.registry import register
from linksim.core.types import PositiveFraction
from linksim.retrieval.data import RetrievalData, RetrievalSet
from linksim.retrieval.people import load_people
from linksim.retrieval.requirements import folder


@register("retrieval_data", "icfg_pedes", requires=folder)
class IcfgPedes(RetrievalData):
    """ICFG-PEDES from the user's folder, in the official split: ICFG-PEDES.json, and pictures below imgs.

    There is no official validation split: some of the training persons become one.

    :param folder: where ``ICFG-PEDES.json`` and ``imgs`` are.
    :param validation_share: of the training persons.
    """

    def __init__(self, folder: str, validation_share: PositiveFraction = 0.1) -> None:
        self.folder, self.validation_share = folder, validation_share

    def load(self) -> RetrievalSet:
        """The set; the first time takes 60 ms a picture.

        :raises ScenarioError: missing files, another layout, or a fault in the data.
        """
        return load_people("icfg_pedes", self.folder, "ICFG-PEDES.json", "file_path", _person, self.validation_share)


def _person(record: dict[str, Any]) -> tuple[str, Any]:
    """The pictures are MSMT17's, which counts persons anew in each of its folders."""
    return PurePosixPath(str(record["file_path"])).parts[0], record["id"]
