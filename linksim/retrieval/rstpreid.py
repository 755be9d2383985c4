"""RSTPReid: 20,505 pictures of 4,101 persons with two captions each (Zhu et al., 2021)."""

from __future__ import annotations

from linksim.core.registry import register
from linksim.retrieval.data import RetrievalData, RetrievalSet
from linksim.retrieval.people import load_people
from linksim.retrieval.requirements import folder


@register("retrieval_data", "rstpreid", requires=folder)
class RstpReid(RetrievalData):
    """RSTPReid from the user's folder, in the official split: data_captions.json, and pictures below imgs.

    :param folder: where ``data_captions.json`` and ``imgs`` are.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def load(self) -> RetrievalSet:
        """The set; the first time takes 60 ms a picture.

        :raises ScenarioError: missing files, another layout, or a fault in the data.
        """
        return load_people("rstpreid", self.folder, "data_captions.json", "img_path")
