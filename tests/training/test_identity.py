"""What names a checkpoint, which one is used, and what is said of one that is given by hand."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from rich.console import Console

from linksim.core.errors import LinksimError, ScenarioError
from linksim.scenario.identity import scenario_hash
from linksim.scenario.resolved import resolve
from linksim.training import checkpoint
from linksim.training.checkpoint import read_weights, write_checkpoint
from linksim.training.identity import digest
from linksim.training.preparation import check_parts, parts_of, prepare_parts

QUICK = {"training.num_epochs": 1}


@pytest.fixture
def name(part):
    return lambda scenario, method=0: digest(part(scenario, method).about)


def by_hand(toy, folder, changes=None):
    return toy({**QUICK, "methods.line.predictor": {"type": "line", "checkpoint": str(folder)}, **(changes or {})})


def test_all_that_changes_the_weights_changes_the_name_and_nothing_else_does(toy, name):
    plain = name(toy())
    same = ({"training.devices": 2}, {"training.cache_gb": 0}, {"training.keep_drops": True},
            {"training.weight_averaging": 0},
            {"training.preset": "gpu", "training.patience": 10, "training.antenna_pairs": 2, "training.precision": 32},
            {"methods.line.training.batch_drops": 20}, {"link.snr_db": 3}, {"seed": 9})
    assert {name(toy(changes)) for changes in same} == {plain}
    others = [{f"training.{key}": value} for key, value in (
        ("batch_drops", 10), ("learning_rate", 0.1), ("fraction", 0.5), ("csi_snr_db", [5, 20]), ("weights_seed", 2),
        ("fresh_drops", True), ("max_minutes", 5), ("precision", "bf16-mixed"), ("seed", 1),
        ("channel", {"model": "umi"}), ("antenna_pairs", 1), ("weight_averaging", 0.1))]
    others += [{"methods.line.predictor.dropout": 0.1}, {"channel.los": "nlos"}]
    assert len({plain, *(name(toy(changes)) for changes in others)}) == 1 + len(others)


def test_steps_are_even_by_themselves_where_all_drops_are_used(toy, part):
    about = [part(toy({"training.even_steps": even, "training.fraction": fraction})).about
             for even, fraction in ((False, 1.0), (True, 1.0), (False, 0.5), (True, 0.5))]
    assert about[0] == about[1]
    assert about[2] != about[3]


def test_as_many_antenna_pairs_as_usual_are_not_said(toy, part):
    about = {pairs: part(toy({"training.antenna_pairs": pairs})).about["training"] for pairs in (0, 1, 2)}
    assert "antenna_pairs" not in about[2]
    assert [about[pairs].pop("antenna_pairs") for pairs in (0, 1)] == [0, 1]
    assert about[0] == about[1] == about[2]


def test_a_method_is_trained_on_the_channels_it_names_and_tested_on_the_scenario_s(toy, train, part, name):
    scenario = toy({"channel.model": "umi", "methods": [
        {"name": "line", "predictor": "line"},
        {"name": "zero-shot", "predictor": "line", "training": {"channel": {"model": "uma"}}}], **QUICK})
    train(scenario)
    here, there = (part(scenario, method).load().over_time.weight for method in (0, 1))
    assert not torch.equal(here, there)
    assert name(scenario, 1) == name(toy(QUICK))

    from linksim.link.chain import estimate_key

    resolved = resolve(scenario)
    assert len({estimate_key(resolved, method) for method in resolved.methods}) == 2


def test_files_of_the_training_drops_train_the_same_and_the_model_may_train_what_files_test(toy, train, tmp_path):
    from linksim.experiment.dataset import Export, write_dataset

    model = toy(QUICK)
    for file, export in (("test.h5", Export(200)), ("training.h5", Export(250, "training"))):
        write_dataset(model, tmp_path / file, export, "cpu", Console(quiet=True))
    folder = train(model)

    def from_files(changes=None, **paths):
        files = {key: str(tmp_path / path) for key, path in paths.items()}
        return toy({**QUICK, "channel": {"source": "files", "files": files}, **(changes or {})})

    both = train(from_files(path="test.h5", training_path="training.h5"))
    assert both != folder
    assert (both / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()
    assert train(from_files({"training.channel": {"source": "model"}}, path="test.h5")) == folder
    with pytest.raises(ScenarioError, match="names no training drops"):
        from_files(path="test.h5")
    with pytest.raises(ScenarioError, match=r"training\.fresh_drops: a training file has no other drops"):
        from_files({"training.fresh_drops": True}, path="test.h5", training_path="training.h5")


def test_a_swept_training_trains_each_value(toy, tmp_path):
    from linksim.experiment.run import run

    scenario = toy({**QUICK, "sweep": {"methods.line.training.fraction": [0.1, 1.0]}, "bounds": [],
                    "training.batch_drops": 10, "metrics": ["nmse_db"], "run.chunk_size": 25,
                    "run.stopping.min_drops": 25, "run.stopping.adaptive": False, "run.units_per_round": 1})
    lines = prepare_parts(scenario, "cpu", Console(quiet=True))
    assert [line.partition(":")[0] for line in lines] == ["line (fraction 0.1)", "line (fraction 1.0)"]
    table = run(scenario, output=tmp_path / "run", report=False).to_pandas().query("metric == 'nmse_db'")
    assert table.value.nunique() == 2


def test_a_released_checkpoint_is_used_and_never_written_to(toy, train, monkeypatch, tmp_path):
    folder = train(toy(QUICK))
    shutil.move(folder, tmp_path / "released" / folder.name)
    monkeypatch.setattr(checkpoint, "RELEASED", tmp_path / "released")
    (line,) = prepare_parts(toy(QUICK), "cpu", Console(quiet=True))
    assert line == f"line: loaded from {tmp_path / 'released' / folder.name}"
    assert not folder.exists()


def test_a_checkpoint_given_by_hand_is_used_and_what_differs_is_said(toy, train, part):
    folder = train(toy(QUICK))
    scenario = by_hand(toy, folder, {"channel.model": "umi", "channel.speed_kmh": 90, "training.learning_rate": 0.1})
    (line,) = prepare_parts(scenario, "cpu", Console(quiet=True))
    assert line.startswith(f"line: loaded from {folder} as given, which was trained otherwise: ")
    for said in ("channel.model uma there, umi here", "channel.speed_kmh 60.0 there, 90.0 here",
                 "training.learning_rate 0.03 there, 0.1 here"):
        assert said in line
    assert torch.equal(part(scenario).load().over_time.weight, part(toy(QUICK)).load().over_time.weight)
    assert scenario_hash(scenario) == scenario_hash(by_hand(toy, shutil.copytree(folder, folder.parent / "moved"), {
        "channel.model": "umi", "channel.speed_kmh": 90, "training.learning_rate": 0.1}))


@pytest.mark.parametrize(("changes", "fault"), [
    ({"channel.num_history": 8}, "shape.num_history 6 there, 8 here"),
    ({"channel.num_future": 3}, "shape.num_future 2 there, 3 here"),
    ({"methods.line.predictor.dropout": 0.5}, "options.dropout 0.0 there, 0.5 here"),
    ({"methods.line.predictor.type": "ridge"}, "block line there, ridge here"),
])
def test_a_checkpoint_that_cannot_be_used_names_the_fields_that_differ(changes, fault, toy, train, tmp_path):
    folder = train(toy(QUICK))
    with pytest.raises(ScenarioError) as error:
        check_parts(by_hand(toy, folder, changes), "cpu")
    assert str(error.value).startswith(f"method 'line': the checkpoint {folder} does not fit: ")
    assert fault in str(error.value)


def test_folders_that_are_no_checkpoints_are_named(toy, train, tmp_path):
    folder = train(toy(QUICK))
    scenario = by_hand(toy, folder)
    (folder / "about.json").write_text("{}")
    with pytest.raises(ScenarioError, match=r"about\.json: not what a checkpoint says of itself"):
        check_parts(scenario, "cpu")
    with pytest.raises(ScenarioError, match=r"methods\.0\.predictor: no checkpoint in .*nowhere: there is no weights"):
        by_hand(toy, tmp_path / "nowhere")


def test_weights_of_other_names_or_sizes_and_damaged_ones_are_one_line(toy, train, part):
    scenario = toy(QUICK)
    folder = train(scenario)
    state = read_weights(folder)
    for other, fault in (({"over_time.bias": torch.zeros(2)}, "missing over_time.weight, unknown over_time.bias"),
                         ({"over_time.weight": torch.zeros(2, 9)}, r"over_time.weight is \[2, 9\], not \[2, 6\]")):
        write_checkpoint(folder, other, part(scenario).about)
        with pytest.raises(LinksimError, match=f"does not fit line: {fault}"):
            part(scenario).load()
    (folder / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(LinksimError, match=r"weights\.safetensors: damaged .* delete the folder and train again"):
        part(scenario).load()
    write_checkpoint(folder, state, part(scenario).about)
    part(scenario).load()


def test_a_student_is_taught_by_a_block_that_is_trained_before(toy, about, part, name):
    methods = [{"name": "student", "predictor": "pupil", "training": {"teacher": "teacher"}},
               {"name": "alone", "predictor": "pupil"},
               {"name": "teacher", "predictor": "line", "training": {"fraction": 0.5}}]
    scenario = toy({**QUICK, "methods": methods})
    lines = prepare_parts(scenario, "cpu", Console(quiet=True), "student")
    assert [line.partition(":")[0] for line in lines] == ["teacher", "student"]
    student = Path(lines[1].rpartition(" ")[2])
    assert about(student)["teacher"] == {"block": "line", "checkpoint": name(scenario, 2)}
    prepare_parts(scenario, "cpu", Console(quiet=True))
    taught, alone = (part(scenario, method).load().over_time.weight for method in (0, 1))
    assert not torch.equal(taught, alone)
    methods[0]["predictor"] = "line"
    with pytest.raises(ScenarioError, match="predictor 'line' cannot be taught"):
        check_parts(toy({**QUICK, "methods": methods}), "cpu")


# --- the command line -------------------------------------------------------------------------------------------

@pytest.fixture
def file(toy, tmp_path):
    """The toy scenario as a file, beside it a folder for checkpoints."""
    def file(changes=None):
        path = tmp_path / "toy.yaml"
        data = toy({**QUICK, **(changes or {})}).model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        path.write_text(json.dumps(data))
        return path

    return file


TWO = {"methods": [{"name": "ridge", "predictor": "ridge"}, {"name": "line", "predictor": "line"}, "hold"]}


def test_train_trains_what_is_missing_or_one_method_and_says_so_first(command, file, tmp_path):
    path = file(TWO)
    outcome = command("train", path, "--method", "line")
    assert outcome.code == 0
    said = " ".join(outcome.out.split())
    assert "training line on 200 drops, 50 more for validation: at most 1 epochs of 10 steps of 20 drops, about" in said
    assert "line: trained in" in said
    assert "ridge" not in said
    assert "line: loaded from" in command("train", path).out
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_method_means_that_method_and_not_another_whose_name_goes_on(command, file, tmp_path):
    fast = {"name": "line (fast)", "predictor": "line", "training": {"learning_rate": 0.1}}
    same = {"name": "again", "predictor": "line"}
    path = file({"methods": [{"name": "line", "predictor": "line"}, fast, same]})
    assert "fast" not in command("train", path, "--method", "line").out
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1
    assert "again: loaded from" in command("train", path, "--method", "again").out  # it shares its training with line


def test_a_swept_method_is_trained_for_every_value_or_one(toy):
    scenario = toy({"sweep": {"methods.line.training.learning_rate": [0.01, 0.1]}})
    names = [f"line (learning_rate {value})" for value in (0.01, 0.1)]
    assert [part.name for part in parts_of(scenario, "line")] == names
    assert [part.name for part in parts_of(scenario, names[1])] == names[1:]


def test_a_swept_training_is_that_of_every_method_that_does_not_say_its_own(toy, name):
    scenario = toy({**TWO, "sweep": {"training.fraction": [0.5, 1]}, "methods.ridge.training": {"fraction": 0.5}})
    trained = {part.name: digest(part.about) for part in parts_of(scenario)}
    assert list(trained) == ["ridge", "line (fraction 0.5)", "line (fraction 1)"]
    alone = toy({**TWO, "training.fraction": 0.5})
    assert trained["line (fraction 0.5)"] == name(alone, 1)
    assert trained["line (fraction 1)"] == name(toy(TWO), 1)


@pytest.mark.parametrize(("arguments", "line"), [
    (["--method", "lin"], "error: --method lin: no such method: did you mean 'line'?"),
    (["--method", "hold"], "error: --method hold: this method is not trained"),
    (["--set", "training.batch_drops=500"], "error: method 'line': training.batch_drops: 500 drops per step"),
    (["--set", "training.precision=16-mixed"], "error: method 'line': training.precision: 16-mixed needs a GPU"),
    (["--set", "training.num_nodes=2"], "error: method 'line': training.num_nodes is 2: start `linksim train` on each"),
])
def test_what_cannot_be_trained_is_one_line_and_nothing_is_written(arguments, line, command, file, tmp_path):
    outcome = command("train", file(TWO), "--set", "methods.ridge.predictor=hold", *arguments)
    assert outcome.code == 2
    assert outcome.line.startswith(line)
    assert [path.name for path in tmp_path.iterdir()] == ["toy.yaml"]


def test_run_takes_a_checkpoint_by_hand(command, file, tmp_path):
    path = file()
    assert command("train", path).code == 0
    (folder,) = (tmp_path / "checkpoints").iterdir()
    arguments = ["run", path, "--set", "channel.los=nlos", "--set", "run.stopping.min_drops=100", "--set",
                 "run.stopping.adaptive=false", "--output", tmp_path / "out"]
    outcome = command(*arguments, "--checkpoint", folder)
    assert outcome.code == 0
    assert "channel.los mixed there, nlos here" in " ".join(outcome.out.split())
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert "as given, which was trained otherwise" in manifest["trained"][0]
    outcome = command(*arguments, "--checkpoint", f"lin={folder}")
    assert outcome.code == 2
    assert "did you mean 'line'?" in outcome.line
    assert command("run", file(TWO), "--checkpoint", folder).line.endswith(
        f"2 methods are trained: write METHOD={folder}, METHOD one of ridge, line")


def test_the_scenario_of_the_manual_is_valid(name):
    import re

    import yaml

    from linksim.loading.load import scenario_from_dict

    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.S)
    scenario = scenario_from_dict(yaml.safe_load(example))
    assert [part.name for part in parts_of(scenario)] == ["GRU", "GRU zero-shot", "GRU few-shot"]
    assert len({name(scenario, place) for place in (2, 3, 4)}) == 3
