"""A stream is a function of seed and index, whoever draws it, in whatever order."""

import os
import subprocess
import sys
import threading
import time

import pytest
import torch
from torch.utils.data import DataLoader

from linksim.channel.streaming import ChannelStream, prefetched
from linksim.scenario.channel import BsArray, Channel

CHANNEL = Channel(num_subcarriers=6, num_history=3, num_future=2, bs_array=BsArray(rows=2, columns=2))


def stream(seed=1, count=4):
    return ChannelStream(CHANNEL, 3, seed, count)


def test_chunks_depend_on_seed_and_index_alone():
    reference = [chunk.future.h for chunk in stream().prefetched(0)]
    assert len(reference) == len(stream()) == 4
    for ahead in (1, 3):
        for chunk, expected in zip(stream(count=4).prefetched(ahead), reference, strict=True):
            assert torch.equal(chunk.future.h, expected)
    assert torch.equal(stream(count=9)[2].future.h, reference[2])
    assert not torch.equal(stream(seed=2)[2].future.h, reference[2])
    assert not torch.equal(reference[0], reference[1])


def test_a_torch_loader_with_worker_processes_gives_the_same():
    loader = DataLoader(stream(count=2), batch_size=None, num_workers=1, multiprocessing_context="spawn")
    for chunk, expected in zip(loader, stream(count=2).prefetched(0), strict=True):
        assert torch.equal(chunk.history.h, expected.history.h)


def test_beyond_the_end_is_an_error():
    with pytest.raises(IndexError, match="chunk 4"):
        stream()[4]


def test_drawing_ahead_leaves_the_consumers_random_numbers_alone():
    def numbers(ahead):
        torch.manual_seed(5)
        return [torch.rand(2) for _ in stream(count=5).prefetched(ahead)]

    assert torch.equal(torch.stack(numbers(0)), torch.stack(numbers(2)))


def test_an_error_comes_at_its_turn_and_a_consumer_may_stop_early():
    def make(index):
        if index == 2:
            raise ValueError("two")
        return index

    items = prefetched(make, range(5))
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(ValueError, match="two"):
        next(items)
    before = threading.active_count()
    items = prefetched(make, iter([0, 1] * 1000))
    next(items)
    items.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_inference_mode_reaches_the_worker():
    with torch.inference_mode():
        assert next(prefetched(lambda index: torch.is_inference_mode_enabled(), range(1)))
    assert not next(prefetched(lambda index: torch.is_inference_mode_enabled(), range(1)))


ENDS_EARLY = """
import time, torch
from linksim.channel.streaming import prefetched
matrix = torch.rand(300, 300)
def make(index):
    began = time.monotonic()
    while time.monotonic() - began < 0.5:
        matrix @ matrix
    return index
items = prefetched(make, range(1000))
print(next(items), flush=True)
"""


def test_the_thread_is_gone_once_the_consumer_stops():
    items = prefetched(lambda index: time.sleep(0.1), range(1000))
    next(items)
    items.close()
    assert "prefetch" not in [thread.name for thread in threading.enumerate()]


def test_a_process_that_ends_meanwhile_ends_well():
    # a daemon thread within torch would end it with SIGABRT, now and then
    process = subprocess.run([sys.executable, "-c", ENDS_EARLY], capture_output=True, text=True, check=False,
                             env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=120)
    assert (process.returncode, process.stdout, process.stderr) == (0, "0\n", "")
