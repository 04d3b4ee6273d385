"""Pictures: one reader (Pillow) for every command: PNG and JPEG, one picture a file, 8 bits.

    16 bits         v / 257, rounded
    palette, 1 bit  the colours they stand for; values as they are, without a colour profile
    turned          as its EXIF orientation says
    transparent     laid on black, where std(on black) >= 2 std(on white); dark strokes on nothing
                    are refused, for on black there is nothing to see
    grey            0.299 R + 0.587 G + 0.114 B
    square          the middle, as wide as the shorter side, bilinear to the size, never squeezed

What enters a network shows light strokes on black, as MNIST does: dark strokes on paper are to be
inverted beforehand.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...system.dependencies import require
from ...system.errors import DataError
from ...system.reading import check_bound, opened

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

FORMATS = ("PNG", "JPEG")
PIXELS = 32_000_000
BYTES = 1 << 30
RATIO = 20  # of the longer side to the shorter
DISTINCT = 2  # times the spread on white that a transparent picture has on black
EIGHT_BITS = np.rint(np.arange(1 << 16) / 257).astype(np.uint8)
USE = "use a PNG or JPEG file"


def read_picture(path: str | Path) -> Picture:
    """The picture at `path`, upright, in mode "L" or "RGB".

    Raises DataError, naming the reason, for a file that is missing, damaged or cut off, neither PNG
    nor JPEG, too large, of several pictures, or of a kind that cannot be read surely;
    MissingDependency without Pillow.
    """
    Image = require("PIL.Image", "pictures")
    path = Path(path)
    with opened(path, BYTES, error=DataError) as file, _own_bounds():
        try:
            with Image.open(file, formats=FORMATS) as picture:
                _check(picture, path)
                upright = require("PIL.ImageOps", "pictures").exif_transpose(picture)
                return _eight_bits(upright, path)
        except (DataError, MemoryError):
            raise
        except Image.UnidentifiedImageError:
            raise DataError("not a whole image in PNG or JPEG", where=path, fix=USE) from None
        except Exception as error:  # Pillow's decoders raise a dozen kinds on damaged bytes
            what = f"not a whole image: {error or type(error).__name__}"
            raise DataError(what, where=path, fix="fetch or write it again") from None


@contextlib.contextmanager
def _own_bounds() -> Iterator[None]:
    """Without Pillow's warnings, its bound of pixels too: `_check` comes before any pixel."""
    Image = require("PIL.Image", "pictures")
    theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = theirs


def grey(path: str | Path, side: int) -> np.ndarray:
    """The middle square of the picture at `path`, grey: float32 [side, side] in [0, 1]."""
    return square(read_picture(path), side)


def square(picture: Picture, side: int) -> np.ndarray:
    """The middle square of a picture in mode "L" or "RGB", grey: float32 [side, side] in [0, 1]."""
    return np.asarray(middle(picture.convert("L"), side), np.float32) / 255


def middle(picture: Picture, side: int) -> Picture:
    """The middle square of a picture, at `side` pixels."""
    Image = require("PIL.Image", "pictures")
    width, height = picture.size
    edge = min(width, height)
    left, top = (width - edge) // 2, (height - edge) // 2
    square = picture.crop((left, top, left + edge, top + edge))
    return square if edge == side else square.resize((side, side), Image.Resampling.BILINEAR)


def _check(picture: Picture, path: Path) -> None:
    """Before any pixel is decoded."""
    width, height = picture.size
    what = "the picture is too large"
    check_bound(what, width * height, PIXELS, where=path, error=DataError, unit="pixels")
    if max(width, height) > RATIO * min(width, height):
        ratio, size, fix = f"{RATIO} : 1", f"{width} x {height}", "cut out the part that counts"
        raise DataError("the picture is too narrow", where=path, limit=ratio, value=size, fix=fix)
    if (frames := getattr(picture, "n_frames", 1)) > 1:
        what, fix = "several pictures in one file", "save the one that counts"
        raise DataError(what, where=path, value=frames, fix=fix)


def _eight_bits(picture: Picture, path: Path) -> Picture:
    """A decoded picture in mode "L" or "RGB"."""
    Image = require("PIL.Image", "pictures")
    transparent = picture.mode in ("LA", "RGBA", "PA") or "transparency" in picture.info
    if picture.mode.startswith("I") and not transparent:  # 16 bits, grey
        return Image.fromarray(EIGHT_BITS[np.asarray(picture)])
    if picture.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DataError(
            "colours of this kind cannot be read surely",
            where=path,
            limit="grey, RGB or a palette",
            value=picture.mode,
            fix="save it as RGB, without transparency",
        )
    if transparent:
        return _on_black(picture.convert("RGBA"), path)
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB")


def _on_black(picture: Picture, path: Path) -> Picture:
    Image = require("PIL.Image", "pictures")
    colour, opacity = picture.convert("RGB"), picture.getchannel("A")
    if opacity.getextrema() == (255, 255):
        return colour
    spread, light = require("PIL.ImageStat", "pictures").Stat, colour.convert("L")
    on_black, on_white = (
        spread(Image.composite(light, Image.new("L", light.size, ground), opacity)).stddev[0]
        for ground in (0, 255)
    )
    if on_black < DISTINCT * on_white:
        what = "dark strokes on a transparent ground: which colour lies behind is not known"
        fix = "lay it on the ground that is meant, light strokes on black"
        raise DataError(what, where=path, fix=fix)
    return Image.composite(colour, Image.new("RGB", colour.size), opacity)
