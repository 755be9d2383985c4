"""The universal model: what is frozen, what an instruction changes, which ablation is which."""

import pytest
import torch

from linksim.blocks.universal.base import ChannelView, EnvironmentView, Truth, UniversalShape
from linksim.blocks.universal.tasks import TASKS
from linksim.core import registry
from linksim.core.csi import Panel
from linksim.core.errors import LinksimError, ScenarioError

SHAPE = UniversalShape(1, Panel(1, 8, 1), 16, 720e3)


def _views(count=6, seed=1):
    stream = torch.Generator().manual_seed(seed)

    def uniform(*size):
        return torch.rand(*size, generator=stream)

    h = torch.randn(count, 1, 8, 16, dtype=torch.complex64, generator=stream)
    place = torch.cat([300 * uniform(count, 1), 200 * uniform(count, 1) - 100, -20 * torch.ones(count, 1)], 1)
    views = {"channel": ChannelView(h, -100 + 20 * uniform(count), 25 * torch.ones(count)),
             "environment": EnvironmentView(place, 25 * torch.ones(count), torch.arange(count) % 2,
                                            20 * uniform(2, 128, 128))}
    truth = Truth(place[:, :2], uniform(count) < 0.5,
                  torch.nn.functional.normalize(h[:, 0, :, :1], dim=1), torch.softmax(4 * uniform(count, 8), 1),
                  100 * uniform(count))
    return views, truth


def _block(name="ai2mmum", **options):
    torch.manual_seed(3)
    block = registry.create("universal", name, {"num_layers": 1, **options})
    try:
        block.prepare(SHAPE)
    except LinksimError as error:
        pytest.skip(str(error))
    return block.eval()


def _trained(block):
    return {name for name, parameter in block.named_parameters() if parameter.requires_grad}


def test_adapters_prefixes_heads_and_low_rank_queries_and_keys_are_trained_and_nothing_else():
    names = _trained(_block())
    assert {name.partition(".")[0] for name in names} == {"adapters", "prefixes", "heads", "backbone"}
    low_rank = {name for name in names if name.startswith("backbone")}
    assert {name.split("self_attn.")[1].split(".")[0] for name in low_rank} == {"q_proj", "k_proj"}


@pytest.mark.parametrize(("options", "parts"), [
    ({"lora": False}, {"adapters", "prefixes", "heads"}),
    ({"prompt": "fixed"}, {"adapters", "heads", "backbone"}),
    ({"body": "none"}, {"adapters", "heads"}),
    ({"body": "perceptron"}, {"adapters", "heads", "trunk"}),
    ({"body": "attention"}, {"adapters", "prefixes", "heads", "backbone"}),
    ({"encoders": "scratch", "body": "none"}, {"adapters", "heads", "seen"}),
    ({"encoders": "tuned", "body": "none"}, {"adapters", "heads", "seen"}),
    ({"beam_prior": "pointing", "body": "none"}, {"adapters", "heads", "prior_weight"}),
])
def test_ablations_train_what_their_names_say(options, parts):
    assert {name.partition(".")[0] for name in _trained(_block(**options))} == parts


def test_with_a_bypass_an_answer_is_that_of_both_ways():
    (views, truth), options = _views(), {"num_layers": 1}
    block = _block("ai2mmum_bypass", **options)
    plain, alone = _block(**options), _block(**options, body="none")
    for other in (plain, alone):
        known = other.state_dict()
        other.load_state_dict({name: tensor for name, tensor in block.state_dict().items() if name in known})
    for task, given in block.tasks().items():
        head = alone.heads[task]
        head.weight, head.bias = block.direct[task].weight, torch.nn.Parameter(torch.zeros_like(head.bias))
        both = plain.outputs(task, views[given]) + alone.outputs(task, views[given])
        torch.testing.assert_close(block.outputs(task, views[given]), both)
    block.train().loss(views, truth).backward()
    assert all(head.weight.grad.abs().sum() > 0 for heads in (block.heads, block.direct) for head in heads.values())


def test_the_perceptron_has_as_many_parameters_as_the_low_rank_additions_and_prefixes():
    def count(block, parts):
        return sum(p.numel() for name, p in block.named_parameters() if p.requires_grad and name.startswith(parts))

    whole = count(_block(num_layers=4), ("backbone", "prefixes"))
    assert count(_block(num_layers=4, body="perceptron"), "trunk") == pytest.approx(whole, rel=0.25)


@pytest.mark.parametrize("order", ["radio_last", "radio_first"])
def test_the_instruction_decides_what_the_last_token_says(order):
    (views, _), hidden = _views(), {}
    for prompt in ("learned", "same"):
        block = _block(prompt=prompt, order=order)
        for name in ("position", "los", "precoding"):
            block.heads[name] = torch.nn.Identity()
            hidden[prompt, name] = block.outputs(name, views["channel"])
    assert (hidden["learned", "position"] - hidden["learned", "los"]).abs().max() > 0.1
    assert (hidden["learned", "position"] - hidden["learned", "precoding"]).abs().max() > 0.1
    torch.testing.assert_close(hidden["same", "position"], hidden["same", "los"])


def test_an_instruction_that_is_computed_once_is_the_same_as_before_every_terminal():
    block, (views, _) = _block(), _views()
    tokens = torch.cat([block.prefixes["los"], block.keywords_los])
    radio = block.scale * block._radio("channel", views["channel"])[:, None]
    whole = block.backbone(torch.cat([tokens.expand(6, -1, -1), radio], 1))[:, -1]
    torch.testing.assert_close(block.outputs("los", views["channel"]), block.heads["los"](whole), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"body": "none"}, {"body": "attention"}, {"body": "perceptron"}])
def test_answers_have_their_shapes_and_do_not_depend_on_batch_neighbours(options):
    block, (views, _) = _block(**options), _views()
    shapes = {"position": (6, 2), "los": (6,), "precoding": (6, 8, 1), "beam": (6, 8), "path_loss": (6,)}
    for task, given in block.tasks().items():
        with torch.no_grad():
            whole = block.answer(task, views[given])
            part = type(views[given])(**{key: value if key == "maps" else value[2:4]
                                         for key, value in vars(views[given]).items()})
            torch.testing.assert_close(block.answer(task, part), whole[2:4], atol=1e-4, rtol=1e-4)
        assert whole.shape == shapes[task]


def test_with_a_prior_a_head_that_says_nothing_points_at_the_terminal():
    block, (views, _) = _block(body="none", beam_prior="pointing"), _views()
    for parameter in block.heads["beam"].parameters():
        torch.nn.init.zeros_(parameter)
    pointing = registry.create("universal", "pointing")
    pointing.prepare(SHAPE)
    there = views["environment"]
    assert torch.equal(block.answer("beam", there).argmax(1), pointing.answer("beam", there).argmax(1))


def test_encoders_are_taken_over_and_stay_as_they_are():
    torch.manual_seed(5)
    teacher = registry.create("universal", "alignment")
    teacher.prepare(SHAPE)
    block, (views, truth) = _block(body="none"), _views()
    block.learn_from(teacher)
    for name, tensor in teacher.environment.state_dict().items():
        torch.testing.assert_close(block.seen["environment"].state_dict()[name], tensor, rtol=1e-3, atol=1e-6)
        saved = block.saved_state()[f"seen.environment.{name}"]
        assert saved.dtype == torch.float16
        assert torch.equal(saved.float(), block.seen["environment"].state_dict()[name])
    block.train().loss(views, truth).backward()
    assert all(parameter.grad is None for parameter in block.seen.parameters())
    assert not any(module.training for module in block.seen.modules())
    tuned = _block(body="none", encoders="tuned")
    tuned.learn_from(teacher)
    torch.testing.assert_close(tuned.seen.state_dict(), block.seen.state_dict())
    tuned.train().loss(views, truth).backward()
    assert all(parameter.grad is not None for parameter in tuned.seen.parameters())
    with pytest.raises(ScenarioError, match="alignment alone"):
        block.learn_from(block)
    with pytest.raises(ScenarioError, match="takes no teacher"):
        _block(encoders="scratch", body="none").learn_from(teacher)


def test_a_checkpoint_holds_all_but_the_language_model():
    block = _block()
    state = block.saved_state()
    assert any(".lora_A" in name for name in state)
    assert any(name.startswith("seen.channel") for name in state)
    assert not any(name.startswith("backbone.") and ".lora_" not in name for name in state)
    again = _block()
    again.load_state_dict(state, strict=False)
    views = _views()[0]
    with torch.no_grad():
        environment = views["environment"]
        torch.testing.assert_close(again.answer("beam", environment), block.answer("beam", environment), atol=1e-2,
                                   rtol=1e-2)  # encoders are kept in half precision


def test_every_task_is_learned_from():
    block, (views, truth) = _block(body="none"), _views(200)
    block.loss(views, truth).backward()
    assert all(block.heads[name].weight.grad.abs().sum() > 0 for name in TASKS)
    assert block.errors(views, truth).shape == (200,)


def test_contrastive_loss_falls_when_pairs_are_alike():
    torch.manual_seed(1)
    block = registry.create("universal", "alignment", {"num_features": 16})
    block.prepare(SHAPE)
    views, truth = _views(32)
    optimizer = torch.optim.Adam(block.parameters(), 1e-3)
    first = block.loss(views, truth).item()
    for _ in range(40):
        optimizer.zero_grad()
        loss = block.loss(views, truth)
        loss.backward()
        optimizer.step()
    block.eval()
    assert block.loss(views, truth).item() < 0.8 * first
    assert block.errors(views, truth).mean() < 0.3


def test_supervised_encoders_answer_tasks_as_well():
    torch.manual_seed(1)
    views, truth = _views(32)
    plain, taught = (registry.create("universal", "alignment", {"supervision": weight}) for weight in (0.0, 1.0))
    for block in (plain, taught):
        block.prepare(SHAPE)
    assert not plain.heads
    assert set(taught.heads) == set(TASKS)
    taught.loss(views, truth).backward()
    assert all(head.weight.grad.abs().sum() > 0 for head in taught.heads.values())
    taught.eval()
    assert (taught.errors(views, truth) > 0).all()
