"""Tux Paint's stamps: what is on a stamp, spoken by people in several languages, asked for by its text."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import NonNegativeInt
from linksim.retrieval.data import RetrievalData, RetrievalSet, built_in_splits
from linksim.retrieval.files import audio_file_features, digest_of, folder_is_there, open_folder

NUM_FRAMES = 150
"""6 s; longer ones are cut."""
_EXPECTED = "Tux Paint's stamps (Debian package tuxpaint-stamps-default): NAME.txt beside NAME_desc_LANGUAGE.ogg"


@register("retrieval_data", "stamps", requires=folder_is_there)
class Stamps(RetrievalData):
    """Some 900 spoken descriptions of Tux Paint's stamps, asked for by their text: real speech, one caption each.

    Needs the Debian package tuxpaint-stamps-default (GPL-2). Stamps of one text have one identity. Features are 150
    log-mel frames of 64 bands. Splits 70/10/20 % by text.

    :param folder: of the stamps, with those below it.
    :param language: that is spoken.
    :param captions: in the language that is spoken, or in English.
    :param seed: of splits.
    """

    def __init__(self, folder: str = "/usr/share/tuxpaint/stamps",
                 language: Literal["bg", "ca", "es", "fr", "ro", "ru"] = "es",
                 captions: Literal["spoken", "english"] = "spoken", seed: NonNegativeInt = 0) -> None:
        self.folder, self.language, self.seed = folder, language, seed
        self.in_english = captions == "english"

    def load(self) -> RetrievalSet:
        """The set.

        :raises ScenarioError: no stamps there.
        :raises LinksimError: package soundfile is not installed.
        """
        root = open_folder("stamps", self.folder, _EXPECTED)
        told = {}
        for path in sorted(root.rglob(f"*_desc_{self.language}.ogg")):
            text = self._text(path.with_name(path.name.removesuffix(f"_desc_{self.language}.ogg") + ".txt"))
            if text:
                told[path] = text
        if not told:
            raise ScenarioError(f"stamps: {root}: no spoken description in {self.language!r} with a text; expected "
                                f"{_EXPECTED}")
        features = audio_file_features(list(told), NUM_FRAMES)
        texts = sorted(set(told.values()))
        identities = torch.tensor([texts.index(text) for text in told.values()])
        splits = built_in_splits(enumerate(texts), identities, features, self.seed)
        return RetrievalSet("stamps", "audio", *splits, {
            "name": "stamps", "version": 1, "language": self.language, "in_english": self.in_english,
            "seed": self.seed, "files": digest_of(list(told), root)})

    def _text(self, path: Path) -> str | None:
        """A stamp's text: English in the first line, others in lines ``language.utf8=text``."""
        if not path.is_file():
            return None
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        if self.in_english:
            return lines[0].strip() if lines else None
        begin = f"{self.language}.utf8="
        return next((line.removeprefix(begin).strip() for line in lines if line.startswith(begin)), None)
