"""What the terminal shows: a header, live progress with rate, time left and intervals, plain lines in a pipe."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from linksim.channel.source import source_of
from linksim.core.heartbeat import rounded
from linksim.core.printing import cell, say
from linksim.experiment.machine import slower_in_bf16
from linksim.experiment.plan import Plan, format_value
from linksim.loading.duration import unit_seconds
from linksim.metrics.catalogue import metric
from linksim.results.statistics import Interval

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

    def row(title: str, text: str, aside: str = "") -> None:
        grid.add_row(title, cell(text, console) + cell(f"  {aside}" if aside else "", console, "dim"))

    row("scenario", scenario.name, " ".join(scenario.description.split()))
    swept = {axis.key for axis in plan.axes}
    duplex = "duplex swept" if "channel.duplex" in swept else channel.duplex.replace("_", " ").upper()
    noise = "" if scenario.acquisition.type == "perfect" or "acquisition.csi_snr_db" in swept else \
        f" at {scenario.acquisition.csi_snr_db:g} dB"
    users = f"{channel.num_users} user{'s' * (channel.num_users > 1)}" if "channel.num_users" not in swept else "users"
    if "channel.speed_kmh" not in swept:
        users += f" at {channel.speed_kmh:g} km/h" if channel.knows_speed else " at unknown speed"
    row("channel", (
        f"{source_of(channel).title(channel)}{', beam squint' * bool(channel.beam_squint)}, "
        f"{channel.carrier_frequency_ghz:g} GHz, {duplex}, "
        f"{channel.num_subcarriers} x {channel.subcarrier_spacing_khz:g} kHz, {users}, "
        f"BS {array.rows}x{array.columns} {array.polarization}, "
        f"UE {channel.ue_array.num_antennas} antenna{'s' * (channel.ue_array.num_antennas > 1)}"))
    row("history", f"{channel.num_history} samples every {channel.csi_period_ms:g} ms, then "
                   f"{channel.num_future} to predict; acquisition {scenario.acquisition.type}{noise}")
    row("SNR", CONVENTIONS["SNR"])
    if scenario.link.mode != "rate":
        coding = scenario.link.coding
        mcs = f"MCS {coding.mcs}" if coding.mcs is not None else f"MCS adapted to {100 * coding.bler_target:g} % lost"
        row("blocks", f"NR transport blocks, {scenario.link.mode}, table {coding.mcs_table}, {mcs}, "
                      f"{coding.scs_khz} kHz; throughput is net of CSI-RS and reports"
                      f"{'' if coding.charge_overhead else ' (not charged)'}")
    for axis in plan.axes:
        row("sweep", f"{axis.label}: {', '.join(format_value(v) for v in axis.values)}",
            f"({axis.key}, repeats from {axis.stage})")
    row("methods", ", ".join(plan.method_names))
    for line in blocks:
        row("trained", line)
    for line in plan.shortcuts():
        row("note", line)
    longest = max(unit_seconds(one for _, one in group.points)[0] for group in plan.channel_points)
    row("seed", f"{scenario.seed}, {scenario.run.chunk_size} drops per unit, which takes about {rounded(longest)}")
    mixed = ""
    if scenario.run.precision != 32:
        slow = ", which is slow on this processor: try --set run.precision=32" if slower_in_bf16(device) else ""
        mixed = f", learned predictors in {scenario.run.precision}{slow}"
    row("runs on", f"{device}, {executor}{mixed}")
    row("versions", ", ".join(f"{name} {version}" for name, version in versions.items()))
    row("output", folder)
    console.print(grid)
    console.print()


class LiveProgress:
    """Progress of the units, with the intervals of the watched metric after every round."""

    def __init__(self, console: Console, plan: Plan) -> None:
        run = plan.scenario.run
        self._console = console
        self._metric = metric(run.stopping.metric)
        self._aim = f"aim ±{run.stopping.half_width:g}" if run.stopping.adaptive else "fixed number of drops"
        self._confidence = f"{100 * run.confidence:g} % interval"
        self._progress = Progress(
            TextColumn("simulating"), BarColumn(24), MofNCompleteColumn(), TextColumn("units"),
            TextColumn("{task.fields[pace]}", markup=False), console=console,
        )
        self._task = self._progress.add_task("", total=None, pace="")
        self._table: Group | None = None
        self._live = Live(self._view(), console=console, refresh_per_second=4, transient=True) \
            if console.is_terminal else None
        self._began = time.monotonic()
        self._units = 0
        self._drops = 0

    def __enter__(self) -> LiveProgress:
        if self._live:
            self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
                 ) -> None:
        if self._live:
            self._live.__exit__(kind, error, trace)

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
        self._units += 1
        self._progress.update(self._task, advance=1)
        # from this session's units alone: those resumed took no time
        elapsed = max(time.monotonic() - self._began, 1e-9)
        left = (self._progress.tasks[0].remaining or 0) * elapsed / self._units
        self._progress.update(self._task, pace=f"{self._drops / elapsed:.1f} drops/s   {_clock(elapsed)} elapsed   "
                                               f"about {_clock(left)} left")
        self._show()

    def round_done(self, label: str, drops: int, intervals: dict[str, Interval]) -> None:
        """A round of one channel point is complete."""
        name = self._metric.name
        widest = max(intervals, key=lambda method: intervals[method].half_width, default=None)
        width = "" if widest is None else f"widest interval of {name} ±{intervals[widest].half_width:.2f} ({widest})"
        if not self._live:
            elapsed = _clock(time.monotonic() - self._began)
            done = f"{self._progress.tasks[0].completed:.0f}/{self._progress.tasks[0].total:.0f} units"
            text = ", ".join(filter(None, [f"{label}: {drops} drops", width]))
            say(self._console, f"{elapsed:>8}  {done:>13}  {text}")
            return
        console = self._console
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
        table.add_column("method", overflow="fold", max_width=40)
        unit = f" ({self._metric.unit})" if self._metric.unit else ""
        for heading in (self._metric.label + unit, self._confidence):
            table.add_column(cell(heading, console), justify="right", no_wrap=True)
        for method, interval in intervals.items():
            texts = (method, f"{interval.value:.2f}", f"±{interval.half_width:.2f}")
            table.add_row(*(cell(text, console) for text in texts))
        self._table = Group(cell(f"{label}: {drops} drops; {self._aim}", console, "bold"), table, "")
        self._show()

    def _view(self) -> Group:
        return Group(*([self._table] if self._table else []), self._progress)

    def _show(self) -> None:
        if self._live:
            self._live.update(self._view())


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
