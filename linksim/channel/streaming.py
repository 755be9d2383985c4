"""Endless channels for training: drawn on the fly, the same for the same seed and index, ahead of their use."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from typing import TypeVar

import torch
from torch.utils.data import Dataset

from linksim.channel.drops import Drops
from linksim.channel.source import chunk_of_drops
from linksim.core.seeding import stream_seed
from linksim.scenario.channel import Channel
from linksim.scenario.identity import channel_fields

Item = TypeVar("Item")
_END = object()


class ChannelStream(Dataset):
    """Chunks of drops as a map-style `torch.utils.data.Dataset`: chunk ``i`` depends on (channel, seed, i) alone.

    Iterate over `prefetched` for chunks one after the other; or give it to a `torch.utils.data.DataLoader` with
    ``batch_size=None``, a sampler and worker processes, where cores are idle. Streams never meet those of a run's test
    drops or of `linksim.training`.

    :param channel: what to draw.
    :param chunk_size: drops per chunk; another size gives other drops.
    :param seed: of the stream.
    :param num_chunks: length; other chunks are not drawn differently for it.
    :param device: torch device.
    """

    def __init__(self, channel: Channel, chunk_size: int, seed: int, num_chunks: int, device: str = "cpu") -> None:
        self.channel = channel
        self.chunk_size = chunk_size
        self.num_chunks = num_chunks
        self.device = device
        self._identity = (seed, "stream", channel_fields(channel), chunk_size)

    def __len__(self) -> int:
        return self.num_chunks

    def __getitem__(self, index: int) -> Drops:
        """Chunk number ``index``.

        :raises IndexError: beyond the stream's length.
        """
        if not 0 <= index < self.num_chunks:
            raise IndexError(f"chunk {index} of a stream of {self.num_chunks}")
        seed = stream_seed(*self._identity, index)
        return chunk_of_drops(self.channel, self.chunk_size, seed, index, self.device, "training")

    def prefetched(self, ahead: int = 1) -> Iterator[Drops]:
        """All chunks in order, drawn while the last one is used."""
        return prefetched(self.__getitem__, range(self.num_chunks), self.device, ahead)


def prefetched(make: Callable[[int], Item], indices: Iterable[int], device: str = "cpu", ahead: int = 1
               ) -> Iterator[Item]:
    """``make(index)`` for every index in order, made by a thread while the consumer works on the one before.

    On CUDA the thread works on a stream of its own, so that drawing and training share the device. The order and the
    values do not depend on timing. An exception of ``make`` is raised at the item's turn; a consumer that stops early
    stops the thread, once it has made what it is at; so does the end of the process.

    :param ahead: items held ready; 0 makes each when asked, without a thread.
    """
    if ahead < 1:
        yield from map(make, indices)
        return
    ready: queue.Queue = queue.Queue(ahead)
    stopped = threading.Event()
    cuda = torch.device(device).type == "cuda"

    main = threading.main_thread()

    def is_over() -> bool:
        return stopped.is_set() or not main.is_alive()

    def put(item: object) -> None:
        while not is_over():
            try:
                ready.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def work() -> None:
        try:
            with torch.cuda.stream(torch.cuda.Stream(device) if cuda else None):
                for index in indices:
                    item = make(index)
                    put((item, torch.cuda.current_stream(device).record_event() if cuda else None, None))
                    if is_over():
                        return
        except BaseException as error:
            put((None, None, error))
        put((_END, None, None))

    # inference mode and gradients are switched per thread: the worker takes the consumer's
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def in_mode() -> None:
        with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
            work()

    # no daemon: one that is within torch when the interpreter ends takes the process down with SIGABRT
    thread = threading.Thread(target=in_mode, name="prefetch")
    thread.start()
    try:
        while (entry := ready.get())[0] is not _END:
            item, event, error = entry
            if error is not None:
                raise error
            if event is not None:
                _hand_over(item, torch.cuda.current_stream(device), event)
            yield item
    finally:
        stopped.set()
        if threading.current_thread() is not thread:  # the last to know of a generator that was left alone
            thread.join()


def _hand_over(item: object, stream: torch.cuda.Stream, event: torch.cuda.Event) -> None:
    """Let ``stream`` wait for the item, and keep its memory from the stream it was made on until ``stream`` is done."""
    stream.wait_event(event)
    for tensor in _tensors(item):
        if tensor.is_cuda:
            tensor.record_stream(stream)


def _tensors(item: object) -> Iterator[torch.Tensor]:
    """All tensors inside containers and dataclasses."""
    if isinstance(item, torch.Tensor):
        yield item
    elif isinstance(item, dict):
        for value in item.values():
            yield from _tensors(value)
    elif isinstance(item, list | tuple):
        for value in item:
            yield from _tensors(value)
    elif is_dataclass(item):
        yield from _tensors(vars(item))
