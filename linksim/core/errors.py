"""The errors a user meets: each prints as one line that names the place and the fix."""

from __future__ import annotations


class LinksimError(Exception):
    """Base of every error whose text is meant for the user; the command line exits with 2."""


class ScenarioError(LinksimError):
    """A scenario file, an override or an argument is wrong. Raised before anything is written."""


class StoreError(LinksimError):
    """The output folder cannot be used: another scenario's, locked, read-only or full."""


class NumericalError(LinksimError):
    """A block produced or met CSI that cannot be used, and the scenario asks to stop rather than mend."""


class ReportError(LinksimError):
    """A CSI report cannot be decoded: truncated, corrupted, or not of this codec."""
