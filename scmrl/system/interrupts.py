"""Ctrl-C and SIGTERM end a command at any moment: unwound once, without Python's words; 130 or 143.

The first signal raises `KeyboardInterrupt` or `Terminated`. Three things would spoil that, and are
seen to: Python swallows what is raised in a destructor or a callback (it is raised again); a second
signal would cut the clean-up short (it is taken as the first while that goes on); a clean-up may
hang (`GRACE_S`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import CodeType, FrameType

INTERRUPTED, TERMINATED = 130, 143
GRACE_S = 8.0  # for a clean-up, then the process ends as it is
AGAIN_S = 0.1  # after which a signal that was swallowed is raised again
SIGNALS = (signal.SIGINT, signal.SIGTERM)
ALARM = getattr(signal, "SIGALRM", None)


class Terminated(SystemExit):
    """SIGTERM came. Leaves with its exit code where nobody catches it."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class _Asked:
    """The signal that is to end the command, and when it was raised last."""

    number: int | None = None
    since = 0.0
    swallowed = False


def _ending() -> BaseException | None:
    """The `KeyboardInterrupt` or `Terminated` that is being cleaned up after at this moment."""
    error = sys.exc_info()[1]
    while error is not None and not isinstance(error, (KeyboardInterrupt, Terminated)):
        error = error.__context__
    return error


def _handle(number: int, frame: FrameType | None) -> None:
    """Any of the signals, or the alarm that follows one."""
    if number != ALARM and _Asked.number is None:
        _Asked.number = number
        _raise(frame)
    if _Asked.number is None:
        return
    if _ending() is not None:
        if time.monotonic() > _Asked.since + GRACE_S:
            _leave_at_once()
    elif number != ALARM or _Asked.swallowed or _Asked.number == signal.SIGTERM:
        if number != ALARM:
            _Asked.number = number
        _raise(frame)


def _raise(frame: FrameType | None) -> None:
    if _within(_swallowed.__code__, frame):  # what is raised in there is lost as well
        _Asked.swallowed = True
        _again()
        return
    _Asked.swallowed, _Asked.since = False, time.monotonic()
    if _Asked.number == signal.SIGINT:  # a stream or a training may catch it, and end well
        raise KeyboardInterrupt
    _again()
    raise Terminated


def _within(function: CodeType, frame: FrameType | None) -> bool:
    """Whether the frame is a call of the function, or was called by one."""
    while frame is not None and frame.f_code is not function:
        frame = frame.f_back
    return frame is not None


def _again() -> None:
    """Come back until the command has ended."""
    if ALARM is not None:
        signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)


def _swallowed(unraisable: sys.UnraisableHookArgs) -> None:
    """Python drops an exception that it cannot raise: no news here, the signal comes again."""
    if not isinstance(unraisable.exc_value, (KeyboardInterrupt, Terminated)):
        sys.__unraisablehook__(unraisable)
        return
    _Asked.swallowed = True
    _again()


def take() -> None:
    """From here on both signals end the command. A SIGINT that a shell ignores stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    if ALARM is not None:
        signal.signal(ALARM, _handle)
    sys.unraisablehook = _swallowed


@contextlib.contextmanager
def taken() -> Iterator[None]:
    """`take` for the block."""
    numbers = [number for number in (*SIGNALS, ALARM) if number is not None]
    before = {number: signal.getsignal(number) for number in numbers}
    hook = sys.unraisablehook
    take()
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            _forget()
            sys.unraisablehook = hook
            for number, handler in before.items():
                if handler is not None:  # else it was not set from Python
                    signal.signal(number, handler)


def _forget() -> None:
    if ALARM is not None:
        signal.setitimer(signal.ITIMER_REAL, 0)
    _Asked.number, _Asked.swallowed = None, False


def last() -> None:
    """The command is done and the interpreter only ends: a signal now ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        return
    _forget()
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _leave_by)
    # Where Ctrl-C came in an exec of text (dataclasses do that), Python would end itself by SIGINT,
    # with no exit code, although the exception was handled: it keeps a flag, which the next exec of
    # text resets.
    exec("")


def _leave_by(number: int, _frame: FrameType | None) -> None:
    _Asked.number = number
    _leave_at_once()


def _leave_at_once() -> None:
    os._exit(INTERRUPTED if _Asked.number == signal.SIGINT else TERMINATED)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Signals in here take effect at the end, so that nothing is begun or ended by half."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    numbers = [number for number in (*SIGNALS, ALARM) if number is not None]
    handlers = {number: signal.getsignal(number) for number in numbers}
    before = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in before:
        signal.signal(number, lambda *call: came.append(call))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number, frame in came[:1]:
            before[signal.Signals(number)](number, frame)
