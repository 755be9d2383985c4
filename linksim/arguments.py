"""What the command line takes: commands, their arguments and what is said of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from linksim import __version__
from linksim.core.printing import one_line
from linksim.core.shipped import located

EXIT_BAD_INPUT = 2


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage text."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_BAD_INPUT, f"error: {one_line(message)} (see {self.prog} --help)\n")


def make_parser(functions: Mapping[str, Callable[[argparse.Namespace], int]]) -> Parser:
    """The parser of the command line.

    :param functions: what each command does with its options, by its name; returns the exit code.
    """
    parser = Parser(
        prog="linksim", description="End-to-end link-level simulator for AI-native MIMO-OFDM on 3GPP channels.")
    parser.add_argument("--version", action="version", version=f"linksim {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a scenario to curves; resumes what is there")
    _scenario_arguments(run)
    run.add_argument("--output", type=Path, metavar="DIR", help="default: results/<scenario name>")
    run.add_argument("--workers", type=_positive, default=1, metavar="N", help="work units in parallel (needs Ray)")
    run.add_argument("--ray", metavar="ADDRESS", help="run on this Ray cluster (auto: the one of this machine)")
    run.add_argument("--fresh", action="store_true", help="replace earlier results instead of resuming")
    run.add_argument("--quick", action="store_true",
                     help="a first look: few drops at the ends and the middle of every axis, nothing "
                          "trained; default of --output: results/<scenario name>-quick")
    run.add_argument("--trained-only", action="store_true",
                     help="leave out methods that would have to be trained first, and name them; default of --output: "
                          "results/<scenario name>-trained-only")
    run.add_argument("--checkpoint", action="append", default=[], metavar="[METHOD=]DIR",
                     help="use this checkpoint for a trained method, whatever it was trained on")
    run.set_defaults(command=functions["run"])

    validate = commands.add_parser("validate", help="check a scenario file and write nothing")
    _scenario_arguments(validate)
    validate.set_defaults(command=functions["validate"])

    blocks = commands.add_parser("blocks", help="list the blocks that a scenario can name, or explain one")
    blocks.add_argument("name", nargs="?", metavar="NAME", help="show this block's description and options")
    blocks.add_argument("--plugin", action="append", default=[], metavar="FILE")
    blocks.set_defaults(command=functions["blocks"])

    schema = commands.add_parser("schema", help="print the JSON Schema of scenario files, for editors")
    schema.set_defaults(command=functions["schema"])

    train = commands.add_parser("train", help="train what a scenario's learned blocks need and keep checkpoints")
    _scenario_arguments(train)
    train.add_argument("--method", metavar="NAME", help="only this method, and what teaches it or it starts from")
    train.add_argument("--status", action="store_true",
                       help="say what is made, what is in training (how far, until when) and what is not begun; train "
                            "nothing")
    train.set_defaults(command=functions["train"])

    dataset = commands.add_parser("dataset", help="write a scenario's channels to .h5, .npz or .mat")
    _scenario_arguments(dataset)
    dataset.add_argument("--num-drops", type=_positive, required=True, metavar="N", help="of each channel point")
    dataset.add_argument("--out", type=Path, required=True, metavar="FILE",
                         help="ends in .h5, .npz or .mat; a folder for the llm4cp layout")
    dataset.add_argument("--split", choices=["test", "training"], default="test",
                         help="the drops that a run sees (default), or those that training sees")
    dataset.add_argument("--layout", choices=["linksim", "llm4cp"], default="linksim")
    dataset.add_argument("--no-rays", action="store_true", help="leave the rays out: smaller, but no genie bound")
    dataset.add_argument("--overwrite", action="store_true", help="replace the file if it is there")
    dataset.set_defaults(command=functions["dataset"])

    ask = commands.add_parser("ask", help="give a universal model an instruction and a file of channels")
    ask.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="its folder")
    ask.add_argument("instruction", metavar="INSTRUCTION", help="names the task, e.g. position or \"beam selection\"")
    ask.add_argument("--channels", type=Path, required=True, metavar="FILE",
                     help="ray-traced channels that `linksim dataset` wrote")
    ask.add_argument("--drops", type=_positive, default=10, metavar="N", help="how many of the first; default: 10")
    ask.set_defaults(command=functions["ask"])

    report = commands.add_parser("report", help="draw figures and HTML again, or overlay several runs")
    report.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="output folder of a run")
    report.add_argument("--output", type=Path, metavar="DIR", help="where to write an overlay; default: report")
    report.set_defaults(command=functions["report"])

    compare = commands.add_parser("compare", help="paired differences between two runs, or two methods of a run")
    compare.add_argument("first", type=Path, metavar="RUN_A", help="output folder of a run")
    compare.add_argument("second", type=Path, metavar="RUN_B", help="another, or the same")
    compare.add_argument("--metric", action="append", default=[], metavar="NAME", help="default: all that both report")
    compare.add_argument("--method", metavar="NAME", help="of RUN_A; default: every method of the same name in both")
    compare.add_argument("--against", metavar="NAME", help="of RUN_B; default: the same name")
    compare.add_argument("--output", type=Path, metavar="FILE.csv", help="write the table there, too")
    compare.set_defaults(command=functions["compare"])
    return parser


def _scenario_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", type=_scenario, metavar="SCENARIO.yaml",
                        help="a file, or the name of a ready-made one, e.g. fdd_uma_30kmh")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", dest="overrides",
                        help="change one field, e.g. --set channel.speed_kmh=60")
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE",
                        help="Python file with blocks of your own; its code is executed")


def _scenario(text: str) -> Path:
    return located(Path(text))


def _positive(text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)
