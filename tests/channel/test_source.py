"""Sources of channels: the house asks an object, plugins bring others, and nothing else tells sources apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from rich.console import Console

import linksim
from linksim.channel.drops import DropsWithoutRays
from linksim.channel.source import ChannelSource, chunk_of_drops, source_named, source_of
from linksim.channel.statistical.drops import draw_drops
from linksim.core import registry
from linksim.core.errors import LinksimError, ScenarioError
from linksim.experiment.dataset import Export, write_dataset
from linksim.experiment.plan import channel_identity, make_plan
from linksim.experiment.run import run
from linksim.loading.load import scenario_from_dict
from linksim.scenario.channel import SOURCE_SECTIONS, Channel
from linksim.scenario.identity import channel_fields
from linksim.scenario.resolved import resolve

ROOT = Path(linksim.__file__).parent
LINE = {"channel.source": "line", "bounds": []}


@pytest.fixture
def line():
    """A source whose channels grow with time, by an option."""
    @linksim.register("channel_source", "line")
    class Line(linksim.ChannelSource):
        """Channels on a line."""

        def __init__(self, slope: float = 1.0) -> None:
            self.slope = slope

        def draw(self, channel, batch_size, seed, device):
            links = batch_size, channel.num_users, channel.ue_array.num_antennas, channel.bs_array.num_antennas
            h = 1 + self.slope * torch.arange(channel.num_times) + 0j * seed
            return h[:, None].expand(*links, -1, channel.num_subcarriers)

    yield Line
    for kind, name in list(registry._registered):
        if kind == "channel_source":
            del registry._registered[kind, name]


def test_no_other_file_tells_sources_apart():
    knowing = {ROOT / "channel" / "source.py", ROOT / "scenario" / "channel.py"}
    told = re.compile(r"(\.|_)source(_name)?\b (==|!=|in|not in) |\[\"source\"\] (==|!=)|generator is (not )?None")
    found = [f"{path}: {text}" for path in ROOT.rglob("*.py") if path not in knowing
             for text in path.read_text(encoding="utf-8").splitlines() if told.search(text)]
    # a registry's record has a source file, too, and a short form is written before there is a channel
    assert [text for text in found if "registry.py" not in text] == []


@pytest.mark.parametrize("name", SOURCE_SECTIONS)
def test_every_source_of_the_schema_has_an_object_that_answers_all_questions(name):
    source = source_named(name)
    assert type(source).__module__.startswith("linksim.channel.")
    assert source_named({"type": name}) is source
    own = set(vars(type(source))) - set(vars(ChannelSource)) - {"_abc_impl"}
    assert not {method for method in own if not method.startswith("_")}  # nothing that nobody asks for


def test_a_source_without_options_is_its_name():
    assert Channel(source={"type": "model"}) == Channel()
    assert channel_fields(Channel(source={"type": "line"})) == {"source": "line"}
    for wrong, words in [({"slope": 2}, "as its name or as"), ({"type": "model", "slope": 2}, "has no options here")]:
        with pytest.raises(ValueError, match=words):
            Channel(source=wrong)


def test_a_plugins_channels_are_cut_into_history_and_future(line):
    channel = Channel(source={"type": "line", "slope": 2}, num_history=3, num_future=2, num_subcarriers=4, speed_kmh=36)
    drops = chunk_of_drops(channel, 5, 1, 0)
    assert isinstance(drops, DropsWithoutRays)
    assert drops.history.h[0, 0, 0, 0, :, 0].tolist() == [1, 3, 5]
    assert drops.future.h[4, 0, 0, 31, :, 3].tolist() == [7, 9]
    drawn = draw_drops(channel.model_copy(update={"source": "model"}), 5, 1)
    for name in ("time_s", "frequency_hz", "max_doppler_hz", "noise_variance"):
        for part in ("history", "future"):
            torch.testing.assert_close(getattr(getattr(drops, part), name), getattr(getattr(drawn, part), name))
    assert drops.response(drops.future.time_s) is drops.future  # in TDD


def test_every_part_of_the_house_takes_a_plugins_channels(line, tiny, tmp_path):
    scenario = scenario_from_dict(tiny({**LINE, "channel.source": {"type": "line", "slope": 0},
                                        "sweep": {"channel.source.slope": [0, 1]}}))
    table = run(scenario, output=tmp_path / "out", report=False).to_pandas().set_index(["metric", "method", "slope"])
    still, moving = (table.value["nmse_db", "hold", slope] for slope in (0, 1))
    assert still < -15
    assert moving > still + 10
    assert make_plan(scenario).stored_units is None
    assert source_of(scenario.channel).title(scenario.channel) == "line (slope 0)"


def test_a_plugins_drops_are_written_and_read_back(line, tiny, tmp_path):
    scenario = scenario_from_dict(tiny({**LINE, "channel.speed_kmh": 3}))
    write_dataset(scenario, tmp_path / "line.h5", Export(4), "cpu", Console(quiet=True))
    stored = scenario_from_dict(tiny({"bounds": [], "channel": {"source": "files", "files": {
        "path": str(tmp_path / "line.h5")}}}))
    for name in ("history", "future"):
        drawn, read = (getattr(chunk_of_drops(one.channel, 2, 0, 1), name) for one in (scenario, stored))
        assert torch.equal(drawn.h, read.h)
        torch.testing.assert_close(drawn.max_doppler_hz, read.max_doppler_hz)


def test_what_is_trained_depends_on_the_source_and_its_options(line, tiny, part):
    def about(source):
        return part(scenario_from_dict(tiny({**LINE, "channel.source": source, "methods": ["ridge"]}))).about

    assert about("line")["channel_source"] == "line"
    assert about({"type": "line", "slope": 2})["channel_source"] == {"type": "line", "slope": 2}
    assert "channel_source" not in about("model")


@pytest.mark.parametrize(("changes", "words"), [
    ({"channel.source": "lien"}, "channel.source: unknown source 'lien': did you mean 'line'?"),
    ({"channel.source": {"type": "line", "slop": 1}}, "channel.source: channel_source 'line' has no option 'slop'"),
    ({"channel.source": {"type": "line", "slope": "x"}}, "channel.source: channel_source 'line', option 'slope'"),
    ({"channel.files": {"path": "a.h5"}}, "files are given, but source is line: write source: files"),
    ({"bounds": ["genie_lmmse"]}, "bounds: genie_lmmse: needs the rays of every drop, which line does not hold"),
    ({"run.maps": True}, "run.maps: drops of line do not say where the base station stands"),
    ({"channel.duplex": "fdd_adjacent", "methods": ["ridge"]}, "channel.duplex: 'ridge' is trained with the uplink's"),
    ({"channel.duplex": "fdd_adjacent", "methods": [{"name": "a", "feedback": "type1"}]},
     "methods.0.feedback: drops of line hold no downlink history in fdd_adjacent"),
    ({"methods": [{"name": "a", "universal": "k_factor"}], "metrics": ["los_accuracy"]},
     "channel.source: tasks are about terminals of ray-traced channels (given line)"),
])
def test_what_a_source_does_not_have_is_refused_with_its_fix(line, tiny, changes, words):
    with pytest.raises(ScenarioError, match=re.escape(words)):
        scenario_from_dict(tiny({**LINE, **changes}))


@pytest.mark.parametrize("drawn", [torch.zeros(2, 1, 1, 2, 6, 8), torch.zeros(1, dtype=torch.complex64), None])
def test_channels_of_another_shape_are_refused(line, tiny, drawn):
    line.draw = lambda *given: drawn
    scenario = scenario_from_dict(tiny(LINE))
    with pytest.raises(LinksimError, match=r"'line': draw returned .* but a complex tensor \[2, 1, 1, 2, 6, 8\]"):
        chunk_of_drops(scenario.channel, 2, 1, 0)


def test_a_class_that_is_no_source_is_refused(line, tiny):
    linksim.register("channel_source", "other")(type("Other", (), {"__doc__": "None.", "__module__": __name__}))
    with pytest.raises(ScenarioError, match=r"channel\.source: 'other' is no linksim\.ChannelSource"):
        scenario_from_dict(tiny({**LINE, "channel.source": "other"}))


def test_training_may_be_on_a_source_of_its_own(line, tiny, part):
    method = {"name": "ridge", "predictor": "ridge", "training": {"channel": {"source": {"type": "line", "slope": 3}}}}
    scenario = scenario_from_dict(tiny({"bounds": [], "methods": [method]}))
    channel, _ = part(scenario).conditions[0]
    assert channel.source == {"type": "line", "slope": 3}
    assert "line" not in channel_identity(resolve(scenario))
