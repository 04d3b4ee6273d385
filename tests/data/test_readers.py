"""One reader of sound, one of pictures, one of camera recordings: what they take, and what they
refuse in one line.

The containers are written here by hand, field by field, around made-up samples.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
import zlib

import numpy as np
import pytest

from scmrl.data.formats import picture
from scmrl.data.formats.picture import grey, read_picture
from scmrl.data.formats.sound import SECONDS, read_sound, resample
from scmrl.system.errors import DataError, MissingDependency, ScmrlError

soundfile = pytest.importorskip("soundfile", reason="sound needs soundfile")
Image = pytest.importorskip("PIL.Image", reason="pictures need pillow")

N = 2000
WAVE = np.round(20_000 * np.sin(np.arange(N) ** 1.5 / 90)).astype("<i2")
SOUND = (WAVE / 32768).astype(np.float32)
PCM_GUID = bytes.fromhex("0100000000001000800000aa00389b71")


def fmt(tag=1, channels=1, rate=8000, bits=16, extra=b"") -> bytes:
    width = channels * bits // 8
    body = struct.pack("<HHIIHH", tag, channels, rate, rate * width, width, bits) + extra
    return b"fmt " + struct.pack("<I", len(body)) + body


def riff(
    payload, *, form=None, size=None, whole=None, before=b"", after=b"", kind=b"RIFF"
) -> bytes:
    """A WAV, the lengths in its header as they are or as given."""
    payload = bytes(payload)
    length = len(payload) if size is None else size
    body = (
        b"WAVE"
        + (fmt() if form is None else form)
        + before
        + b"data"
        + struct.pack("<I", length)
        + payload
        + after
    )
    return kind + struct.pack("<I", len(body) if whole is None else whole) + body


def extensible(bits, valid=None) -> bytes:
    return fmt(0xFFFE, bits=bits, extra=struct.pack("<HHI", 22, valid or bits, 4) + PCM_GUID)


def pcm24(x) -> bytes:
    return b"".join((int(v) << 8).to_bytes(3, "little", signed=True) for v in x)


def ds64(data_bytes) -> bytes:
    return b"ds64" + struct.pack("<IqqqI", 28, -1, data_bytes, -1, 0)


def rf64(data_bytes) -> bytes:
    body = b"WAVE" + ds64(data_bytes) + fmt() + b"data" + b"\xff" * 4 + WAVE.tobytes()
    return b"RF64" + b"\xff" * 4 + body


PLAIN = riff(WAVE)
LIST = b"LIST" + struct.pack("<I", 17) + b"INFOICMT" + struct.pack("<I", 5) + b"abcd\0"

SAME = {
    "plain": PLAIN,
    "extensible 16": riff(WAVE, form=extensible(16)),
    "extensible 24": riff(pcm24(WAVE), form=extensible(24)),
    "24 bits": riff(pcm24(WAVE), form=fmt(bits=24)),
    "32 bits": riff(WAVE.astype("<i4") << 16, form=fmt(bits=32)),
    "float": riff(SOUND, form=fmt(3, bits=32)),
    "double": riff(SOUND.astype("<f8"), form=fmt(3, bits=64)),
    "two channels": riff(np.stack([WAVE, WAVE], 1), form=fmt(channels=2)),
    "ffmpeg to a pipe": riff(WAVE, size=0xFFFFFFFF, whole=0xFFFFFFFF),
    "arecord to a pipe": riff(WAVE, size=0x80000000, whole=0x80000024),
    "arecord, newer": riff(WAVE, size=0x7FFFFF00, whole=0x7FFFFF24),
    "sox to a pipe": riff(WAVE, size=0x7FFFF000, whole=0x7FFFF024),
    "zeros to a pipe": riff(WAVE, size=0, whole=0),
    "never closed": riff(WAVE, size=0, whole=36),
    "never closed, extensible": riff(WAVE, size=0, whole=60, form=extensible(16)),
    "padded odd chunk": riff(WAVE, before=LIST + b"\0"),
    "chunk behind": riff(WAVE, after=LIST + b"\0"),
    "rf64": rf64(2 * N),
    "rf64 to a pipe": rf64(0),
    "rf64 to a pipe, minus one": rf64(-1),
}


@pytest.fixture
def put(tmp_path):
    def write(content: bytes, name: str = "a.wav"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", SAME)
def test_the_same_samples_in_every_container(put, name):
    samples, rate = read_sound(put(SAME[name]))
    assert rate == 8000 and samples.dtype == np.float32 and np.array_equal(samples, SOUND)


@pytest.mark.parametrize(
    "container, coding",
    [
        ("W64", "PCM_16"),
        ("RF64", "PCM_24"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("WAVEX", "FLOAT"),
    ],
)
def test_containers_that_libsndfile_writes(tmp_path, container, coding):
    samples = SOUND if coding == "FLOAT" else WAVE.astype(np.int32) << 16
    soundfile.write(tmp_path / "a", samples, 8000, format=container, subtype=coding)
    samples, rate = read_sound(tmp_path / "a")
    assert rate == 8000 and np.array_equal(samples, SOUND)


def test_eight_bits_are_unsigned_and_logarithmic_codings_are_decoded(put):
    assert np.array_equal(
        read_sound(put(riff(bytes([0, 128, 255]), form=fmt(bits=8))))[0], [-1, 0, 127 / 128]
    )
    law = io.BytesIO()
    soundfile.write(law, SOUND, 8000, format="WAV", subtype="ULAW")
    assert np.abs(read_sound(put(law.getvalue()))[0] - SOUND).max() < 0.02


def test_channels_are_averaged(put):
    left, right = np.array([1000, -3000], "<i2"), np.array([3000, 1000], "<i2")
    samples, _ = read_sound(put(riff(np.stack([left, right], 1), form=fmt(channels=2))))
    assert np.array_equal(samples, np.array([2000, -1000], np.float32) / 32768)


def test_resampling_keeps_a_tone_and_drops_what_the_rate_cannot_hold():
    t = np.arange(16000) / 16000
    low, high = (np.sin(2 * np.pi * hertz * t).astype(np.float32) for hertz in (440, 6000))
    assert resample(low, 16000, 16000) is low
    half = resample(low, 16000, 8000)
    assert len(half) == 8000 and np.abs(half - low[::2])[100:-100].max() < 1e-3
    assert np.abs(resample(high, 16000, 8000)[100:-100]).max() < 1e-3


REFUSED = {
    "empty file": (b"", "the file is empty"),
    "text": (b"neither this nor that", "not a WAV or FLAC file"),
    "ogg": (b"OggS" + bytes(60), "not a WAV or FLAC file"),
    "only RIFF": (b"RIFF", "not a WAV file"),
    "avi": (b"RIFF\0\0\0\0AVI " + bytes(40), "RIFF of another kind.*AVI"),
    "no samples": (riff(b""), "the recording is empty"),
    "no samples, a chunk behind": (riff(b"", after=LIST + b"\0"), "the recording is empty"),
    "odd chunk without padding": (
        riff(WAVE, before=LIST),
        "no chunk 'data'; the chunk 'LIST' has an odd length",
    ),
    "no data chunk": (PLAIN[:36], "no chunk 'data'"),
    "no format": (riff(WAVE, form=b""), "not a recording that can be read"),
    "cut": (PLAIN[:-100], r"truncated .limit 4000 bytes, got 3900 bytes"),
    "cut in the header": (PLAIN[:20], "not a WAV file"),
    "says more": (riff(WAVE, size=4002), "truncated"),
    "says much more": (riff(WAVE, size=0x7FFEFFFF), "truncated"),
    "rf64 cut": (rf64(2 * N)[:-10], "truncated"),
    "rf64 says more": (rf64(1 << 61), "truncated"),
    "slow": (
        riff(WAVE, form=fmt(rate=999)),
        "sample rate out of range.*1000 to 384000 Hz, got 999 Hz",
    ),
    "fast": (riff(WAVE, form=fmt(rate=384_001)), "sample rate out of range"),
    "no rate": (riff(WAVE, form=fmt(rate=0)), "a.wav"),
    "not a number": (
        riff(np.where(np.arange(N) == 700, np.nan, SOUND).astype("<f4"), form=fmt(3, bits=32)),
        "a sample of the recording is not finite",
    ),
    "infinite": (
        riff(np.where(np.arange(N) == 700, 1e300, SOUND.astype(float)), form=fmt(3, bits=64)),
        "not finite",
    ),
    "float of integers": (
        riff(WAVE.astype("<f4"), form=fmt(3, bits=32)),
        "far over full scale .limit 16, got 2.*scale float samples",
    ),
    "unknown coding": (riff(WAVE, form=fmt(0x1234)), "not a recording that can be read"),
    "adpcm": (riff(bytes(512), form=fmt(0x11, bits=4, extra=struct.pack("<HH", 2, 505))), "a.wav"),
    "countless chunks": (riff(b"", before=(b"junk" + bytes(4)) * 2000), "no chunk 'data'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_one_line_with_the_reason(put, name):
    content, said = REFUSED[name]
    with pytest.raises(DataError, match=said) as caught:
        read_sound(put(content))
    assert (
        "a.wav" in str(caught.value)
        and "\n" not in str(caught.value)
        and caught.value.exit_code == 3
    )


@pytest.mark.parametrize("container", ["W64", "FLAC"])
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.999])
def test_a_cut_file_of_another_container_is_refused(tmp_path, container, kept):
    soundfile.write(tmp_path / "whole", SOUND, 8000, format=container, subtype="PCM_16")
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match="cut: (the recording is truncated|not a recording)"):
        read_sound(tmp_path / "cut")


@pytest.mark.filterwarnings("error")  # an error that a callback swallows and prints is one, too
@pytest.mark.parametrize("container", ["W64", "WAV", "RF64"])
def test_a_length_that_points_before_the_file_says_nothing_but_the_error(
    tmp_path, capfd, container
):
    """Every field of eight bytes in turn is huge, negative, or one: libsndfile seeks to where it
    points.
    """
    soundfile.write(tmp_path / "whole", SOUND[:40], 8000, format=container, subtype="PCM_16")
    content = (tmp_path / "whole").read_bytes()
    for place in range(4, len(content) - 80, 4):
        for value in (-(2**63), -(2**40), 1, 2**62):
            damaged = content[:place] + struct.pack("<q", value) + content[place + 8 :]
            (tmp_path / "a").write_bytes(damaged)
            with contextlib.suppress(DataError):
                read_sound(tmp_path / "a")
    assert capfd.readouterr() == ("", "")


def test_no_descriptor_stays_open(put):
    paths = [
        put(content, f"{k}.wav")
        for k, content in enumerate(
            [
                PLAIN,
                SAME["never closed"],
                PLAIN[:60],
                b"RIFF",
                riff(WAVE, form=b""),
                b"fLaC" + bytes(90),
            ]
        )
    ]
    there = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for path in paths * 5:
        with contextlib.suppress(DataError):
            read_sound(path)
    assert not there or len(os.listdir("/proc/self/fd")) == there


def test_a_flac_without_a_length_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.flac", SOUND, 8000, format="FLAC", subtype="PCM_16")
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    with pytest.raises(DataError, match="a.flac: the header has no length; write it to a file"):
        read_sound(tmp_path / "a.flac")


def test_a_recording_is_an_hour_at_most(put):
    with pytest.raises(DataError, match="too long .limit 3600 s, got 3601"):
        read_sound(put(riff(bytes(1000 * (SECONDS + 1)), form=fmt(rate=1000, bits=8))))
    with pytest.raises(DataError, match=f"too long .limit {(1 << 26) // 384_000} s"):
        read_sound(put(riff(bytes((1 << 26) + 2), form=fmt(rate=384_000, bits=8))))
    assert (
        len(read_sound(put(riff(bytes(1000 * SECONDS), form=fmt(rate=1000, bits=8))))[0])
        == 1000 * SECONDS
    )


def test_a_file_without_a_length_is_held_in_memory_up_to_a_bound(put, monkeypatch):
    path = put(SAME["never closed"])
    monkeypatch.setattr("scmrl.data.formats.sound.HELD_BYTES", path.stat().st_size)
    assert np.array_equal(read_sound(path)[0], SOUND)
    monkeypatch.setattr("scmrl.data.formats.sound.HELD_BYTES", path.stat().st_size - 1)
    with pytest.raises(DataError, match="a.wav: too large a file whose header has no length"):
        read_sound(path)


@pytest.mark.parametrize("read", [read_sound, read_picture])
def test_pipes_devices_and_folders_are_refused_at_once(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "/dev/zero"):
        with pytest.raises(DataError, match="only regular files are"):
            read(path)
    with pytest.raises(DataError, match="cannot read .got No such file"):
        read(tmp_path / "absent")


def test_a_library_that_is_not_there_is_named(put, monkeypatch):
    wav, png = put(PLAIN), put(png_of(np.zeros((4, 4), np.uint8)), "a.png")
    for module, package, read, path in (
        ("soundfile", "soundfile", read_sound, wav),
        ("PIL.Image", "pillow", grey, png),
    ):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, module, None)
            with pytest.raises(
                MissingDependency, match=f"{package} is not installed.*pip install '{package}>="
            ):
                read(path) if read is read_sound else read(path, 4)


# Pictures


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png_of(
    x: np.ndarray, bits: int = 8, *, size=None, extra: bytes = b"", palette: bytes = b""
) -> bytes:
    """A PNG of [H, W] (grey) or [H, W, channels], value by value; `size` is what the header
    says.
    """
    kind = 3 if palette else {1: 0, 2: 4, 3: 2, 4: 6}[1 if x.ndim == 2 else x.shape[2]]
    width, height = size or (x.shape[1], x.shape[0])
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    rows = [
        np.packbits(row) if bits == 1 else row.astype(">u2" if bits == 16 else np.uint8)
        for row in x
    ]
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    colours = chunk(b"PLTE", palette) if palette else b""
    return (
        b"\x89PNG\r\n\x1a\n" + head + colours + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def stroke() -> np.ndarray:
    """Light on black, uint8 [28, 28], different when turned or mirrored."""
    x = np.zeros((28, 28), np.uint8)
    x[4:24, 8:12], x[4:8, 8:20], x[14:17, 8:16] = 255, 200, 90
    return x


def orientation(value: int) -> bytes:
    """Exif of one entry: how to turn the picture."""
    return b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, value, 0, 0)


def turned(x: np.ndarray, value: int) -> np.ndarray:
    """What a camera stores so that, turned as `value` says, it is `x`."""
    return {
        1: x,
        2: x[:, ::-1],
        3: x[::-1, ::-1],
        4: x[::-1],
        5: x.T,
        6: np.rot90(x),
        7: x[::-1, ::-1].T,
        8: np.rot90(x, -1),
    }[value]


def same_pictures(x: np.ndarray) -> dict[str, bytes]:
    shown = x.astype(np.uint16)
    white = np.full((28, 28, 4), 255, np.uint8)
    white[..., 3] = x
    opaque = np.dstack([x, x, x, np.full_like(x, 255)])
    return {
        "grey": png_of(x),
        "colour": png_of(np.dstack([x] * 3)),
        "16 bits": png_of(shown * 257, 16),
        "16 bits, colour": png_of(np.dstack([shown * 257] * 3), 16),
        "16 bits, not a multiple": png_of(
            np.clip(shown * 257.0 + 100, 0, 65535).astype(np.uint16), 16
        ),
        "white, transparent ground": png_of(white),
        "grey and opacity": png_of(white[..., [0, 3]]),
        "opaque": png_of(opaque),
        "palette": png_of(x, palette=bytes(np.repeat(np.arange(256), 3).tolist())),
        "palette, transparent ground": png_of(
            (x > 0) * np.uint8(1) + (x > 100) + (x > 220),
            palette=bytes([9] * 3 + [90] * 3 + [200] * 3 + [255] * 3),
            extra=chunk(b"tRNS", bytes([0, 255, 255, 255])),
        ),
        "wide": png_of(np.pad(x, ((0, 0), (28, 28)))),
        "high": png_of(np.pad(x, ((28, 28), (0, 0)), "maximum")),
        **{
            f"turned {v}": png_of(turned(x, v), extra=chunk(b"eXIf", orientation(v)[6:]))
            for v in range(1, 9)
        },
    }


def test_the_same_picture_in_every_kind(put, stroke):
    for name, content in same_pictures(stroke).items():
        got = grey(put(content, "a.png"), 28)
        assert got.shape == (28, 28) and got.dtype == np.float32
        assert np.array_equal(np.rint(got * 255), stroke), name


def test_one_bit_is_black_and_white(put, stroke):
    assert np.array_equal(grey(put(png_of(stroke > 100, 1), "a.png"), 28), stroke > 100)


@pytest.mark.parametrize("value", range(1, 9))
def test_a_jpeg_is_turned_as_its_exif_says(tmp_path, stroke, value):
    big = np.kron(stroke, np.ones((8, 8), np.uint8))
    for name, x, exif in (("a", turned(big, value), orientation(value)), ("b", big, b"")):
        Image.fromarray(np.ascontiguousarray(x)).save(
            tmp_path / f"{name}.jpg", quality=95, exif=exif
        )
    a, b = (grey(tmp_path / f"{name}.jpg", 28) * 255 for name in "ab")
    assert np.abs(a - b).max() < 4 and np.abs(b - stroke).mean() < 9


def test_the_middle_square_is_kept_in_its_proportions(put):
    x = np.zeros((40, 120), np.uint8)
    x[10:30, 50:70] = 255  # a square of half the height, in the middle
    got = grey(put(png_of(x), "a.png"), 20) > 0.5
    assert got.sum() == 100 and got[5:15, 5:15].all()
    odd = np.zeros((3, 6), np.uint8)
    odd[:, 1:4] = 255
    assert grey(put(png_of(odd), "a.png"), 3).all()


def test_transparency_is_read_only_where_black_is_surely_behind(put, stroke):
    for ink, read in ((0, False), (60, False), (127, False), (200, True), (255, True)):
        x = np.full((28, 28, 4), ink, np.uint8)
        x[..., 3] = stroke
        if read:
            assert (
                np.abs(grey(put(png_of(x), "a.png"), 28) * 255 - stroke * (ink / 255.0)).max() < 1
            )
            continue
        with pytest.raises(
            DataError, match="dark strokes on a transparent ground.*light strokes on black"
        ):
            grey(put(png_of(x), "a.png"), 28)
    keyed = chunk(b"tRNS", struct.pack(">H", 0))  # black is transparent
    assert np.array_equal(
        np.rint(grey(put(png_of(stroke, extra=keyed), "a.png"), 28) * 255), stroke
    )
    with pytest.raises(DataError, match="cannot be read surely.*I;16|cannot be read surely.*got I"):
        grey(put(png_of(stroke.astype(np.uint16) * 257, 16, extra=keyed), "a.png"), 28)


def saved(kind: str, mode: str = "L", **options) -> bytes:
    out = io.BytesIO()
    Image.new(mode, (28, 28)).save(out, kind, **options)
    return out.getvalue()


def animated() -> bytes:
    frames = [Image.fromarray(np.full((8, 8), level, np.uint8)) for level in (0, 90, 200)]
    out = io.BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
    return out.getvalue()


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda x: b"", "not a whole image in PNG or JPEG"),
        (lambda x: b"text", "not a whole image in PNG or JPEG"),
        (lambda x: saved("TIFF", "F"), "not a whole image in PNG or JPEG"),
        (lambda x: saved("GIF"), "not a whole image in PNG or JPEG"),
        (lambda x: saved("BMP"), "not a whole image in PNG or JPEG"),
        (lambda x: saved("JPEG", "CMYK"), "cannot be read surely.*got CMYK"),
        (lambda x: animated(), "several pictures in one file .got 3"),
        (lambda x: png_of(x)[:-30], "not a whole image"),
        (lambda x: png_of(x)[:40], "not a whole image"),
        (lambda x: png_of(x).replace(b"IDAT", b"IDAD"), "not a whole image"),
        (
            lambda x: png_of(x, size=(5700, 5700)),
            (
                "too large .limit 32000000 pixels, got 32490000.; if it is trusted, set"
                " SCMRL_LIMIT_FACTOR=2"
            ),
        ),
        (lambda x: png_of(x, size=(2**20, 2**20)), "too large .limit 32000000 pixels"),
        (lambda x: png_of(x, size=(10_000, 9_500)), "too large .limit 32000000 pixels"),
        (lambda x: png_of(np.zeros((2, 41), np.uint8)), "too narrow .limit 20 : 1, got 41 x 2"),
    ],
    ids=range(14),
)
def test_pictures_that_cannot_be_read_surely_are_one_line(put, stroke, make, said, recwarn):
    with pytest.raises(DataError, match=said) as caught:
        grey(put(make(stroke), "a.png"), 28)
    assert "a.png" in str(caught.value) and "\n" not in str(caught.value) and not recwarn.list


def test_no_pixel_of_a_bomb_is_decoded(put, stroke, monkeypatch):
    from PIL import ImageFile

    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    for content in (
        png_of(stroke, size=(5700, 5700)),
        png_of(np.zeros((2, 41), np.uint8)),
        animated(),
    ):
        with pytest.raises(DataError):
            read_picture(put(content, "a.png"))


def test_limits_of_pictures_are_where_they_are_said_to_be(put, stroke, monkeypatch):
    assert grey(put(png_of(np.zeros((2, 40), np.uint8)), "a.png"), 2).shape == (2, 2)
    monkeypatch.setattr(picture, "PIXELS", 28 * 28)
    assert grey(put(png_of(stroke), "a.png"), 28).any()
    monkeypatch.setattr(picture, "PIXELS", 28 * 28 - 1)
    with pytest.raises(DataError, match="too large"):
        grey(put(png_of(stroke), "a.png"), 28)


def test_damaged_files_are_read_or_refused(put, stroke):
    """Bytes changed and files cut, of both kinds: never another error than one line."""
    random = np.random.default_rng(9)
    jpeg = io.BytesIO()
    Image.fromarray(stroke).save(jpeg, "JPEG", exif=orientation(6))
    for content, read in (
        (PLAIN, read_sound),
        (SAME["extensible 24"], read_sound),
        (rf64(2 * N), read_sound),
        (png_of(stroke, extra=chunk(b"eXIf", orientation(6)[6:])), read_picture),
        (jpeg.getvalue(), read_picture),
    ):
        for _ in range(150):
            damaged = bytearray(content)
            for place in random.integers(0, min(len(content), 120), random.integers(1, 5)):
                damaged[place] = random.integers(256)
            try:
                read(put(bytes(damaged[: random.integers(1, len(damaged) + 1)]), "a"))
            except ScmrlError as error:
                assert "\n" not in str(error)
