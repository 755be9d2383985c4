"""What the terminal shows: a header, live progress with rate, time left and intervals, plain lines in a pipe."""

from __future__ import annotations

import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from linksim.experiment.plan import Plan, format_value
from linksim.experiment.statistics import Interval
from linksim.link.names import model_name

CONVENTIONS = {
    "SNR": "link.snr_db: downlink transmit power over noise power per subcarrier at unit average channel gain; "
           "noise variance is per complex entry",
    "CSI SNR": "acquisition.csi_snr_db: each user's mean uplink power over the noise variance per complex entry",
    "intervals": "Student's over drops (the users of a drop averaged first), by the delta method in dB; order "
                 "statistics for percentiles",
    "NMSE": "over all predicted times, against the noiseless downlink channel",
}


def print_header(console: Console, plan: Plan, versions: dict[str, str], device: str, folder: str, executor: str,
                 blocks: list[str]) -> None:
    """Everything needed to know what will be computed, and with what."""
    scenario = plan.scenario
    channel = scenario.channel
    array = channel.bs_array
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    grid.add_row("scenario", f"{scenario.name}  [dim]{scenario.description}[/dim]")
    los = "" if channel.model.startswith("cdl") else f" {channel.los.upper() if channel.los != 'mixed' else 'LOS and NLOS'}"
    grid.add_row("channel", (
        f"{model_name(channel.model)}{los}, "
        f"{channel.carrier_frequency_ghz:g} GHz, {channel.duplex.replace('_', ' ').upper()}, "
        f"{channel.num_subcarriers} x {channel.subcarrier_spacing_khz:g} kHz, {channel.num_users} user{'s' * (channel.num_users > 1)} at "
        f"{channel.speed_kmh:g} km/h, BS {array.rows}x{array.columns} {array.polarization}, "
        f"UE {channel.ue_array.num_antennas} antenna{'s' * (channel.ue_array.num_antennas > 1)}"))
    grid.add_row("history", f"{channel.num_history} samples every {channel.csi_period_ms:g} ms, then "
                            f"{channel.num_future} to predict; acquisition {scenario.acquisition.type}"
                            + (f" at {scenario.acquisition.csi_snr_db:g} dB"
                               if scenario.acquisition.type != "perfect" else ""))
    grid.add_row("SNR", CONVENTIONS["SNR"])
    for axis in plan.axes:
        grid.add_row("sweep", f"{axis.label}: {', '.join(format_value(v) for v in axis.values)}  "
                              f"[dim]({axis.key}, repeats from {axis.stage})[/dim]")
    grid.add_row("methods", ", ".join(plan.method_names))
    for line in blocks:
        grid.add_row("trained", line)
    grid.add_row("seed", f"{scenario.seed}, {scenario.run.chunk_size} drops per unit")
    grid.add_row("runs on", f"{device}, {executor}")
    grid.add_row("versions", ", ".join(f"{name} {version}" for name, version in versions.items()))
    grid.add_row("output", folder)
    console.print(grid)
    console.print()


class LiveProgress:
    """Progress of the units, with the intervals of the watched metric after every round."""

    def __init__(self, console: Console, watched: str) -> None:
        self._console = console
        self._watched = watched
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("units"),
            TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("simulating", total=None, rate="")
        self._table: Table | None = None
        self._live = Live(self._view(), console=console, refresh_per_second=4, transient=True) \
            if console.is_terminal else None
        self._began = time.monotonic()
        self._drops = 0

    def __enter__(self) -> LiveProgress:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        if self._live:
            self._live.__exit__(*reason)

    def expect(self, units: int) -> None:
        """How many units are planned now; grows when the stopping rule asks for more."""
        self._progress.update(self._task, total=units)
        self._show()

    def resumed(self, units: int) -> None:
        """Units found in the folder."""
        self._progress.update(self._task, advance=units)

    def unit_done(self, drops: int) -> None:
        """One unit more."""
        self._drops += drops
        rate = self._drops / max(time.monotonic() - self._began, 1e-9)
        self._progress.update(self._task, advance=1, rate=f"{rate:.1f} drops/s")
        self._show()

    def round_done(self, label: str, drops: int, intervals: dict[str, Interval]) -> None:
        """A round of one channel point is complete."""
        widest = max(intervals, key=lambda name: intervals[name].half_width, default=None)
        line = f"{label}: {drops} drops"
        if widest is not None:
            line += f", widest interval of {self._watched} +-{intervals[widest].half_width:.2f} ({widest})"
        table = Table(title=line, box=None, title_justify="left")
        for heading in ("method", self._watched, "interval"):
            table.add_column(heading, justify="left" if heading == "method" else "right")
        for name, interval in intervals.items():
            table.add_row(name, f"{interval.value:.2f}", f"[{interval.low:.2f}, {interval.high:.2f}]")
        self._table = table
        if self._live:
            self._show()
        else:
            elapsed = time.monotonic() - self._began
            self._console.print(f"{elapsed:7.1f} s  {line}", highlight=False)

    def _view(self) -> Group:
        return Group(*([self._table] if self._table else []), self._progress)

    def _show(self) -> None:
        if self._live:
            self._live.update(self._view())
