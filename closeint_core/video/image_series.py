# SPDX-License-Identifier: Apache-2.0
"""Which pictures of a folder are the film. Standard library only: the add-on chooses by it too."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from closeint_core.errors import CloseintError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

_PREFERRED = (".jpg", ".png", ".tif", ".webp", ".bmp")
"""Of the same names in two formats: photographs come as JPEG, what was computed of them as PNG."""
_SAME_FORMAT = {".jpeg": ".jpg", ".tiff": ".tif"}
_COMPANION = re.compile(
    r"(?<![a-z])(alphas?|depths?|disp(arity)?|flows?|foreground|labels?|mattes?|masks?|normals?|overlay|parsing|preview|"
    r"seg(m|mentations?)?|semantics?|sil(houettes?)?|thumb(nail)?s?|uv|vis(ualisation|ualization)?)(?![a-z])"
)
"""Words in the names of pictures that were computed of a film's frames."""
_DOMINANT = 0.9
"""A series with this share of the pictures is the film, the others are strays (a cover, a note)."""
_CLOCK = re.compile(r"^[\W_]*[hms]?[\W_]*$")
"""Text between two numbers that may be hours, minutes and seconds, not the number of a camera and that of a frame."""
_NAMED = re.compile(r"([a-z]{2}|[^\W\d_hmst])$")
"""Text before a number that has a name (``cam1``, ``c1``), so that it is none of a clock."""
_FRAMES_A_SECOND = 60
"""More numbers than this, one by one, are no part of a second."""


@dataclass(frozen=True)
class ImageSeries:
    """Pictures of one film, in order; ``warning`` names them if the folder holds others too."""

    files: tuple[Path, ...]
    warning: str | None = None


def image_series(folder: Path) -> ImageSeries:
    """The film's pictures, in natural order of their names (``2.png`` before ``10.png``).

    Names that differ in one number only are one series. Of several series, that whose names do not say mask, depth or
    the like is taken; of the same names in two formats, JPEG; or that which nearly all pictures belong to.

    Raises:
        CloseintError: there are no images, or several series and none is clearly the film.
    """
    files = [
        f
        for f in folder.iterdir()
        if f.suffix.lower() in IMAGE_SUFFIXES and not f.name.startswith(".") and not f.is_dir()
    ]
    if not files:
        raise CloseintError(
            f"The folder {folder} has no images.", f"It needs {', '.join(sorted(IMAGE_SUFFIXES))} files."
        )
    series = [sorted(part, key=natural_key) for part in _series_of(files)]
    if len(series) == 1:
        return ImageSeries(tuple(series[0]))
    series.sort(key=lambda part: (-len(part), natural_key(part[0])))
    names = "; ".join(_named(part) for part in series[:4]) + ("; ..." if len(series) > 4 else "")
    told = f"The folder {folder} holds {len(series)} series of pictures ({names})"
    chosen = _film(series)
    if chosen is None:
        raise CloseintError(f"{told}.", "Give a folder with one series, from one camera.")
    return ImageSeries(tuple(chosen), f"{told}: only {_named(chosen)} is read.")


def natural_key(path: Path) -> list[int | str]:
    """Sorts names by their numbers: digits and other text alternate, so a number is never compared with text."""
    return [int(part) if part.isdecimal() else part.lower() for part in re.split(r"(\d+)", path.name)]


def _series_of(files: list[Path]) -> list[list[Path]]:
    """The files, divided into series; formats of different numbers are one (some frames were saved anew)."""
    by_text: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for file in files:
        suffix = file.suffix.lower()
        by_text[re.sub(r"\d+", "#", file.stem.lower())][_SAME_FORMAT.get(suffix, suffix)].append(file)
    counted = len(files) > len(by_text) and any("#" in text for text in by_text)
    if not counted and not any(_COMPANION.search(text) for text in by_text):
        return [files]  # names without a system, as somebody gives a handful of photographs
    series: list[list[Path]] = []
    for formats in by_text.values():
        parts = list(formats.values())
        together = [file for part in parts for file in part]
        if len({file.stem.lower() for file in together}) == len(together):
            parts = [together]
        series += [found for part in parts for found in _by_camera(part)]
    return series


def _by_camera(files: list[Path]) -> list[list[Path]]:
    """Files whose names differ in numbers only, divided where one number is a camera's or a take's.

    That is so where frame numbers occur again with other values of it.
    """
    pieces = [re.split(r"(\d+)", file.stem.lower()) for file in files]
    numbers = [tuple(int(digits) for digits in piece[1::2]) for piece in pieces]
    varying = [i for i in range(len(numbers[0])) if len({row[i] for row in numbers}) > 1]
    if len(varying) < 2:
        return [files]
    frame = max(varying, key=lambda i: (len({row[i] for row in numbers}), i))
    uses = Counter(row[frame] for row in numbers)
    one_by_one = max(uses) - min(uses) + 1 == len(uses) > _FRAMES_A_SECOND
    others = [i for i in varying if i != frame and (one_by_one or not _is_clock(pieces[0], i, frame))]
    series: dict[tuple[int, ...], list[Path]] = defaultdict(list)
    again: Counter[tuple[int, ...]] = Counter()
    for row, file in zip(numbers, files, strict=True):
        key = tuple(row[i] for i in others)
        series[key].append(file)
        again[key] += uses[row[frame]] > 1
    longest = max(series, key=lambda key: len(series[key]))
    repeated = all(2 * again[key] >= len(part) for key, part in series.items() if key != longest)
    return list(series.values()) if repeated else [files]


def _is_clock(pieces: list[str], a: int, b: int) -> bool:
    """Whether the numbers a and b of a name may be two of hours, minutes, seconds and their parts."""
    first, last = sorted((a, b))
    between = pieces[2 * first + 2 : 2 * last + 1 : 2]
    decimals = between[-1] in (".", ",")
    return all(_CLOCK.match(text) for text in between) and (decimals or not _NAMED.search(pieces[2 * first]))


def _film(series: list[list[Path]]) -> list[Path] | None:
    """The one that is the film; None if that cannot be told. ``series``: longest first."""
    rest = [part for part in series if not _COMPANION.search(part[0].stem.lower())] or series
    stems = [{file.stem.lower() for file in part} for part in rest]
    whole = [part for part, names in zip(rest, stems, strict=True) if all(names >= other for other in stems)]
    if whole:
        suffixes = [part[0].suffix.lower() for part in whole]
        ranks = [_PREFERRED.index(_SAME_FORMAT.get(suffix, suffix)) for suffix in suffixes]
        return whole[ranks.index(min(ranks))]
    return rest[0] if len(rest[0]) >= _DOMINANT * sum(map(len, rest)) else None


def _named(files: list[Path]) -> str:
    return files[0].name if len(files) == 1 else f"{files[0].name} to {files[-1].name}"
