"""Event-camera recordings: the N-MNIST file format, and frames of T steps.

An event is five bytes, big-endian: x, y, then polarity in the first bit of 24 and the time in microseconds in the other
23 (Orchard et al. 2015, doi 10.3389/fnins.2015.00437).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import DataError

EVENT_BYTES = 5
CAMERA_SIDE = 34
FIELDS = [("t", np.int64), ("x", np.uint8), ("y", np.uint8), ("p", np.uint8)]


def read_bs2(path: Path) -> np.ndarray:
    """Events of a file as a record array (t in us, x, y, p), in the file's order.

    Raises DataError for a file that is missing, empty, cut off, or has an event outside the camera's 34x34 pixels.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError("cannot read the recording", where=path, value=error.strerror) from None
    if not data or len(data) % EVENT_BYTES:
        raise DataError("not a whole number of events of five bytes", where=path, value=f"{len(data)} bytes",
                        fix="fetch the file again")
    raw = np.frombuffer(data, np.uint8).reshape(-1, EVENT_BYTES).astype(np.int64)
    events = np.empty(len(raw), FIELDS)
    events["x"], events["y"], events["p"] = raw[:, 0], raw[:, 1], raw[:, 2] >> 7
    events["t"] = (raw[:, 2] & 0x7F) << 16 | raw[:, 3] << 8 | raw[:, 4]
    outside = (raw[:, :2] >= CAMERA_SIDE).any(1)
    if outside.any():
        worst = raw[outside][0]
        raise DataError("an event lies outside the camera", where=path, limit=f"{CAMERA_SIDE}x{CAMERA_SIDE} pixels",
                        value=f"x {worst[0]}, y {worst[1]}", fix="is this an N-MNIST recording?")
    return events


def frames(events: np.ndarray, steps: int, *, duration_us: int, side: int = 32, bits: int = 1) -> np.ndarray:
    """How many events of each polarity each pixel saw in each step, up to 2^bits - 1: uint8 [steps, 2, side, side].

    One bit says whether there was an event. The middle `side` pixels of the camera; events later than `duration_us`
    belong to the last step.
    """
    out = np.zeros((steps, 2, side, side), np.int64)
    border = (CAMERA_SIDE - side) // 2
    x, y = events["x"].astype(np.int64) - border, events["y"].astype(np.int64) - border
    step = np.minimum(events["t"] * steps // duration_us, steps - 1)
    seen = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    np.add.at(out, (step[seen], events["p"][seen], y[seen], x[seen]), 1)
    return np.minimum(out, 2**bits - 1).astype(np.uint8)
