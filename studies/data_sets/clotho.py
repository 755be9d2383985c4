"""Clotho 2.1: 5,929 sounds of 15 to 30 s with five captions each (Drossos et al., 2020)."""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.retrieval.data import RetrievalData, RetrievalSet, split_of
from linksim.retrieval.files import (
    audio_file_features,
    digest_of,
    file_digest,
    folder_is_there,
    open_folder,
    require_files,
)

NUM_FRAMES = 250
_MERGED = 3
"""Frames of 40 ms in one: 30 s are 250 frames of 120 ms."""
_SPLITS = ("development", "validation", "evaluation")
_COLUMNS = ("file_name", *(f"caption_{number}" for number in range(1, 6)))
_EXPECTED = "clotho_captions_{development,validation,evaluation}.csv and folders of those three names with .wav files"


@register("retrieval_data", "clotho", requires=folder_is_there)
class Clotho(RetrievalData):
    """Clotho from the user's folder; development, validation and evaluation are train, validation and test.

    Features are 250 log-mel frames of 64 bands, 120 ms each; the first time takes minutes.

    :param folder: where the three caption files, and the folders with the sounds are.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def load(self) -> RetrievalSet:
        """The set.

        :raises ScenarioError: missing files, another layout, or a fault in the data.
        """
        root = open_folder("clotho", self.folder, _EXPECTED)
        tables = [root / f"clotho_captions_{split}.csv" for split in _SPLITS]
        require_files("clotho", tables, _EXPECTED)
        rows = [(split, row) for split, table in zip(_SPLITS, tables) for row in _rows(table)]
        paths = [root / split / row["file_name"] for split, row in rows]
        require_files("clotho", paths, _EXPECTED)
        features = audio_file_features(paths, NUM_FRAMES, _MERGED)
        captions = [(number, row[column].strip()) for number, (_, row) in enumerate(rows) for column in _COLUMNS[1:]]
        parts = ([number for number, (of, _) in enumerate(rows) if of == split] for split in _SPLITS)
        train, validation, test = (split_of(part, captions, torch.arange(len(rows)), features) for part in parts)
        return RetrievalSet("clotho", "audio", train, validation, test, {
            "name": "clotho", "version": 1, "captions": [file_digest(table) for table in tables],
            "files": digest_of(paths, root)})


def _rows(table: Path) -> list[dict[str, str]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, ValueError, csv.Error) as error:
        raise ScenarioError(f"clotho: {table}: cannot be read: {error}") from None
    lacking = [column for column in _COLUMNS if not rows or rows[0].get(column) is None]
    if lacking:
        raise ScenarioError(f"clotho: {table}: no column {lacking[0]!r}; expected {', '.join(_COLUMNS)}")
    return rows
