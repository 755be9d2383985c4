"""A cache of its own for each test, and a frozen encoder that takes no time."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from linksim.retrieval import pictures


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache folder of this test."""
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def quick_encoder(monkeypatch):
    """In place of EfficientNet-Lite0: mean colour, repeated. Counts the pictures it has seen."""

    class Quick:
        seen = 0

        def extract_features(self, pixels):
            type(self).seen += len(pixels)
            return pixels.mean((-2, -1)).repeat(1, 427)[:, :1280, None, None]

    monkeypatch.setattr(pictures, "_encoder", Quick)
    monkeypatch.setattr(pictures, "installed_versions", lambda *names: dict.fromkeys(names, "0"))
    return Quick


@pytest.fixture(autouse=True)
def packages_named(request):
    """Skip tests marked ``needs("package", …)`` where one is missing."""
    for mark in request.node.iter_markers("needs"):
        for name in mark.args:
            if importlib.util.find_spec(name) is None:
                pytest.skip(f"{name} is not installed")


@pytest.fixture
def check_set():
    """What holds for every data set beyond what it checks itself."""

    def check(one, modality: str, features: tuple[int, int]) -> None:
        assert one.modality == modality
        for split in one.splits.values():
            assert split.features.dtype == torch.float32
            assert tuple(split.features.shape[1:]) == features
            assert set(split.item_identities.tolist()) == set(split.caption_identities.tolist())

    return check
