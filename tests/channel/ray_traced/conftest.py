"""Sionna RT where it is installed."""

import pytest

from linksim.channel.ray_traced.runtime import import_sionna_rt
from linksim.core.errors import ScenarioError


@pytest.fixture(scope="session")
def sionna_rt():
    """The module, or the test is skipped."""
    try:
        return import_sionna_rt()
    except ScenarioError as error:
        pytest.skip(str(error))
