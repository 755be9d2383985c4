"""Every field and option at and beyond its edges: `linksim validate`, and a run of what it accepts."""

from __future__ import annotations

import contextlib
import io
import json
import math
import multiprocessing
import random
import re
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from studies.robustness.inputs import Attempt, attempts, mixtures
from studies.robustness.trial import (
    DONE,
    HANG,
    MEMORY,
    REFUSED,
    SEVERAL_LINES,
    SLOW,
    TRACEBACK,
    WROTE,
    Ended,
    started,
    try_command,
)

ACCEPTED, REFUSED_LATE, NOT_FINITE = "accepted", "refused after validate accepted it", "result that is not finite"
REFUSED_TRACED = "refused after tracing"
"""No place has paths as strong, or as many: tracing alone tells."""
_VALIDATED_S = 20.0
BAD = (TRACEBACK, HANG, MEMORY, SEVERAL_LINES, WROTE, REFUSED_LATE, NOT_FINITE)
"""What no input should end as."""


def fuzz(folder: Path, num_runs: int, num_mixtures: int, seed: int, jobs: int, say: Callable[[str], None]
         ) -> tuple[dict[str, Counter[str]], list[str]]:
    """Validate everything, run what was accepted (``num_runs`` of it, 0: all) and mixtures of it.

    :returns: for each group of fields how often what happened; and a line for every input that ended as none should.
    """
    prepare(folder)
    tried = list(attempts())
    say(f"{len(tried)} inputs, one field each")
    ended = validated(tried, folder, jobs, say)
    accepted = [a for a, e in zip(tried, ended) if e.how == DONE]
    mixed = list(mixtures(num_mixtures, seed, accepted))
    ended += validated(mixed, folder, jobs, say)
    tried += mixed
    fields: dict[str, set[str]] = {}
    counts: dict[str, Counter[str]] = {}
    faults = []
    for attempt, end in zip(tried, ended):
        fields.setdefault(attempt.group, set()).add(attempt.field)
        count = counts.setdefault(attempt.group, Counter())
        count["inputs"] += 1
        count[ACCEPTED if end.how == DONE else end.how] += 1
        if end.how not in (DONE, REFUSED):
            faults.append(_line(attempt, "validate", end))
            say(faults[-1])
    to_run = [a for a, e in zip(tried, ended) if e.how == DONE]
    random.Random(seed).shuffle(to_run)
    to_run = to_run[:num_runs] if num_runs else to_run
    say(f"{len(to_run)} of {sum(c[ACCEPTED] for c in counts.values())} accepted inputs are run")
    for attempt, end in zip(to_run, _each_in_parallel(_run_one, [(a, folder) for a in to_run], jobs, say)):
        count = counts[attempt.group]
        count["run"] += 1
        traced = re.search(r"error: channel.ray_traced: (\d+ positions for |no open ground)", end.said)
        how = (REFUSED_TRACED if traced else REFUSED_LATE) if end.how == REFUSED else end.how
        count[how] += 1
        if how not in (DONE, SLOW, REFUSED_TRACED):
            faults.append(_line(attempt, how, end))
            say(faults[-1])
    for group, names in fields.items():
        counts[group]["fields"] = len(names)
    return counts, faults


def prepare(folder: Path) -> None:
    """The channel file that some base scenarios name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    base = next(a for a in attempts(blocks=False) if a.field == "seed").scenario
    (folder / "base.yaml").write_text(yaml.safe_dump({**base, "seed": 1}), encoding="utf-8")
    end = try_command(["dataset", "base.yaml", "--num-drops", "4", "--out", folder / "drops.h5"], folder)
    if end.how != DONE:
        raise RuntimeError(end.said)


def validated(tried: list[Attempt], folder: Path, jobs: int, say: Callable[[str], None]) -> list[Ended]:
    """How ``linksim validate`` ends for every input, in one process for many of them."""
    shares = [(tried[first::jobs], folder, first) for first in range(jobs)]
    found = _each_in_parallel(_validate_share, shares, jobs, say)
    ended: list[Ended] = [Ended(HANG)] * len(tried)
    for first, part in enumerate(found):
        ended[first::jobs] = part
    return ended


def _validate_share(share: tuple[list[Attempt], Path, int]) -> list[Ended]:
    tried, folder, number = share
    ended: list[Ended] = []
    while len(ended) < len(tried):
        results = multiprocessing.get_context("fork").SimpleQueue()
        rest = tried[len(ended):]
        with started(partial(_validate_each, rest, folder, number, results)) as process:
            waited = time.monotonic()
            while len(ended) < len(tried):
                running = process.poll() is None
                if not results.empty():
                    ended.append(Ended(*results.get()))
                    waited = time.monotonic()
                elif not running or time.monotonic() - waited > _VALIDATED_S:
                    ended.append(Ended(HANG if running else TRACEBACK, "" if running else "the process ended"))
                    break
                else:
                    time.sleep(0.002)
    return ended


def _validate_each(tried: list[Attempt], folder: Path, number: int, results: Any) -> None:
    from linksim.cli import main

    path = folder / f"tried_{number}.yaml"
    for attempt in tried:
        path.write_text(_text(attempt), encoding="utf-8", errors="surrogatepass")
        before = _files(folder)
        out, err = io.StringIO(), io.StringIO()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(["validate", str(path)])
        except BaseException:
            results.put((TRACEBACK, traceback.format_exc()[-600:]))
            continue
        text = err.getvalue()
        one_line = text.startswith("error: ") and text.count("\n") == 1
        how = DONE if code == 0 else REFUSED if code == 2 and one_line else SEVERAL_LINES
        if how == REFUSED and _files(folder) - before:
            how = WROTE
        results.put((how, text[-600:]))


def _run_one(share: tuple[Attempt, Path]) -> Ended:
    attempt, folder = share
    own = folder / f"run_{abs(hash((attempt.field, repr(attempt.value))))}"
    own.mkdir()
    try:
        (own / "tried.yaml").write_text(_text(attempt), encoding="utf-8", errors="surrogatepass")
        shutil.copy(folder / "drops.h5", own)
        end = try_command(["run", "tried.yaml", "--output", "out"], own)
        return _with_results(end, own / "out" / "metrics.csv") if end.how == DONE else end
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _with_results(end: Ended, metrics: Path) -> Ended:
    table = pd.read_csv(metrics, keep_default_na=False, na_values=[""])
    infinite = table[~table["value"].map(math.isfinite)]
    return Ended(NOT_FINITE, infinite.head(3).to_csv(index=False)) if len(infinite) else end


def _text(attempt: Attempt) -> str:
    """JSON is YAML, and writes what YAML's own writer would refuse or bend, such as NaN (as .nan) and big integers."""
    text = json.dumps(attempt.scenario, ensure_ascii=True, indent=1)
    return text.replace("-Infinity", "-.inf").replace("Infinity", ".inf").replace("NaN", ".nan")


def _files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith("tried_")}


def _line(attempt: Attempt, where: str, end: Ended) -> str:
    return json.dumps({"group": attempt.group, "field": attempt.field, "value": repr(attempt.value)[:200],
                       "where": where, "how": end.how, "said": end.said})


def _each_in_parallel(function: Callable[[Any], Any], shares: Iterable[Any], jobs: int, say: Callable[[str], None]
                      ) -> Iterator[Any]:
    """Results in the order of the shares, as they come."""
    shares = list(shares)
    said = time.monotonic()
    # no Pool, whose processes may start none of their own
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        for number, result in enumerate(pool.map(function, shares), 1):
            yield result
            if time.monotonic() - said > 30:
                said = time.monotonic()
                say(f"{number} of {len(shares)} done")
