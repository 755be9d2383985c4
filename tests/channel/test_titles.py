"""Models as people write them."""

import pytest

from linksim.channel.source import source_of
from linksim.scenario.channel import Channel


@pytest.mark.parametrize(("fields", "title"), [
    ({}, "UMa LOS and NLOS"), ({"model": "umi", "los": "nlos"}, "UMi NLOS"), ({"model": "cdl_d"}, "CDL-D"),
    ({"model": "inh_open", "los": "los"}, "InH (open office) LOS"), ({"model": "inf_sh"}, "InF-SH LOS and NLOS"),
    ({"indoor_share": 0.8}, "UMa LOS and NLOS, 80 % indoors"),
    ({"indoor_share": 0.8, "path_loss": True, "o2i_penetration_loss": "high"},
     "UMa LOS and NLOS, 80 % indoors (high O2I loss)"),
    ({"source": "ray_traced", "ray_traced": {"scene": "munich"}}, "ray-traced munich LOS and NLOS"),
    ({"source": "files", "files": {"path": "/data/channels.h5"}}, "channels.h5"),
])
def test_a_channel_is_written_by_what_it_models(fields, title):
    channel = Channel(**fields)
    assert source_of(channel).title(channel) == title
