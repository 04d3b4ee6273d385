"""Event-camera recordings: the rule of time, the N-MNIST file format, and frames of T steps.

    d[i] = ((t[i] - t[i-1] + 2^(n-1)) mod 2^n) - 2^(n-1)    the nearest way on a counter of n bits
    t'[i] = d[1] + .. + d[i] - min                          us from the recording's first event

Events are put in the order of time where they are out of it by at most 10 ms; where the clock goes
back further (it was reset, or two recordings were joined) the recording is refused, naming the
event. Pauses of a second or more are told.

An event of N-MNIST is five bytes, big-endian: x, y, then polarity in the first bit of 24 and the
time in microseconds in the other 23 (Orchard et al. 2015, doi 10.3389/fnins.2015.00437).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...core.report.progress import say
from ...system.errors import DataError
from ...system.reading import check_bound, read_bytes

EVENT_BYTES = 5
CAMERA_SIDE = 34
TIME_BITS = 23
FIELDS = [("t", np.int64), ("x", np.uint8), ("y", np.uint8), ("p", np.uint8)]
BACK_US = 10_000  # events are out of order by at most so much
PAUSE_US = 1_000_000  # from here on a pause is told
SECONDS = 3600  # of a recording at most
BYTES = 64 << 20  # of a recording


def read_bs2(path: Path) -> np.ndarray:
    """Events of a file as a record array (t in us from the first event, x, y, p), in that order.

    Raises DataError for a file that is missing, empty, cut off, has an event outside the camera's
    34x34 pixels, or a jump in time.
    """
    data = read_bytes(path, BYTES, error=DataError)
    if not data or len(data) % EVENT_BYTES:
        what, found = "not a whole number of events of five bytes", f"{len(data)} bytes"
        raise DataError(what, where=path, value=found, fix="fetch the file again")
    raw = np.frombuffer(data, np.uint8).reshape(-1, EVENT_BYTES)
    beyond = raw[(raw[:, :2] >= CAMERA_SIDE).any(1)]
    if len(beyond):
        limit, fix = f"{CAMERA_SIDE}x{CAMERA_SIDE} pixels", "is this an N-MNIST recording?"
        raise outside(path, limit, f"x {beyond[0][0]}, y {beyond[0][1]}", fix)
    events = np.empty(len(raw), FIELDS)
    events["x"], events["y"], events["p"] = raw[:, 0], raw[:, 1], raw[:, 2] >> 7
    low = raw.astype(np.int32)
    events["t"] = (low[:, 2] & 0x7F) << 16 | low[:, 3] << 8 | low[:, 4]
    return in_time(events, TIME_BITS, path)


def outside(path: Path, limit: str, value: str, fix: str) -> DataError:
    """What to raise for a pixel that the camera does not have."""
    what = "an event lies outside the camera"
    return DataError(what, where=path, limit=limit, value=value, fix=fix)


def in_time(events: np.ndarray, bits: int, where: object) -> np.ndarray:
    """Events with `t` us on a counter of `bits` bits, in the order of time, `t` from the first.

    Raises DataError, naming the event, where time goes back by more than a disorder, and for more
    than an hour; tells of pauses.
    """
    half = 1 << bits - 1
    step = (np.diff(events["t"]) + half) % (2 * half) - half
    time = np.concatenate([[0], np.cumsum(step)])
    back = np.maximum.accumulate(time) - time
    if back.max() > BACK_US:
        at = int(np.argmax(back > BACK_US))
        raise DataError(
            "time jumps back",
            where=where,
            limit=f"{BACK_US / 1000:g} ms",
            value=f"{back[at] / 1000:.6g} ms at event {at + 1} of {len(time)}",
            fix="was the camera's clock reset? cut the recording there",
        )
    order = np.argsort(time, kind="stable")
    out = events[order]
    out["t"] = time[order] - time[order[0]]
    what, seconds = "the recording is too long", -(-int(out["t"][-1]) // 1_000_000)
    check_bound(what, seconds, SECONDS, where=where, error=DataError, unit="s")
    pause = np.diff(out["t"])
    if pause.max(initial=0) >= PAUSE_US:
        at = int(pause.argmax())
        lasts, since = pause[at] / 1e6, out["t"][at] / 1e6
        say(f"{where}: no event for {lasts:.6g} s, {since:.6g} s after the first")
    return out


def frames(
    events: np.ndarray,
    steps: int,
    *,
    duration_us: int,
    side: int = 32,
    bits: int = 1,
    camera_side: int = CAMERA_SIDE,
) -> np.ndarray:
    """Events of each polarity at each of the middle `side` pixels in each step, up to 2^bits - 1:
    uint8 [steps, 2, side, side]. Events later than `duration_us` belong to the last step.
    """
    out = np.zeros((steps, 2, side, side), np.int64)
    border = (camera_side - side) // 2
    x, y = events["x"].astype(np.int64) - border, events["y"].astype(np.int64) - border
    step = np.minimum(events["t"] * steps // duration_us, steps - 1)
    seen = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    np.add.at(out, (step[seen], events["p"][seen], y[seen], x[seen]), 1)
    return np.minimum(out, 2**bits - 1).astype(np.uint8)
