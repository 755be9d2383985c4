"""3GPP's own calibration curves: the mean over companies, as far as they are public as numbers.

R1-165974 (large scale) and R1-165975 (full calibration), August 2016, hence with the parameters of TR 38.900 V14.0.0:
later versions changed UMa's delay and angle spreads. The file holds some percentiles of each curve; the numbers are
those tabulated in QuaDRiGa's calibration tutorials, and agree to rounding with the workbook's curves in Sionna's test
data where we compared them (UMi SINR is from there). SINR with noise is known for UMi at 6 GHz alone.
"""

from __future__ import annotations

import io
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

from studies.calibration.setups import Setup


def reference_curve(setup: Setup, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Percentiles (percent) and values of 3GPP's curve; None where there is none."""
    rows = _curves()
    rows = rows[(rows["scenario"] == setup.scenario) & (rows["carrier_ghz"] == setup.carrier_hz / 1e9)
                & (rows["phase"] == setup.phase) & (rows["metric"] == metric)]
    if rows.empty:
        return None
    columns = [name for name in rows.columns if name[0] == "p" and name[1:].isdigit()]
    return np.array([float(name[1:]) for name in columns]), rows.iloc[0][columns].to_numpy(float)


@cache
def _curves() -> pd.DataFrame:
    text = resources.files(__package__).joinpath("reference_curves.csv").read_text("utf-8")
    return pd.read_csv(io.StringIO(text))
