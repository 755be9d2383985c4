"""Write drops in the layout of LLM4CP's published set: see `llm4cp` for its axes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from linksim.channel.drops import Drops
from linksim.channel.files.linksim_layout import Key
from linksim.channel.files.llm4cp import DOWNLINK, HISTORY, UPLINK
from linksim.channel.files.writing import MATLAB_LIMIT_BYTES
from linksim.core.errors import LinksimError


class Llm4cpWriter:
    """Collects drops and writes one .mat file (v5) per variable.

    :param folder: to write to; exists.
    :param split: ``train`` or ``test``.
    :param num_points: length of the first axis, which counts the sweep's channel points.
    :param num_drops: of each point.
    """

    def __init__(self, folder: Path, split: str, num_points: int, num_drops: int) -> None:
        self._folder, self._split = folder, split
        self._num_drops = num_points * num_drops
        self._parts: list[dict[str, list[np.ndarray]]] = [{} for _ in range(num_points)]

    def append(self, point: int, drops: Drops, uplink_future: torch.Tensor | None = None) -> None:
        """Add drops of one point; users become neighbours on the second axis."""
        variables = {HISTORY: drops.history.h}
        if torch.equal(drops.future.frequency_hz, drops.history.frequency_hz):
            variables[UPLINK] = drops.future.h
        else:
            variables[DOWNLINK] = drops.future.h
            variables |= {} if uplink_future is None else {UPLINK: uplink_future}
        for name, h in variables.items():
            if h.shape[2] != 1:
                raise LinksimError("the llm4cp layout has no axis for terminal antennas: "
                                   f"channel.ue_array.num_antennas must be 1 (it is {h.shape[2]})")
            size = h[0].nbytes * self._num_drops
            if size >= MATLAB_LIMIT_BYTES:
                raise LinksimError(f"{name} would take {size / 2**30:.1f} GiB, and a variable of a .mat file is "
                                   "smaller than 2 GiB: use --layout linksim with .h5, or fewer drops")
            # [drop, user, 1, bs_ant, time, subcarrier] -> [drop * user, time, subcarrier, column, row, polarization]
            shaped = h.flatten(0, 1)[:, 0].unflatten(1, drops.history.panel.shape).permute(0, 4, 5, 2, 3, 1)
            self._parts[point].setdefault(name, []).append(shaped.cpu().numpy())

    def close(self) -> dict[str, Key]:
        """Write the files.

        :returns: the variables with shapes and types.
        """
        from scipy.io import savemat  # start-up

        keys = {}
        for name in self._parts[0]:
            blocks = [np.concatenate(parts[name]) for parts in self._parts]
            if len({block.shape for block in blocks}) > 1:
                raise LinksimError("the llm4cp layout has one array for all channel points, but sizes are swept")
            whole = np.stack(blocks)
            savemat(str(self._folder / f"{name}_{self._split}.mat"), {f"{name}_{self._split}": whole})
            keys[f"{name}_{self._split}"] = Key(shape=list(whole.shape), dtype=whole.dtype.str, per_drop=False)
        return keys

    def abandon(self) -> None:
        """Let go of what was collected."""
        self._parts.clear()
