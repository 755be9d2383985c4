"""CUHK-PEDES: 40,206 pictures of 13,003 persons with two captions each (Li et al., 2017)."""

from __future__ import annotations

from linksim.core.registry import register
from linksim.retrieval.data import RetrievalData, RetrievalSet
from linksim.retrieval.people import load_people
from linksim.retrieval.requirements import folder


@register("retrieval_data", "cuhk_pedes", requires=folder)
class CuhkPedes(RetrievalData):
    """CUHK-PEDES from the user's folder, in the official split: reid_raw.json, and pictures below imgs.

    :param folder: where ``reid_raw.json`` and ``imgs`` are.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def load(self) -> RetrievalSet:
        """The set; the first time takes 60 ms a picture.

        :raises ScenarioError: missing files, another layout, or a fault in the data.
        """
        return load_people("cuhk_pedes", self.folder, "reid_raw.json", "file_path")
