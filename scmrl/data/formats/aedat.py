"""AEDAT recordings of a DVS128 camera, versions 2.0 (jAER, as MNIST-DVS) and 3.1 (cAER).

    2.0   comment lines, then events of 8 bytes, big-endian: address, time in us (32 bits)
          address: sync 15 (no pixel: left out), row 14..8, column 7..1, 0 where it became brighter
          x = 127 - column, y = 127 - row, p = 1 - bit 0
    3.1   comment lines up to "#!END-HEADER", then packets, little-endian: a header of 28 bytes
          (int16 type, source, int32 size, time offset, overflow, capacity, number, valid), events
          polarity events (type 1): address, time in us;   x 31..17, y 16..2, polarity 1, valid 0

Either way x counts from the left, y from the top, and p = 1 is an event that became brighter. Time:
see `events`.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np

from ...system.errors import DataError
from ...system.reading import read_bytes
from .events import BYTES, in_time, outside

SENSOR_SIDE = 128  # pixels
EVENT_BYTES = 8
POLARITY_PACKET = 1
SYNC = 1 << 15  # of an address: an event without a pixel
TIME_BITS = {"2.0": 32, "3.1": 60}  # 3.1 counts its own wraps
WRAPS = 1 << 24  # of a clock of 31 bits
CAMERA = re.compile(rb"^# ?(?:AEChip:|Source \d+:)[ \t]*([^\r\n]*)", re.MULTILINE)
DVS128 = ("DVS128", "Tmpdiff128")  # what jAER and cAER call it
FIELDS = [("t", np.int64), ("x", np.int64), ("y", np.int64), ("p", np.uint8)]
LIKELY = "fetch the file again"


def read_aedat(path: Path) -> np.ndarray:
    """Events as a record array (t in us from the first event, x, y, p) in the order of time.

    Raises DataError for a file that is missing, cut off, empty, of another version or camera, with
    an event off the sensor, or a jump in time.
    """
    data = read_bytes(path, BYTES, error=DataError)
    version, head, body = _header(data, path)
    for camera in CAMERA.findall(head):
        name = camera.decode("ascii", "replace").strip().rsplit(".", 1)[-1]
        if not name.startswith(DVS128):
            raise DataError("recorded by another camera", where=path, limit="DVS128", value=name)
    events = _polarity_events(body, path) if version == "3.1" else _jaer_events(body, path)
    if not len(events):
        raise DataError("the recording has no events", where=path, fix=LIKELY)
    side = max(int(events["x"].max()), int(events["y"].max()))
    if side >= SENSOR_SIDE:
        limit, fix = f"{SENSOR_SIDE}x{SENSOR_SIDE} pixels", "is this a DVS128 recording?"
        raise outside(path, limit, f"coordinate {side}", fix)
    return in_time(events, TIME_BITS[version], path)


def _header(data: bytes, path: Path) -> tuple[str, bytes, bytes]:
    """(version, the comment lines, what follows them)."""
    if not data.startswith(b"#!AER-DAT"):
        what = "not an AEDAT file: it does not begin with #!AER-DAT"
        raise DataError(what, where=path, value=repr(data[:12]))
    version = data[9:12].decode("ascii", "replace")
    if version not in ("2.0", "3.1"):
        raise DataError("unknown AEDAT version", where=path, limit="2.0 or 3.1", value=version)
    if version == "3.1":
        head, end, body = data.partition(b"#!END-HEADER\r\n")
        if not end:
            raise DataError("the header is cut off", where=path, fix=LIKELY)
        return version, head, body
    start = 0
    while data[start : start + 1] == b"#":
        line = data.find(b"\n", start)
        if line < 0:
            raise DataError("the header is cut off", where=path, fix=LIKELY)
        start = line + 1
    return version, data[:start], data[start:]


def _jaer_events(body: bytes, path: Path) -> np.ndarray:
    if len(body) % EVENT_BYTES:
        what = "the recording is truncated: not a whole number of events of 8 bytes"
        raise DataError(what, where=path, value=f"{len(body)} bytes", fix=LIKELY)
    address, time = np.frombuffer(body, ">u4").reshape(-1, 2).T
    beyond = address[address >> 16 > 0]
    if len(beyond):
        raise DataError(
            "address bits of another camera, such as a DAVIS",
            where=path,
            limit="16 bits of a DVS128",
            value=f"{beyond[0]:#010x}",
        )
    pixel = address & SYNC == 0
    address, time = address[pixel].astype(np.int64), time[pixel].astype(np.int64)
    last = SENSOR_SIDE - 1
    x, y = last - (address >> 1 & last), last - (address >> 8 & last)
    return _record(time, x, y, 1 - (address & 1))


def _polarity_events(body: bytes, path: Path) -> np.ndarray:
    found, place = [np.empty(0, FIELDS)], 0
    while place < len(body):
        if len(body) - place < 28:
            what = "the recording is truncated in a packet's header"
            raise DataError(what, where=path, fix=LIKELY)
        kind, _, size, _, overflow, capacity, number, _ = struct.unpack_from("<hh6i", body, place)
        place += 28
        if size <= 0 or not 0 <= number <= capacity or not 0 <= overflow < WRAPS:
            value = f"{number} events of {size} bytes"
            raise DataError("a packet's header makes no sense", where=path, value=value)
        if len(body) - place < size * number:
            what = "the recording is truncated in a packet"
            limit, value = f"{size * number} bytes", f"{len(body) - place} bytes"
            raise DataError(what, where=path, limit=limit, value=value, fix=LIKELY)
        if kind == POLARITY_PACKET and size == EVENT_BYTES:
            words = np.frombuffer(body, "<u4", 2 * number, place).reshape(-1, 2)
            address, time = words.astype(np.int64).T
            x, y, p = address >> 17, address >> 2 & 0x7FFF, address >> 1 & 1
            events = _record(time + (overflow << 31), x, y, p)
            found.append(events[(address & 1).astype(bool)])
        place += size * number
    return np.concatenate(found)


def _record(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> np.ndarray:
    events = np.empty(len(t), FIELDS)
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return events
