"""The figures of the main job: wall time, peak memory, import time. ``uv run python benchmarks/main_job.py``."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def timed(*command: str) -> float:
    """Wall time of a command in seconds; its own failure is fatal."""
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    bare = statistics.median(timed(sys.executable, "-c", "pass") for _ in range(5))
    imported = statistics.median(timed(sys.executable, "-c", "import linksim") for _ in range(5))
    print(f"import linksim: {imported - bare:.3f} s (median of 5, interpreter start of {bare:.3f} s taken off)")
    with tempfile.TemporaryDirectory() as folder:
        wall = timed(sys.executable, "run_sim.py", "scenarios/fdd_uma_30kmh.yaml", "--output", folder, "--set",
                     f"training.folder={folder}-checkpoints")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        table = (Path(folder) / "metrics.csv").read_text(encoding="utf-8").splitlines()
    header = table[0].split(",")
    rows = [dict(zip(header, line.split(","))) for line in table[1:]]
    errors = [row for row in rows if row["metric"] == "nmse_db" and not row["method"].endswith("bound")]
    widest = max((float(row["ci_high"]) - float(row["ci_low"])) / 2 for row in errors)
    print(f"fdd_uma_30kmh, ridge trained on the way: {wall:.1f} s, peak memory {peak:.2f} GiB, "
          f"{errors[0]['num_drops']} drops a point, widest NMSE interval +-{widest:.2f} dB")


if __name__ == "__main__":
    main()
