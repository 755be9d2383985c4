"""``python -m studies.calibration``, with the drawing taken out."""

from types import SimpleNamespace

import pytest

from studies.calibration import run


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for; the study fails when ``asked.passed`` is set to False."""
    asked = SimpleNamespace(passed=True)

    def calibrate(folder, drops, seed, console):
        asked.folder, asked.drops, asked.seed = folder, drops, seed
        return SimpleNamespace(passed=asked.passed)

    monkeypatch.setattr(run, "calibrate", calibrate)
    return asked


def test_options(asked, tmp_path, capsys):
    assert run.main(["--out", str(tmp_path), "--drops", "4", "--seed", "9"]) == 0
    assert (asked.folder, asked.drops, asked.seed) == (tmp_path, 4, 9)
    capsys.readouterr()
    assert run.main(["--quick"]) == 0
    assert capsys.readouterr().out.strip() == "docs/calibration/README.md"
    assert (asked.drops, asked.seed) == (run.QUICK_DROPS, 1)
    run.main([])
    assert asked.drops == run.DEFAULT_DROPS


def test_disagreement_is_an_exit_code(asked, capsys):
    asked.passed = False
    assert run.main(["--quick"]) == 1
    assert capsys.readouterr().err.startswith("error:")


@pytest.mark.parametrize("arguments", [["--drops", "0"], ["--drops", "2", "--quick"], ["--seed", "x"]])
def test_bad_input(asked, arguments):
    with pytest.raises(SystemExit) as ended:
        run.main(arguments)
    assert ended.value.code == 2
