"""KIT Motion-Language: 3,911 motions with 6,278 captions (Plappert et al., 2016), processed as HumanML3D does."""

from __future__ import annotations

import hashlib
import json
import math
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from linksim.core.cache import cached_tensors
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import PositiveInt
from linksim.retrieval.data import RetrievalData, RetrievalSet, split_of
from linksim.retrieval.files import digest_of, folder_is_there, open_folder, require_files

FRAME_RATE_HZ = 12.5
_LISTS = ("train.txt", "val.txt", "test.txt")
_EXPECTED = "train.txt, val.txt, test.txt, texts/*.txt and new_joint_vecs/*.npy or new_joints/*.npy"


@register("retrieval_data", "kit_motion", requires=folder_is_there)
class KitMotion(RetrievalData):
    """KIT Motion-Language from the user's folder in HumanML3D's layout, in the official split.

    A caption that speaks of a part of a motion asks for that part, an item of its own with the motion's identity.
    Motions are cut, or filled up with zeros, to a number of frames.

    :param folder: where the lists ``train.txt``, ``val.txt`` and ``test.txt``, and the folder ``texts`` are.
    :param representation: the folder of motions: HumanML3D's 251 values a frame, or positions of 21 joints.
    :param num_frames: of an item, at 12.5 frames a second.
    """

    def __init__(self, folder: str, representation: Literal["new_joint_vecs", "new_joints"] = "new_joint_vecs",
                 num_frames: PositiveInt = 196) -> None:
        self.folder, self.representation, self.num_frames = folder, representation, num_frames

    def load(self) -> RetrievalSet:
        """The set.

        :raises ScenarioError: missing files, another layout, or a fault in the data.
        """
        root = open_folder("kit_motion", self.folder, _EXPECTED)
        require_files("kit_motion", [root / name for name in _LISTS], _EXPECTED)
        lists = [(root / name).read_text(encoding="utf-8").split() for name in _LISTS]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(chain(*lists)))}
        texts = [root / "texts" / f"{name}.txt" for name in numbers]
        motions = [root / self.representation / f"{name}.npy" for name in numbers]
        require_files("kit_motion", texts, _EXPECTED)
        require_files("kit_motion", motions, _EXPECTED)
        captions, items = [], []
        for number, path in enumerate(texts):
            told = _captions(path)
            captions += [(number, text) for text, _, _ in told]
            items += [(number, first, last) for first, last in dict.fromkeys(part[1:] for part in told)]
        recipe = json.dumps([[str(path.resolve()), path.stat().st_mtime_ns] for path in motions]
                            + [self.num_frames, items])
        features = cached_tensors(
            f"kit-motion-1/{hashlib.sha256(recipe.encode()).hexdigest()[:24]}.safetensors",
            lambda: {"features": _features(motions, items, self.num_frames)})["features"]
        identities = torch.tensor([number for number, _, _ in items])
        train, validation, test = (split_of([numbers[name] for name in names], captions, identities, features)
                                   for names in lists)
        return RetrievalSet("kit_motion", "motion", train, validation, test, {
            "name": "kit_motion", "version": 1, "representation": self.representation, "num_frames": self.num_frames,
            "files": digest_of([*(root / name for name in _LISTS), *texts, *motions], root)})


def _captions(path: Path) -> list[tuple[str, float, float]]:
    """Text, start and end (s) of each line ``text#words with parts of speech#start#end``; 0 and 0 for the whole."""
    told = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            continue
        try:
            text, _, first, last = line.strip().split("#")
            ends = [0.0 if math.isnan(float(end)) else float(end) for end in (first, last)]
        except ValueError:
            raise ScenarioError(f"kit_motion: {path}: '{line[:60]}' is not text#words#start#end") from None
        told.append((text.strip(), *ends))
    return told


def _features(motions: list[Path], items: list[tuple[int, float, float]], num_frames: int) -> torch.Tensor:
    features = None
    for row, (number, first, last) in enumerate(items):
        motion = _motion(motions[number])
        if features is None:
            features = torch.zeros(len(items), num_frames, motion.shape[1])
        if motion.shape[1] != features.shape[2]:
            raise ScenarioError(f"kit_motion: {motions[number]}: {motion.shape[1]} values a frame, but others have "
                                f"{features.shape[2]}")
        if last > first:
            motion = motion[round(first * FRAME_RATE_HZ):round(last * FRAME_RATE_HZ)]
        features[row, :len(motion[:num_frames])] = motion[:num_frames]
    if features is None:
        raise ScenarioError("kit_motion: no caption in any of the texts")
    return features


def _motion(path: Path) -> torch.Tensor:
    """``[frame, value]`` float32."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ScenarioError(f"kit_motion: {path}: cannot be read: {error}") from None
    if array.ndim not in (2, 3) or not len(array) or array.dtype.kind not in "fiu":
        raise ScenarioError(f"kit_motion: {path}: shape {list(array.shape)}, but [frame, value] or [frame, joint, 3] "
                            "with numbers is expected")
    return torch.from_numpy(array.reshape(len(array), -1).astype(np.float32))
