"""AEDAT recordings of a DVS128 camera, versions 2.0 (jAER; MNIST-DVS is published so) and 3.1 (cAER).

    2.0   comment lines, then events of 8 bytes, big-endian: address, time in us  y 14..8, x 7..1, polarity 0
    3.1   comment lines up to "#!END-HEADER", then packets, little-endian: a header of 28 bytes (int16 type and source,
          int32 size, time offset, overflow, capacity, number, valid) and its events
          polarity events (type 1): address, time in us                           x 31..17, y 16..2, polarity 1, valid 0
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from ..errors import DataError

SENSOR_SIDE = 128       # pixels
EVENT_BYTES = 8
POLARITY_PACKET = 1
FIELDS = [("t", np.int64), ("x", np.int64), ("y", np.int64), ("p", np.uint8)]
LIKELY = "fetch the file again"


def read_aedat(path: Path) -> np.ndarray:
    """Events as a record array (t in us from the first event, x, y, p) in the file's order.

    Raises DataError for a file that is missing, cut off, empty, of another version, or with an event off the sensor.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError("cannot read the recording", where=path, value=error.strerror) from None
    version, body = _header(data, path)
    events = _polarity_events(body, path) if version == "3.1" else _jaer_events(body, path)
    if not len(events):
        raise DataError("the recording has no events", where=path, fix=LIKELY)
    side = max(int(events["x"].max()), int(events["y"].max()))
    if side >= SENSOR_SIDE:
        raise DataError("an event lies outside the camera", where=path, limit=f"{SENSOR_SIDE}x{SENSOR_SIDE} pixels",
                        value=f"coordinate {side}", fix="is this a DVS128 recording?")
    events["t"] -= events["t"].min()
    return events


def _header(data: bytes, path: Path) -> tuple[str, bytes]:
    """(version, what follows the comment lines)."""
    if not data.startswith(b"#!AER-DAT"):
        raise DataError("not an AEDAT file: it does not begin with #!AER-DAT", where=path, value=repr(data[:12]))
    version = data[9:12].decode("ascii", "replace")
    if version not in ("2.0", "3.1"):
        raise DataError("unknown AEDAT version", where=path, limit="2.0 or 3.1", value=version)
    if version == "3.1":
        _, end, body = data.partition(b"#!END-HEADER\r\n")
        if not end:
            raise DataError("the header is cut off", where=path, fix=LIKELY)
        return version, body
    start = 0
    while data[start:start + 1] == b"#":
        line = data.find(b"\n", start)
        if line < 0:
            raise DataError("the header is cut off", where=path, fix=LIKELY)
        start = line + 1
    return version, data[start:]


def _jaer_events(body: bytes, path: Path) -> np.ndarray:
    if len(body) % EVENT_BYTES:
        raise DataError("the recording is truncated: not a whole number of events of 8 bytes", where=path,
                        value=f"{len(body)} bytes", fix=LIKELY)
    address, time = np.frombuffer(body, ">u4").reshape(-1, 2).astype(np.int64).T
    return _record(time, address >> 1 & 0x7F, address >> 8 & 0x7F, address & 1)


def _polarity_events(body: bytes, path: Path) -> np.ndarray:
    found, place = [np.empty(0, FIELDS)], 0
    while place < len(body):
        if len(body) - place < 28:
            raise DataError("the recording is truncated in a packet's header", where=path, fix=LIKELY)
        kind, _, size, _, overflow, capacity, number, _ = struct.unpack_from("<hh6i", body, place)
        place += 28
        if size <= 0 or not 0 <= number <= capacity:
            raise DataError("a packet's header makes no sense", where=path, value=f"{number} events of {size} bytes")
        if len(body) - place < size * number:
            raise DataError("the recording is truncated in a packet", where=path, limit=f"{size * number} bytes",
                            value=f"{len(body) - place} bytes", fix=LIKELY)
        if kind == POLARITY_PACKET and size == EVENT_BYTES:
            address, time = np.frombuffer(body, "<u4", 2 * number, place).reshape(-1, 2).astype(np.int64).T
            events = _record(time + (overflow << 31), address >> 17, address >> 2 & 0x7FFF, address >> 1 & 1)
            found.append(events[(address & 1).astype(bool)])
        place += size * number
    return np.concatenate(found)


def _record(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    events = np.empty(len(t), FIELDS)
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return events
