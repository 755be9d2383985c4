"""Semantic codecs: what they send, what they learn, and that captions do not touch each other."""

import importlib.util
from types import SimpleNamespace

import pytest
import torch

from linksim.blocks.semantic.adaptive import Worth, Yardstick
from linksim.blocks.semantic.base import SemanticShape
from linksim.core import registry
from linksim.core.errors import LinksimError

toys_spec = importlib.util.spec_from_file_location("toys", __file__.replace("test_codecs", "toys"))
toys = importlib.util.module_from_spec(toys_spec)
toys_spec.loader.exec_module(toys)

SMALL = {"width": 32, "embedding": 16, "num_heads": 4, "num_layers": 1}


@pytest.fixture(scope="module")
def data():
    try:
        from linksim.retrieval.sentences import encode_sentences

        encode_sentences(["a red car"])
    except LinksimError as error:
        pytest.skip(str(error))
    return toys.toy_set()


def codec_of(data, name="deepsc_mimo", uses=8, **options):
    torch.manual_seed(0)
    codec = registry.create("semantic", name, {**SMALL, **options})
    codec.prepare(SemanticShape(uses, 2), data)
    return codec


def trained(codec, steps=60):
    optimizer = torch.optim.Adam(codec.parameters(), 3e-3)
    losses = []
    codec.train()
    for step in range(steps):
        torch.manual_seed(step)
        loss = codec.training_loss(toys.toy_batch(seed=step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_symbols_have_unit_power_and_are_as_many_as_channel_uses(data):
    for uses in (2, 8, 12):
        codec = codec_of(data, uses=uses).eval()
        sent = codec.encode(codec.queries("test", torch.arange(5)), torch.ones(5, uses))
        assert sent.symbols.shape == (5, uses)
        torch.testing.assert_close(sent.symbols.abs().square().mean(1), torch.ones(5))


def test_a_caption_does_not_depend_on_its_neighbours(data):
    codec = codec_of(data).eval()
    sinr = torch.full((6, 8), 10.0)
    together = codec.encode(codec.queries("test", torch.arange(6)), sinr).symbols
    alone = codec.encode(codec.queries("test", torch.tensor([3])), sinr[:1]).symbols
    torch.testing.assert_close(together[3:4], alone, atol=1e-5, rtol=0)


def test_it_learns_and_noise_costs_precision(data):
    codec = codec_of(data, snr_low_db=-10.0)
    losses = trained(codec)
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])
    codec.eval()
    with torch.no_grad():
        codec.snr_db = (20.0, 20.0)
        clean = codec.validation_errors(toys.toy_batch(40)).mean()
        codec.snr_db = (-25.0, -25.0)
        noisy = codec.validation_errors(toys.toy_batch(40)).mean()
    assert clean < 0.35  # 8 identities: chance is about 0.66
    assert noisy > clean + 0.15


def test_validation_is_the_same_every_time(data):
    codec = codec_of(data).eval()
    with torch.no_grad():
        first = codec.validation_errors(toys.toy_batch())
        torch.manual_seed(99)
        assert torch.equal(first, codec.validation_errors(toys.toy_batch()))
    assert first.shape == (8,)


def test_without_a_channel_noise_does_not_matter(data):
    codec = codec_of(data, "no_channel").eval()
    queries = codec.queries("test", torch.arange(4))
    sent = codec.encode(queries, torch.ones(4, 8))
    worst = codec.decode(sent.symbols + 100, torch.full((4, 8), 1e4), sent.plan)
    torch.testing.assert_close(worst, codec.embed(queries))
    torch.testing.assert_close(worst.norm(dim=1), torch.ones(4))


def test_items_of_the_same_identity_share_the_target(data):
    codec = codec_of(data)
    items = torch.nn.functional.normalize(torch.randn(3, 16), dim=1)[[0, 0, 1]]
    relevant = torch.tensor([[1, 1, 0], [0, 0, 1]]).bool()
    right = codec.task_loss(items[[0, 2]], items, relevant)
    assert right < codec.task_loss(items[[2, 0]], items, relevant)


@pytest.mark.parametrize("name", ["separate_text", "separate_embedding"])
def test_bits_that_arrive_are_as_good_as_no_channel(data, name):
    codec = codec_of(data, name, uses=64).eval()
    queries = codec.queries("test", torch.arange(6))
    sinr = torch.full((6, 64), 1e3)
    sent = codec.encode(queries, sinr)
    assert sent.symbols.abs().square().mean().item() == pytest.approx(1, abs=0.1)  # of QAM, on average
    received = codec.decode(sent.symbols, 1 / sinr, sent.plan)
    assert (received * codec.embed(queries)).sum(1).min() > (0.99 if name == "separate_text" else 0.8)


@pytest.mark.parametrize("name", ["separate_text", "separate_embedding"])
def test_bits_that_do_not_arrive_leave_the_prior(data, name):
    codec = codec_of(data, name, uses=8).eval()
    sinr = torch.full((4, 8), 3.0)
    sent = codec.encode(codec.queries("test", torch.arange(4)), sinr)
    noise = 30 * torch.randn(4, 8, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    received = codec.decode(sent.symbols + noise, torch.full((4, 8), 1800.0), sent.plan)
    torch.testing.assert_close(received, codec.prior.expand_as(received), atol=1e-5, rtol=0)


def _adaptive(data, monkeypatch, joint, text, embedding):
    """With the worth of the ways to send a caption as given."""
    monkeypatch.setattr("linksim.blocks.semantic.sc_lmkb.generated_captions", same_words)
    codec = codec_of(data, "adaptive", uses=64).eval()
    codec.send_bits_by([codec_of(data, name, uses=64, **{**options, "num_layers": 1})
                        for name, options in codec.companions()])
    codec.__dict__ |= {"_worth_of_joint": SimpleNamespace(over=lambda sinr, rival: torch.full((len(sinr),), joint)),
                       "_worth_of_text": Worth((0, 0.9, 1), (0, 0, text)),
                       "_worth_of_embedding": Worth((0, 1, 256), (0, embedding, embedding))}
    return codec


@pytest.mark.parametrize(("worth", "way"), [((0.5, 0.9, 0.7), 0), ((0.5, 0.7, 0.9), 1), ((0.9, 0.5, 0.7), -1)])
def test_what_is_worth_most_is_sent_where_it_fits(data, monkeypatch, worth, way):
    codec = _adaptive(data, monkeypatch, *worth)
    queries = codec.queries("test", torch.arange(6))
    sinr = torch.full((6, 64), 1e3)
    sinr[3:] = 0.003
    sent = codec.encode(queries, sinr)
    assert sent.plan.way.tolist() == [way] * 3 + [-1] * 3
    received = codec.decode(sent.symbols, 1 / sinr, sent.plan)
    width = received.shape[1] // 2
    own, other = received[:3].split(width, 1) if way < 0 else received[:3].split(width, 1)[::-1]
    assert not other.any()
    assert not received[3:, width:].any()
    # either half meets its own half of the gallery, whatever the other embedding is like
    network = codec if way < 0 else codec._companions[way]
    gallery = codec.test_gallery[:, :width] if way < 0 else network.test_gallery
    torch.testing.assert_close(received[:3] @ codec.test_gallery.mT, own @ gallery.mT)
    if way == 0:
        text = codec._companions[0]
        torch.testing.assert_close(own, text.embed(text.queries("test", torch.arange(3))), atol=1e-4, rtol=0)


def test_worth_is_measured_on_validation_captions(data, monkeypatch):
    codec = _adaptive(data, monkeypatch, 0, 0, 0)
    for name in ("_worth_of_joint", "_worth_of_text", "_worth_of_embedding"):
        del codec.__dict__[name]
    sinr = torch.tensor([[1e3], [1.0], [1e3]]).expand(3, 64)
    joint = codec._worth_of_joint.over(sinr, torch.zeros(3))
    assert (codec._worth_of_joint.over(sinr, joint) - joint).abs().max() < 0.2, "few captions and all agree"
    assert joint[0] == joint[2] > 0
    assert (joint <= 1).all()
    for name in ("_worth_of_text", "_worth_of_embedding"):
        worth = getattr(codec, name)
        assert list(worth.places) == sorted(worth.places)
        assert all(0 <= value <= 1 for value in worth.values)
        assert worth.values[-1] > 0
    worth = Worth((0.0, 1.0, 3.0), (0.0, 0.4, 0.2))
    assert worth.at(torch.tensor([-1.0, 0.5, 2.0, 9.0])).tolist() == pytest.approx([0, 0.2, 0.3, 0.2])


def test_nothing_is_sent_as_bits_before_these_have_codecs(data, monkeypatch):
    monkeypatch.setattr("linksim.blocks.semantic.sc_lmkb.generated_captions", same_words)
    codec = codec_of(data, "adaptive", uses=64).eval()
    assert codec.encode(codec.queries("test", torch.arange(2)), torch.full((2, 64), 1e3)).plan is None


def same_words(data):
    """A generator that tells the truth first, and something of another identity second."""
    captions = data.train.captions
    return {text: [text.replace("the ", "a certain "), captions[(number + 9) % len(captions)]]
            for number, text in enumerate(captions)}


def test_the_filter_takes_the_first_that_is_near_enough_or_none(data, monkeypatch):
    monkeypatch.setattr("linksim.blocks.semantic.sc_lmkb.generated_captions", same_words)
    taken = {}
    for threshold in (-1.0, 0.9, 1.1):
        codec = codec_of(data, "sc_lmkb", tries=2)
        codec.threshold = threshold  # above 1: none is near enough, whatever rounding does
        codec.begin_stage(0)
        assert codec.accepted.eq(-2).all()
        codec.begin_stage(1)
        taken[threshold] = codec.accepted.clone()
    assert taken[-1.0].eq(0).all()
    assert taken[1.1].eq(-1).all()
    assert codec.num_kept_original == len(data.train.captions)
    assert not torch.equal(taken[0.9], taken[-1.0])


def test_the_filter_is_not_applied_again_when_training_goes_on(data, monkeypatch):
    monkeypatch.setattr("linksim.blocks.semantic.sc_lmkb.generated_captions", same_words)
    codec = codec_of(data, "sc_lmkb", threshold=0.5, tries=2)
    codec.begin_stage(1)
    before = codec.accepted.clone()
    with torch.no_grad():
        for parameter in codec.parameters():
            parameter.add_(torch.randn_like(parameter))
    codec.begin_stage(1)
    assert torch.equal(codec.accepted, before)


@pytest.mark.parametrize(("name", "fusion"), [("sc_lmkb", "cross"), ("sc_lmkb", "mean"), ("sc_lmkb", "none"),
                                              ("no_channel_generated", "cross")])
def test_generated_captions_are_learned_from(data, monkeypatch, name, fusion):
    monkeypatch.setattr("linksim.blocks.semantic.sc_lmkb.generated_captions", same_words)
    codec = codec_of(data, name, fusion=fusion, threshold=-1.0, tries=2)
    codec.begin_stage(1)
    losses = trained(codec, 30)
    assert sum(losses[-5:]) < 0.85 * sum(losses[:5])


def test_what_matters_more_weighs_the_other_more(data, monkeypatch):
    monkeypatch.setattr("linksim.blocks.semantic.sc_lmkb.generated_captions", same_words)
    codec = codec_of(data, "sc_lmkb", threshold=-1.0, tries=2).eval()
    batch = toys.toy_batch()
    link = codec._training_link(batch, torch.Generator().manual_seed(0))
    captions = torch.arange(64) % len(data.train.captions)
    items = codec.gallery(data.train.features)
    relevant = data.train.caption_identities[captions][:, None] == data.train.item_identities
    features = codec.features(codec.queries("train", captions))
    same = codec._importance(features, features, items, relevant, link)
    torch.testing.assert_close(same, torch.full_like(same, 0.5))
    # features without effect on the symbols have no gradient
    half = codec._importance(features, 1e4 * features, items, relevant, link)
    assert half.min() > 0.5


def test_worth_is_measured_in_a_gallery_as_large_as_the_one_to_be_searched(data):
    yardstick = Yardstick.of(data)
    items = max(len(data.validation.features), len(data.test.features))
    assert len(yardstick.features) == yardstick.relevance.shape[1] == items
    assert (yardstick.relevance.sum(1) > 0).all()
    assert not yardstick.relevance[:, len(data.validation.features):].any(), "nobody asks for a training item"
    exact = yardstick.relevance.float()
    assert yardstick.precision(exact, torch.eye(items)) == pytest.approx(1)
    assert yardstick.precision(-exact, torch.eye(items)) < 0.5
