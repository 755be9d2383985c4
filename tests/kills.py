"""Kill trainings and data sets at random moments, and see what is left: ``python tests/kills.py --minutes 5``.

Every command is interrupted (SIGINT, SIGTERM, SIGHUP, Ctrl-C twice) or killed (SIGKILL) somewhere within its life, then
the same command is run to its end. An interrupted one must exit with 130 (or 0, had it just finished) without a
traceback; the one after it must exit with 0, whatever was left, with the undisturbed one's result to the byte. Runs
are killed by `tests/experiment/test_interruption.py`: their tables are read by threads that no fork has.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

SCENARIO = """
plugins: [{plugin}]
channel: {{num_users: 1, num_subcarriers: 8, num_history: 4, num_future: 2, bs_array: {{rows: 1, columns: 2}}}}
methods: [perfect CSI, hold, {{name: line, predictor: {{type: line, dropout: 0.1}}}},
          {{name: ridge, predictor: {{type: ridge, num_snr_classes: 1}}}}]
bounds: []
training: {{num_drops: 250, num_epochs: 12, batch_drops: 20, learning_rate: 0.03, folder: {folder}/kept}}
run: {{chunk_size: 2, threads_per_worker: 1, stopping: {{min_drops: 40, max_drops: 40, adaptive: false}}}}
"""

COMMANDS = {
    "train": (["train", "{yaml}"], "kept/line-*/weights.safetensors"),
    "data set": (["dataset", "{yaml}", "--num-drops", "60", "--out", "{folder}/set.h5", "--overwrite"], "set.h5"),
    "data set, llm4cp": (["dataset", "{yaml}", "--num-drops", "60", "--layout", "llm4cp", "--out", "{folder}/set",
                          "--overwrite"], "set/H_U_his_test.mat"),
}

HOW = {"SIGINT": [signal.SIGINT], "SIGTERM": [signal.SIGTERM], "SIGHUP": [signal.SIGHUP],
       "Ctrl-C twice": [signal.SIGINT, signal.SIGINT], "SIGKILL": [signal.SIGKILL]}


def start(command: list[str], folder: Path) -> int:
    """The command in a process of its own, forked from this one, which has imported all that takes long."""
    texts = {"yaml": str(folder / "small.yaml"), "folder": str(folder)}
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    with (folder / "said").open("w") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    from linksim import cli
    from linksim.training import callbacks

    callbacks.SAVE_EPOCHS_EVERY_S = callbacks.SAVE_STEPS_EVERY_S = 0.0
    sys.argv = ["linksim", *(part.format(**texts) for part in command)]
    code = cli.command_line(sys.argv[1:])
    threading._shutdown()  # the rest of an interpreter's end does not work in a fork: threads of libraries are gone
    sys.stdout.flush()
    os._exit(code)


def ended(child: int, limit_s: float = 300.0) -> int | None:
    """Exit code, negative for a signal; None: it hung."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def new_folder(root: Path) -> Path:
    folder = Path(tempfile.mkdtemp(dir=root))
    plugin = Path(__file__).parent / "training" / "line_predictor.py"
    (folder / "small.yaml").write_text(SCENARIO.format(plugin=plugin, folder=folder))
    return folder


def result(folder: Path, pattern: str) -> str:
    """Digest of what the command is there for."""
    (path,) = folder.glob(pattern)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import lightning.pytorch  # noqa: F401
    import torch

    from linksim.experiment import dataset  # noqa: F401
    from linksim.training import everything, launch  # noqa: F401

    torch.set_num_threads(1)
    root = Path(tempfile.mkdtemp(prefix="kills"))
    chance = random.Random(options.seed)
    expected, lasts = {}, {}
    for name, (command, pattern) in COMMANDS.items():
        folder = new_folder(root)
        began = time.monotonic()
        code = ended(start(command, folder))
        if code != 0:
            print(f"{name}: exits with {code} undisturbed:\n{(folder / 'said').read_text()}")
            return 1
        lasts[name], expected[name] = time.monotonic() - began, result(folder, pattern)
        print(f"{name}: {lasts[name]:.1f} s undisturbed", flush=True)
    tried: Counter[tuple[str, str]] = Counter()
    faults: list[str] = []
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        name, how = chance.choice(list(COMMANDS)), chance.choice(list(HOW))
        command, pattern = COMMANDS[name]
        folder = new_folder(root)
        child = start(command, folder)
        time.sleep(chance.uniform(0, lasts[name]))
        for number in HOW[how]:
            os.kill(child, number)
            time.sleep(chance.uniform(0, 0.3) if len(HOW[how]) > 1 else 0)
        code = ended(child)
        said = (folder / "said").read_text() if (folder / "said").exists() else ""
        tried[name, how] += 1
        where = f"{name}, {how}"
        if how == "SIGKILL":
            wrong = code not in (-signal.SIGKILL, 0)
        else:
            # before the command has set its handlers, the system's own end it
            wrong = code not in (130, 0, -HOW[how][0]) or ("Traceback" in said and code == 130)
        if wrong:
            faults.append(f"{where}: exit code {code}: {said[-1500:]}")
        again = ended(start(command, folder))
        if again != 0:
            faults.append(f"{where}: the next command exits with {again}: {(folder / 'said').read_text()[-1500:]}")
        elif result(folder, pattern) != expected[name]:
            faults.append(f"{where}: another result")
        shutil.rmtree(folder)
    shutil.rmtree(root)
    for name in COMMANDS:
        print(f"{name}: " + ", ".join(f"{tried[name, how]} x {how}" for how in HOW))
    print(f"{sum(tried.values())} kills, {len(faults)} faults", *faults, sep="\n")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
