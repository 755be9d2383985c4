"""A user's block that raises: its own exception and line are shown, finished units are kept."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from linksim.core import registry
from linksim.experiment.failure import BlockError, failure_line, named_blocks, sendable
from linksim.experiment.run import run
from linksim.loading.load import load_scenario
from linksim.scenario.schema import Scenario

PLUGIN = """
import linksim
from linksim.blocks.prediction.base import Predictor


class Custom(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def helper(h):
    raise ERROR  # here


@linksim.register("predictor", "NAME")
class Mine(Predictor):
    '''Raises.'''

    def predict(self, history, time_s, frequency_hz):
        helper(history.h)
"""


@pytest.fixture
def failing(scenario_file, tmp_path):
    """A scenario whose method ``my own`` raises what is asked for."""

    def write(error="ValueError('bad\\nshape')", body=PLUGIN, kind="predictor"):
        name = f"block_{abs(hash((error, tmp_path)))}"
        plugin = tmp_path / "plugin.py"
        plugin.write_text(body.replace("ERROR", error).replace("NAME", name))
        return scenario_file({"plugins": ["plugin.py"], "methods": ["hold", {"name": "my own", kind: name}]})

    return write


def test_a_blocks_exception_is_one_line_under_its_traceback(failing, command, tmp_path):
    path, folder = failing(), tmp_path / "out"
    outcome = command("run", path, "--output", folder)
    plugin = tmp_path / "plugin.py"
    line = plugin.read_text().splitlines().index("    raise ValueError('bad\\nshape')  # here") + 1
    assert outcome.code == 1
    last = outcome.err.splitlines()[-1]
    assert last.startswith(f"error: {plugin}:{line}: in helper of 'block_")
    assert "(method 'my own')" in last
    assert last.endswith("ValueError: bad shape")
    assert "Traceback" in outcome.err
    assert f'File "{plugin}", line {line}, in helper' in outcome.err


@pytest.mark.parametrize("entry", [
    {"predictor": "mine"}, {"precoder": {"type": "mine", "loading": 2}}, {"feedback": {"type": "mine", "bits": 9}},
    {"semantic": "mine"}, {"universal": {"type": "mine"}},
    {"predictor": {"type": "other", "backbone": {"type": "mine"}}},
])
def test_a_block_of_any_kind_is_reported_with_the_methods_that_use_it(entry, monkeypatch):
    class Mine:
        def __init__(self, loading: int = 1, bits: int = 1):
            pass

        def fail(self):
            raise ValueError("bad")

    class Other:
        def __init__(self, backbone: Any = None):
            pass

    monkeypatch.setattr(registry, "_registered", {})
    registry.register("predictor", "other")(Other)
    for kind in ("predictor", "precoder", "feedback", "semantic", "universal"):
        registry.register(kind, "mine")(Mine)
    scenario = Scenario.model_validate({"methods": ["hold", {"name": "one", **entry}, {"name": "two", **entry}]})
    with pytest.raises(ValueError, match="bad") as caught, named_blocks(scenario, "chunk 3"):
        Mine().fail()
    assert " of 'mine' (method 'one', 'two'), chunk 3: ValueError: bad" in failure_line(caught.value)


CODEC = '''
import linksim
from linksim.blocks.feedback.topm import TopMCodec


@linksim.register("feedback", "NAME")
class Mine(TopMCodec):
    """Raises."""

    def encode(self, csi):
        raise ERROR
'''


@pytest.mark.parametrize(("error", "code", "said"), [
    ("ValueError('bad')", 1, r"error: \S+\.py:11: in encode of 'block_\d+' \(method 'my own'\), .*: ValueError: bad"),
    ("linksim.core.errors.LinksimError('bad')", 2, r"error: method 'my own': bad"),
])
def test_a_codec_that_fails_is_reported_with_the_method_that_uses_it(error, code, said, failing, command, tmp_path):
    outcome = command("run", failing(error, CODEC, "feedback"), "--output", tmp_path / "out")
    assert outcome.code == code
    assert re.fullmatch(said, outcome.err.splitlines()[-1]), outcome.err


def test_a_predictor_that_a_sweep_brings_in_is_reported_with_its_method(failing, command, tmp_path):
    path = failing()
    text = path.read_text(encoding="utf-8")
    name = re.search(r"block_\d+", text)[0]
    swept = ["run", path, "--set", f"sweep.methods.my own.predictor=[hold, {name}]", "--set",
             "methods.my own.predictor=hold"]
    outcome = command(*swept, "--output", tmp_path / "out")
    assert outcome.code == 1
    assert f"of '{name}' (method 'my own')" in outcome.err.splitlines()[-1]


def test_finished_units_survive_a_blocks_exception(failing, command, tmp_path):
    # the first unit is predicted by hold, the second raises
    body = PLUGIN.replace("        helper(history.h)", """        mark = pathlib.Path(__file__).with_suffix(".mark")
        if mark.exists():
            helper(history.h)
        mark.touch()
        return history.with_h(history.h[..., -1:, :].expand(-1, -1, -1, -1, 2, -1), time_s)""")
    path, folder = failing(body="import pathlib\n" + body), tmp_path / "out"
    assert command("run", path, "--output", folder).code == 1
    assert len(list((folder / "drops").iterdir())) == 1
    assert json.loads((folder / "manifest.json").read_text())["status"] == "partial"


def test_a_gpu_that_is_too_small_says_how_many_drops_to_try(failing, command, tmp_path):
    outcome = command("run", failing("__import__('torch').OutOfMemoryError('CUDA out of memory')"),
                      "--output", tmp_path / "out")
    assert outcome.code == 2
    assert outcome.line == "error: 2 drops at once do not fit the memory of cpu: try run.chunk_size=1"


def test_python_callers_get_the_exception_itself(failing, tmp_path):
    with pytest.raises(ValueError, match="bad") as caught:
        run(load_scenario(failing()), output=tmp_path / "out", report=False)
    assert "plugin.py" in failure_line(caught.value)


def test_an_exception_that_no_other_process_can_rebuild_is_replaced_by_its_text():
    class Local(Exception):
        pass

    for error in (Local("text"), UnicodeDecodeError("utf-8", b"x", 0, 1, "text")):
        error.add_note("in linksim: plugin.py:3: in predict")
        sent = sendable(error)
        assert failure_line(sent) == failure_line(error)
    assert isinstance(sendable(Local("text")), BlockError)
    assert sendable(error) is error
    assert failure_line(KeyError("x")) is None


@pytest.mark.parametrize(("body", "line", "words"), [
    ("import linksim\n\nvalue = missing\n", 3, "NameError"),
    ("def x(:\n", 1, "SyntaxError"),
    ("import linksim, torch\n@linksim.register('predictor', 'hold')\nclass Mine(torch.nn.Module):\n    pass\n", 2,
     "already a predictor 'hold'"),
    ("import linksim, torch\n@linksim.register('predicter', 'x')\nclass Mine(torch.nn.Module):\n    pass\n", 2,
     "unknown kind of block 'predicter'"),
])
def test_a_plugin_that_cannot_be_loaded_is_named_with_its_line(body, line, words, scenario_file, command, tmp_path):
    (tmp_path / "plugin.py").write_text(body)
    path = scenario_file({"plugins": ["plugin.py"]})
    outcome = command("run", path, "--output", tmp_path / "out")
    assert outcome.code == 2
    last = outcome.err.splitlines()[-1]
    assert last.startswith(f"error: {path}:")
    assert f"plugins.0: plugin {tmp_path / 'plugin.py'}:{line}: " in last
    assert words in last
    assert not (tmp_path / "out").exists()


def test_an_edited_plugin_makes_another_scenario_and_a_moved_one_does_not(failing, tmp_path):
    from linksim.scenario.identity import scenario_hash

    first = scenario_hash(load_scenario(failing()))
    (tmp_path / "moved").mkdir()
    path = failing()
    text = (tmp_path / "plugin.py").read_text()
    (tmp_path / "plugin.py").write_text(text + "\n# edited\n")
    assert scenario_hash(load_scenario(path)) != first
    (tmp_path / "plugin.py").write_text(text)
    assert scenario_hash(load_scenario(path)) == first


def test_an_infinite_measure_names_method_measure_and_drop(failing, command, tmp_path):
    body = PLUGIN.replace("        helper(history.h)", "        import dataclasses\n"
                          "        h = history.h[..., -1:, :].expand(*history.h.shape[:4], len(time_s), -1).clone()\n"
                          "        h[1] *= 1e25\n"
                          "        return dataclasses.replace(history, h=h, time_s=time_s)")
    outcome = command("run", failing(body=body), "--output", tmp_path / "out")
    assert outcome.code == 2
    assert "method 'my own': " in outcome.line
    assert " of drop 1 is infinite" in outcome.line
    assert not list((tmp_path / "out").glob("drops/*.parquet"))
