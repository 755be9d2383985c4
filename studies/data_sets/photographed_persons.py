"""Photographed persons with captions: CUHK-PEDES, ICFG-PEDES and RSTPReid, an annotation file and pictures each.

Sources: Li et al., 2017 (40,206 pictures of 13,003 persons, two captions each); Ding et al., 2021 (54,522 of 4,102, one
each); Zhu et al., 2021 (20,505 of 4,101, two each).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import torch

from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import PositiveFraction
from linksim.retrieval.data import RetrievalData, RetrievalSet, Split, split_identities
from linksim.retrieval.files import (
    digest_of,
    file_digest,
    folder_is_there,
    open_folder,
    picture_file_features,
    read_records,
    require_files,
)
from linksim.retrieval.pictures import encoder_versions

_SPLITS = ("train", "val", "test")


@register("retrieval_data", "cuhk_pedes", requires=folder_is_there)
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


@register("retrieval_data", "rstpreid", requires=folder_is_there)
class Rstpreid(RetrievalData):
    """RSTPReid from the user's folder, in the official split: data_captions.json, and pictures below imgs.

    :param folder: where ``data_captions.json`` and ``imgs`` are.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def load(self) -> RetrievalSet:
        """As `CuhkPedes.load`."""
        return load_people("rstpreid", self.folder, "data_captions.json", "img_path")


@register("retrieval_data", "icfg_pedes", requires=folder_is_there)
class IcfgPedes(RetrievalData):
    """ICFG-PEDES from the user's folder, in the official split: ICFG-PEDES.json, and pictures below imgs.

    There is no official validation split: some of the training persons become one.

    :param folder: where ``ICFG-PEDES.json`` and ``imgs`` are.
    :param validation_share: of the training persons.
    """

    def __init__(self, folder: str, validation_share: PositiveFraction = 0.1) -> None:
        self.folder, self.validation_share = folder, validation_share

    def load(self) -> RetrievalSet:
        """As `CuhkPedes.load`."""
        return load_people("icfg_pedes", self.folder, "ICFG-PEDES.json", "file_path", _person, self.validation_share)


def _person(record: dict[str, Any]) -> tuple[str, Any]:
    """The pictures are MSMT17's, which counts persons anew in each of its folders."""
    return PurePosixPath(str(record["file_path"])).parts[0], record["id"]


def load_people(name: str, folder: str, annotations: str, picture_key: str,
                person_of: Callable[[dict[str, Any]], Any] = lambda record: record["id"],
                validation_share: float | None = None) -> RetrievalSet:
    """A set in its official split; every picture is an item, its captions ask for its person.

    :param annotations: name of the JSON file.
    :param picture_key: where an entry has its picture's path below ``imgs``.
    :param person_of: what tells persons apart.
    :param validation_share: of the training persons, taken for validation where there is no official split for it.
    :raises ScenarioError: missing files, another layout, or a fault in the data.
    """
    keys = ("split", "captions", picture_key, "id")
    expected = f"{annotations} and the pictures below imgs/"
    root = open_folder(name, folder, expected)
    require_files(name, [root / annotations], expected)
    records = read_records(name, root / annotations, keys)
    for number, record in enumerate(records):
        if record["split"] not in _SPLITS:
            raise ScenarioError(f"{name}: {root / annotations}: entry {number} has split {record['split']!r}, but one "
                                f"of {', '.join(_SPLITS)} is expected")
        if not isinstance(record["captions"], list) or not all(isinstance(text, str) for text in record["captions"]):
            raise ScenarioError(f"{name}: {root / annotations}: captions of entry {number} are not a list of texts")
    paths = [root / "imgs" / str(record[picture_key]) for record in records]
    require_files(name, paths, expected)
    numbers: dict[Any, int] = {}
    identities = torch.tensor([numbers.setdefault(person_of(record), len(numbers)) for record in records])
    rows = {split: [row for row, record in enumerate(records) if record["split"] == split] for split in _SPLITS}
    if validation_share is not None and not rows["val"]:
        _, held_out = split_identities(identities[rows["train"]].tolist(), (1 - validation_share, validation_share), 0)
        rows["val"] = [row for row in rows["train"] if int(identities[row]) in set(held_out)]
        rows["train"] = sorted(set(rows["train"]) - set(rows["val"]))
    features = picture_file_features(paths)[:, None]

    def split_of(chosen: list[int]) -> Split:
        captions = [(int(identities[row]), text.strip()) for row in chosen for text in records[row]["captions"]]
        return Split(tuple(text for _, text in captions), torch.tensor([identity for identity, _ in captions]),
                     identities[chosen], features[chosen])

    return RetrievalSet(name, "image", *(split_of(rows[split]) for split in _SPLITS), {
        "name": name, "version": 1, "annotations": file_digest(root / annotations), "files": digest_of(paths, root),
        "validation_share": validation_share, "packages": encoder_versions()})
