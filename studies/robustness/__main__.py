"""How linksim takes bad input, kills and damaged files: everything tried, counted in a table.

    uv run python -m studies.robustness                     # quick: about twenty minutes on two cores
    uv run python -m studies.robustness --runs 0 --kills 60 --damage 1000    # everything: hours

Writes ``docs/robustness.md``; what ended as nothing should is printed, and the exit code is then 1. POSIX alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rich.console import Console

from studies.robustness import damage, fields, kills, trial

_TEXT = """# Bad input, kills, damaged files

What linksim does with what it should not get. Everything here is counted by one command, which stays in the tree
([studies/robustness](../studies/robustness)):

    {command}

It tries every field of a scenario (as `linksim schema` lists them) and every option of every block with values at and
beyond the edges and of the wrong type, one at a time and in mixtures; kills runs, data sets and trainings at random
moments; and changes, cuts and mixes up the files that linksim reads. "Refused" means: exit code 2, one line that names
the place, nothing written. Nothing in the last columns of a table should be above 0.

## Fields and options

{fields}

"Accepted" inputs are drawn at random and run on two drops ("run"). A run that was still working after
{patience:.0f} s of CPU time was stopped; one that uses more than {memory:.0f} GiB, or neither says nor computes
anything for {silent:.0f} s, is counted on the right. "Refused after tracing": no place has paths of such strength,
which tracing alone tells.

## Kills

SIGKILL, SIGTERM, SIGINT once and twice, SIGHUP in turn, after a random time. Then the same command is given again and
must end with the same bytes as an undisturbed one. A unit is lost if it was finished before the kill and simulated
again after it.

{kills}

## Damaged files

Every value of every JSON file replaced and left out, files cut off, single bytes turned, columns, tensors and data sets
changed and left out; then the commands that read them. "Believed" means that a run went through with other numbers.

{damage}

Last made by linksim {version} in {minutes:.0f} minutes on {cores} cores, seed {seed}.
"""


def main() -> int:
    """Run the study and write its page.

    :returns: 0 if nothing was found.
    """
    parser = argparse.ArgumentParser(prog="python -m studies.robustness", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300, metavar="N", help="accepted inputs that are run; 0: all")
    parser.add_argument("--mixtures", type=int, default=500, metavar="N", help="inputs that change several fields")
    parser.add_argument("--kills", type=int, default=12, metavar="N", help="of each command")
    parser.add_argument("--damage", type=int, default=25, metavar="N", help="changes of each kind of file")
    parser.add_argument("--only", choices=["fields", "kills", "damage"], help="and write no page")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("docs/robustness.md"))
    options = parser.parse_args()
    console = Console(stderr=True)
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.0f} s  {text}", markup=False, highlight=False)

    trial.warm()
    os.environ["LINKSIM_CACHE"] = os.environ.get("LINKSIM_CACHE") or tempfile.mkdtemp()
    tables, faults = {}, []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name, study in (
            ("fields", lambda: fields.fuzz(folder / "fields", options.runs, options.mixtures, options.seed,
                                           options.jobs, say)),
            ("kills", lambda: kills.kill_each(folder / "kills", options.kills, options.seed, say)),
            ("damage", lambda: damage.damage_each(folder / "damage", options.damage, options.seed, say)),
        ):
            if options.only in (None, name):
                tables[name], found = study()
                faults += found
    for fault in faults:
        print(fault)
    if options.only is None:
        from linksim import __version__

        options.out.write_text(_TEXT.format(
            command=" ".join(["uv run python -m studies.robustness", *sys.argv[1:]]),
            fields=_table("fields of", tables["fields"], ["fields", "inputs", fields.ACCEPTED, trial.REFUSED, "run",
                                                          trial.SLOW, fields.REFUSED_TRACED], fields.BAD),
            kills=_table("command", tables["kills"], ["kills", "units kept"],
                         ["units lost", "other results", "next command refused", "left behind", trial.TRACEBACK,
                          trial.HANG]),
            damage=_table("file", tables["damage"], ["inputs", trial.DONE, trial.REFUSED],
                          [damage.BELIEVED, trial.TRACEBACK, trial.HANG, trial.MEMORY, trial.SEVERAL_LINES]),
            version=__version__, minutes=(time.monotonic() - began) / 60, cores=os.cpu_count(), seed=options.seed,
            patience=trial.PATIENCE_S, memory=trial.MEMORY_BYTES / 2**30, silent=trial.SILENT_S), encoding="utf-8")
        console.print(f"written: {options.out}")
    else:
        for name, count in tables[options.only].items():
            print(name, dict(count))
    return 1 if faults else 0


def _table(title: str, rows: dict[str, Counter[str]], columns: list[str], faults: list[str] | tuple[str, ...]) -> str:
    headings = [*columns, *faults]
    lines = [f"| {title} | {' | '.join(headings)} |", "|---" * (len(headings) + 1) + "|"]
    total = sum(rows.values(), Counter())
    for name, count in [*rows.items(), ("all", total)]:
        lines.append(f"| {name} | {' | '.join(f'{count[heading]:,}' for heading in headings)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
