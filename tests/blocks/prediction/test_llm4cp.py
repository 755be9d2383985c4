from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.learned import ProblemShape
from linksim.blocks.prediction.llm4cp import ChannelAttention, PatchLayer
from linksim.core.registry import create


@pytest.fixture(scope="module")
def of_published_size():
    torch.manual_seed(0)
    predictor = create("predictor", "llm4cp", {"backbone": "gpt2", "weights": "random"})
    predictor.prepare(ProblemShape(16, 4, 48, 0.11))
    return predictor.eval()


def test_published_numbers_of_parameters(of_published_size):
    parameters = dict(of_published_size.named_parameters())
    trained = {name: p.numel() for name, p in parameters.items() if p.requires_grad}
    assert sum(trained.values()) == pytest.approx(1.77e6, rel=0.02)
    assert sum(p.numel() for p in parameters.values()) == pytest.approx(83.6e6, rel=0.02)
    in_backbone = sum(count for name, count in trained.items() if "backbone" in name)
    assert in_backbone == 1024 * 768 + (2 * 6 + 1) * 2 * 768  # position vectors; two norms a layer and one at the end


def test_a_checkpoint_holds_no_language_model(of_published_size):
    assert sum(tensor.numel() for tensor in of_published_size.saved_state().values()) < 1.8e6


def test_patches_are_mapped_one_by_one_and_the_last_is_filled_with_zeros():
    torch.manual_seed(0)
    layer = PatchLayer(4)
    picture = torch.randn(3, 2, 6, 5)
    mapped = layer(picture)
    assert torch.allclose(mapped[..., :4, :], layer.linear(picture[..., :4, :].mT).mT, atol=1e-6)
    last = torch.zeros(3, 2, 4, 5)
    last[..., :2, :] = picture[..., 4:, :]
    assert torch.allclose(mapped[..., 4:, :], layer.linear(last.mT).mT[..., :2, :], atol=1e-6)


def test_channel_weights_do_not_depend_on_where_in_the_picture_values_stand():
    torch.manual_seed(0)
    attention, picture = ChannelAttention(4), torch.randn(2, 4, 3, 5)
    weights = attention(picture)
    assert weights.shape == (2, 4, 1, 1)
    assert ((weights > 0) & (weights < 1)).all()
    assert torch.allclose(attention(picture.flip(-1).roll(1, -2)), weights, atol=1e-6)


def test_every_control_predicts_and_trains_what_it_says(tiny_language_model):
    trained = {}
    for changes in ({"body": "none"}, {"body": "attention"}, {"adaptation": "frozen"}, {"adaptation": "norms"},
                    {"adaptation": "lora"}, {"adaptation": "full"}):
        options = {"backbone": tiny_language_model, "weights": "random", "num_layers": 2, **changes}
        predictor = create("predictor", "llm4cp", options)
        predictor.prepare(ProblemShape(5, 2, 6, 0.1))
        assert predictor.network(torch.randn(3, 5, 12)).shape == (3, 2, 12)
        trained[*changes.values()] = sum(p.numel() for name, p in predictor.named_parameters()
                                         if p.requires_grad and "backbone" in name)
    assert trained["none",] == trained["frozen",] == 0
    assert 0 < trained["norms",] < trained["full",]
    assert 0 < trained["lora",] < trained["full",]
    assert trained["attention",] > 0
