"""Signals end a command as Ctrl-C does, whatever meets the exception on its way."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from linksim import cli
from linksim.core import interruption
from linksim.core.errors import StoreError
from linksim.core.heartbeat import counted
from linksim.core.interruption import END, SIGNALS, deferred, handlers_kept, interruptible


@pytest.fixture(autouse=True)
def handlers():
    """Those of the tests, afterwards as before; all can be caught."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def blocks(monkeypatch):
    """``linksim blocks``, doing something else; returns the exit code."""
    def blocks(action):
        monkeypatch.setattr(cli, "_blocks", lambda options: action())
        return cli.main(["blocks"])

    return blocks


@pytest.mark.parametrize("number", SIGNALS)
def test_every_signal_is_130_and_one_word(number, blocks, capsys):
    assert blocks(lambda: signal.raise_signal(number)) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert all(signal.getsignal(one) is signal.default_int_handler for one in SIGNALS)


@pytest.mark.parametrize("made", [StoreError("damaged"), RuntimeError("in C++"), SystemExit(1), ImportError("half")])
def test_code_that_turns_the_interruption_into_something_else_changes_nothing(made, blocks, capsys):
    def action():
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            raise made from None

    assert blocks(action) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_what_is_ignored_stays_so():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    with interruptible() as came:
        signal.raise_signal(signal.SIGHUP)
    assert came == []
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_a_library_s_own_handlers_go_with_it():
    with handlers_kept():
        signal.signal(signal.SIGTERM, lambda *_: os._exit(15))
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_other_threads_may_run_commands():
    codes = []
    thread = threading.Thread(target=lambda: codes.append(cli.main(["blocks", "hold"])))
    thread.start()
    thread.join()
    assert codes == [0]


def test_a_closed_terminal_is_written_to_no_more():
    terminal, ours = os.openpty()
    kept = os.dup(1)
    try:
        os.dup2(ours, 1)
        os.close(terminal)
        with pytest.raises(OSError, match=r"Input/output|I/O"):
            os.write(1, b"x")
        interruption._leave_dead_terminal()
        os.write(1, b"x")
    finally:
        os.dup2(kept, 1)


def test_a_signal_that_meets_a_finaliser_counts_after_the_turn_of_a_loop(capfd):
    class Closing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    turns = []

    def turn_by_turn() -> None:
        with interruptible():
            for turn in counted("waiting", range(3)):
                turns.append(turn)
                Closing()

    with pytest.raises(KeyboardInterrupt):
        turn_by_turn()
    assert turns == [0]
    assert "Traceback" not in capfd.readouterr().err


def test_after_the_end_further_signals_do_nothing():
    with interruptible() as came:
        came.append(END)
        signal.raise_signal(signal.SIGINT)
    assert came == [END]


def test_a_signal_waits_for_the_end_of_what_would_print_it():
    done = []

    def deferred_work() -> None:
        with interruptible(), deferred():
            signal.raise_signal(signal.SIGINT)
            done.append("all")

    with pytest.raises(KeyboardInterrupt):
        deferred_work()
    assert done == ["all"]
