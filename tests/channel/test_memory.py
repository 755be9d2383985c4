"""Recycled memory is never shared by two living tensors."""

import gc
import threading

import torch

from linksim.channel.memory import _LARGE_BYTES, _free, large_empty

CPU = torch.device("cpu")
COUNT = _LARGE_BYTES // 8 + 5


def fresh():
    return large_empty((5, COUNT), torch.complex64, CPU)


def test_memory_is_taken_again_once_it_is_gone():
    first = fresh()
    address = first.data_ptr()
    del first
    gc.collect()
    assert fresh().data_ptr() == address


def test_a_view_keeps_the_memory():
    tensor = fresh()
    view = tensor[1:, 3].real
    address = tensor.data_ptr()
    del tensor
    gc.collect()
    other = fresh()
    assert other.data_ptr() != address
    other.fill_(7)
    view.fill_(1)
    assert (view == 1).all()
    assert (other == 7).all()


def test_few_blocks_are_held_and_small_tensors_are_ordinary():
    tensors = [fresh() for _ in range(7)]
    del tensors
    gc.collect()
    assert len(_free) <= _free.maxlen
    assert large_empty((3, 4), torch.complex64, CPU).shape == (3, 4)


def test_threads_never_share_a_block():
    failures = []

    def work(number):
        for _ in range(20):
            tensor = large_empty((COUNT,), torch.complex64, CPU)
            tensor[::4096] = number
            if not (tensor[::4096] == number).all():
                failures.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
