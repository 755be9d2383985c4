"""What the three sets of photographed persons share: an annotation file in JSON, and pictures in ``imgs``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from linksim.core.errors import ScenarioError
from linksim.retrieval.data import RetrievalSet, Split, split_identities
from linksim.retrieval.files import (
    digest_of,
    file_digest,
    open_folder,
    picture_file_features,
    read_records,
    require_files,
)
from linksim.retrieval.pictures import encoder_versions

_SPLITS = ("train", "val", "test")


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
