"""What a stream is fed with: recordings, images, events, arrays; a microphone and a camera.

Sound is cut into windows of one second that begin `hop` seconds apart; each is one sample of the
model, given over its T steps as in training: as one frame at all of them, or as spikes. Events come
in windows of 0.3 s, binned into T steps. Arrays enter as they are, a step at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, repeat
from pathlib import Path

import numpy as np

from ...core.bundle import Bundle
from ...core.graph import Population
from ...core.samples import read_samples
from ...data.features import cochlea
from ...data.features.frontend import FrontEnd
from ...data.features.pairs import SAMPLE_RATE, WINDOW, unit_window
from ...data.formats.aedat import read_aedat
from ...data.formats.events import frames, read_bs2
from ...data.formats.nmnist import DURATION_US
from ...data.formats.picture import grey, square
from ...data.formats.sound import read_sound, resample
from ...data.sets import mnistdvs_ntidigits as mnistdvs
from ...system.dependencies import require
from ...system.errors import DataError, UsageError
from ..samples import as_integers
from .stream import Values

POLARITIES = 2
SIDE = 32  # pixels of a frame of N-MNIST's events
HOPS_S = (0.001, 3600.0)  # between windows
CAMERAS = 64
SENSES = {"sound": ("wav", "microphone"), "images": ("image", "camera"), "events": ("events",)}


@dataclass(frozen=True)
class Asked:
    """What to feed a stream with, as on the command line; `hop` in seconds, `camera` a number."""

    wav: Path | None = None
    image: Path | None = None
    events: Path | None = None
    arrays: Path | None = None
    microphone: bool = False
    camera: int | None = None
    hop: float = 1.0

    @property
    def senses(self) -> list[str]:
        """The ways that were asked for."""
        ways = [way for of in SENSES.values() for way in of]
        return [way for way in ways if getattr(self, way) not in (None, False)]

    @property
    def what(self) -> list[str]:
        """They in words: files by their names."""
        given = {way: getattr(self, way) for way in self.senses}
        return [value.name if isinstance(value, Path) else way for way, value in given.items()]


@dataclass
class Feed:
    """Input frames {name: integer [*shape]} step by step; `step_s`: recorded seconds in one, or
    None.

    `waited_s` is what was spent waiting for a microphone or camera so far.
    """

    frames: Iterator[Values]
    what: str
    step_s: float | None = None
    waits: list[float] = field(default_factory=list)

    @property
    def waited_s(self) -> float:
        return sum(self.waits)


def open_feed(bundle: Bundle, asked: Asked) -> Feed:
    """Raises `UsageError` for what does not go together, `DataError` for bad files."""
    if asked.arrays and asked.senses:
        found, fix = (
            ", ".join(("input", *asked.senses)),
            "give --input, or sound, images and events",
        )
        raise UsageError("a stream has one source", where="--stream", value=found, fix=fix)
    return from_arrays(bundle, asked.arrays) if asked.arrays else _from_senses(bundle, asked)


def from_arrays(bundle: Bundle, path: Path) -> Feed:
    """Arrays named as the inputs (or x): [T, *shape], or samples in turn, [S, T, *shape]; values
    are encoded where the model has a scale for them.
    """
    inputs = bundle.graph.of_kind("input")
    names = [p.name for p in inputs]
    arrays, how = as_integers(bundle, read_samples(path, names)[0])
    for name in arrays:
        if name not in names:
            fix = f"the network takes: {', '.join(names)}"
            raise DataError("no such input", where=f"{path}: {name}", fix=fix)
    series = {}
    for p in inputs:
        where, form = f"{path}: {p.name}", f"[T, {', '.join(map(str, p.shape))}]"
        if p.name not in arrays:
            raise DataError("input is missing", where=where, fix=f"give an array {form}")
        x = arrays[p.name]
        shape = list(x.shape)
        if x.shape[-len(p.shape) :] != tuple(p.shape) or x.ndim - len(p.shape) not in (1, 2):
            raise DataError("input has the wrong shape", where=where, limit=form, value=shape)
        if not x.size:
            raise DataError("input is empty", where=where, value=shape)
        series[p.name] = x.reshape(-1, *p.shape)
    lengths = {name: len(x) for name, x in series.items()}
    if len(set(lengths.values())) != 1:
        raise DataError("inputs differ in steps", where=path, value=lengths)
    steps = range(next(iter(lengths.values())))
    given = ({name: x[t] for name, x in series.items()} for t in steps)
    return Feed(given, f"arrays of {Path(path).name}{how}")


def _from_senses(bundle: Bundle, asked: Asked) -> Feed:
    """Sound, images and events for the inputs that take them."""
    if not HOPS_S[0] <= asked.hop <= HOPS_S[1]:
        what, limit = "windows begin some time apart", f"{HOPS_S[0]:g} to {HOPS_S[1]:g} s"
        raise UsageError(what, where="--hop", value=asked.hop, limit=limit)
    if asked.camera is not None and not 0 <= asked.camera < CAMERAS:
        limit = f"0 to {CAMERAS - 1}"
        raise UsageError("no such camera", where="--camera", limit=limit, value=asked.camera)
    wanted = _wanted(bundle.graph.of_kind("input"))
    for sense, ways in SENSES.items():
        used = [way for way in ways if way in asked.senses]
        options = " or ".join(f"--{way}" for way in ways)
        if len(used) > 1:
            what, fix = f"two sources of {sense}", f"give {options}"
            raise UsageError(what, value=", ".join(used), fix=fix)
        if bool(used) != (sense in wanted):
            takes, give = ("takes", "give") if sense in wanted else ("does not take", "leave out")
            what, fix = f"the model {takes} {sense}", f"{give} {options}"
            raise UsageError(what, where="--stream", fix=fix)
    steps = bundle.graph.steps
    feed = Feed(iter(()), " and ".join(asked.what), _step_s(asked, wanted, steps))
    still = "images" in wanted and len(wanted) == 1 and asked.camera is None
    # sound last: its libraries load long
    openers = {"images": _images, "events": _events, "sound": _sounds}
    senses = [sense for sense in openers if sense in wanted]
    opened = {s: openers[s](asked, wanted[s], bundle, feed.waits) for s in senses}
    parts = {p.name: opened[sense] for sense, p in wanted.items()}
    feed.frames = islice(_shown(parts, steps), steps if still else None)  # one image is shown once
    return feed


def _wanted(inputs: tuple[Population, ...]) -> dict[str, Population]:
    """The inputs by what they take. Raises `UsageError` where a stream has nothing for one."""
    wanted = {sense: p for p in inputs if (sense := sense_of(p))}
    if len(wanted) < len(inputs):
        what = "the model takes other than one sound, one image and one recording of events"
        found, fix = ", ".join(p.name for p in inputs), "give --input NPZ"
        raise UsageError(what, where="--stream", value=found, fix=fix)
    return wanted


def _step_s(asked: Asked, wanted: dict[str, Population], steps: int) -> float | None:
    """Recorded seconds in a step; None where each recording lasts its own time (MNIST-DVS)."""
    if {"sound", "images"} & wanted.keys():
        return asked.hop / steps
    return None if wanted["events"].shape[-1] == mnistdvs.SIDE else DURATION_US * 1e-6 / steps


def sense_of(p: Population) -> str | None:
    """What an input takes: sound, images, events; None where it takes neither.

    Sound comes as a graded frame of the front-end or, where the input is of one bit, as spikes of
    the cochlea; what has two channels comes from an event camera; an image is one graded frame.
    """
    if p.name == "audio":
        return "sound"
    if len(p.shape) == 3 and p.shape[0] == POLARITIES:
        return "events"
    return "images" if p.name == "visual" else None


def _sounds(
    asked: Asked, p: Population, bundle: Bundle, waits: list[float]
) -> Iterator[np.ndarray]:
    """Each window as [C, H, W] for all steps, or as spikes [T, C, H, W]."""
    # refused before libraries load, and these load before time counts
    recorded = wav_windows(asked.wav, asked.hop) if asked.wav else None
    encode: Callable[[np.ndarray], np.ndarray] = partial(cochlea.spikes, steps=bundle.graph.steps)
    if p.bits > 1:
        encode = FrontEnd.from_dict(bundle.frontend).encode_audio
    if encode(np.zeros((1, WINDOW), np.float32)).shape[-3:] != p.shape:
        raise _other_frames(p)
    sounds = recorded or microphone(asked.hop, waits)
    return (encode(sound[None])[0] for sound in sounds)


def _images(
    asked: Asked, p: Population, bundle: Bundle, waits: list[float]
) -> Iterator[np.ndarray]:
    """Images [C, H, W] of a camera; one from a file stays."""
    front_end = FrontEnd.from_dict(bundle.frontend)
    side = front_end.image_side
    if p.shape != (1, front_end.side, front_end.side):
        raise _other_frames(p)
    if asked.image is not None:
        return repeat(front_end.encode_visual(grey(asked.image, side)[None])[0])
    images = camera(asked.camera or 0, side, waits)
    return (front_end.encode_visual(image[None])[0] for image in images)


def _events(
    asked: Asked, p: Population, bundle: Bundle, waits: list[float]
) -> Iterator[np.ndarray]:
    """Frames [T, 2, side, side] of each window of a recording; beside sound, the last one stays."""
    steps, path = bundle.graph.steps, asked.events
    if path and p.shape[1:] == (mnistdvs.SIDE, mnistdvs.SIDE) and p.bits == 1:
        windows = iter([mnistdvs.camera_frames(read_aedat(path), steps)])
    elif path and p.shape[1:] == (SIDE, SIDE):
        windows = event_windows(path, steps, bits=p.bits)
    else:
        raise _other_frames(p)
    return windows if not asked.wav and not asked.microphone else _kept(windows)


def _kept(windows: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """The windows, and the last of them without end."""
    for window in windows:
        yield window
    while True:
        yield window


def _other_frames(p: Population) -> UsageError:
    what, found = "the model takes other frames than a stream makes", f"{list(p.shape)} of {p.bits}"
    return UsageError(what, where=p.name, value=f"{found} bits", fix="give --input NPZ")


def event_windows(path: Path, steps: int, *, bits: int = 1) -> Iterator[np.ndarray]:
    """Frames uint8 [steps, 2, 32, 32] of each 0.3 s of an N-MNIST recording, from its first event.

    What is left over at the end, if less than a window, belongs to the last step, as in training.
    """
    events = read_bs2(Path(path))
    windows = max(1, int(events["t"][-1]) // DURATION_US)
    starts = np.searchsorted(events["t"], np.arange(windows) * DURATION_US)

    def window(i: int) -> np.ndarray:
        part = events[starts[i] : starts[i + 1] if i + 1 < windows else None].copy()
        part["t"] -= i * DURATION_US
        return frames(part, steps, duration_us=DURATION_US, side=SIDE, bits=bits)

    return map(window, range(windows))


def _shown(parts: dict[str, Iterator[np.ndarray]], steps: int) -> Iterator[Values]:
    """Each window's T steps: of frames over time one a step, a still frame at all of them."""
    for window in zip(*parts.values()):
        for t in range(steps):
            yield {name: x[t] if x.ndim == 4 else x for name, x in zip(parts, window)}


def wav_windows(path: Path, hop: float) -> Iterator[np.ndarray]:
    """Windows float32 [8000] of a recording at unit RMS, a second each: all that fit, or one."""
    samples = resample(*read_sound(path), SAMPLE_RATE)
    stride = max(1, round(hop * SAMPLE_RATE))
    starts = range(0, max(len(samples) - WINDOW, 0) + 1, stride)
    return (level(samples[start : start + WINDOW]) for start in starts)


def level(samples: np.ndarray) -> np.ndarray:
    """A window at unit RMS; silence stays silent."""
    if not np.any(samples):
        return np.zeros(WINDOW, np.float32)
    return unit_window(samples)


def microphone(hop: float, waits: list[float]) -> Iterator[np.ndarray]:
    """The last second of the default microphone, every `hop` seconds. Needs sounddevice."""
    sound = require("sounddevice", "a live microphone")
    stride = max(1, round(hop * SAMPLE_RATE))

    def windows() -> Iterator[np.ndarray]:
        heard = np.zeros(WINDOW, np.float32)
        try:
            with sound.InputStream(samplerate=SAMPLE_RATE, channels=1, dtype="float32") as stream:
                while True:
                    started = time.monotonic()
                    block = stream.read(stride)[0][:, 0]
                    waits.append(time.monotonic() - started)
                    heard = np.concatenate([heard, block])[-WINDOW:]
                    yield level(heard)
        except sound.PortAudioError as error:
            raise DataError(f"no microphone: {error}", where="--microphone") from None

    return windows()


def camera(number: int, side: int, waits: list[float]) -> Iterator[np.ndarray]:
    """Grey images float32 [side, side] in [0, 1] of a camera, without end. Needs OpenCV."""
    cv2 = require("cv2", "a live camera")
    Image = require("PIL.Image", "a live camera")
    device = cv2.VideoCapture(number)

    def images() -> Iterator[np.ndarray]:
        try:
            while True:
                started = time.monotonic()
                there, picture = device.read()
                waits.append(time.monotonic() - started)
                if not there:
                    raise DataError("the camera gives no picture", where="--camera", value=number)
                yield square(Image.fromarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)), side)
        finally:
            device.release()

    return images()
