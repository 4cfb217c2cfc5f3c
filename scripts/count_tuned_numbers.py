# SPDX-License-Identifier: Apache-2.0
"""Counts tuned numbers that have no unit and no origin: floats outside the calibration classes of their package.

A calibration class is a frozen dataclass of numbers in a module called ``calibration.py`` or ``..._calibration.py``.
Every field of one has a string below it, ``"<unit>: <what it is>. Origin: <where the value is from>."``, with a unit
out of ``UNITS``; where nobody measured a value, the origin says so. What lies elsewhere in a package counts, each
literal once, but

- integers (counts, axes, indices and exponents are integers, and so are a few tuned ones: they are out of scope),
- ``NEUTRAL`` floats: nothing, all, halves, doubles and infinity, which nobody tunes,
- ``EPSILON`` and less: what keeps a division or a root from zero,
- ``BEYOND`` and more: what stands for farther, or dearer, than anything there is,
- the modules in ``APART``, each with its reason.

Run it to see the counts; ``--list`` shows every number. Exit code 1: a package has more than ``RECORDED`` (these only
ever go down), or a field lacks its unit or origin.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CORE = Path(__file__).resolve().parents[1] / "closeint_core"
RECORDED = {"perception": 0, "physics": 0, "solver": 0, "reconstruction": 0, "mesh": 0}
"""Tuned floats outside calibration classes that each package may have; a count that falls is written down here."""
APART = {"reconstruction/plan.py": "measured shares of the time for the bar of progress, which change no result"}
"""Modules whose numbers are not counted."""
NEUTRAL = {0.0, 0.5, 1.0, 2.0}
"""Sizes of floats that are not tuned, whatever their sign. Infinity is written ``inf`` and is no literal."""
EPSILON = 1e-5
"""Floats of at most this size only keep something from zero."""
BEYOND = 1e6
"""Floats of at least this size stand for something that is not there."""
UNITS = {
    "%": "per cent",
    "1": "a pure number: a share, a factor, a weight",
    "deg": "degrees",
    "frames": "frames",
    "frames/s": "frames a second",
    "grey": "grey levels, 0 to 255",
    "m": "metres",
    "m/s": "metres a second",
    "probability": "0 to 1",
    "px": "pixels",
    "rad": "radians",
    "rounds": "rounds of a refinement, counted from 0",
    "s": "seconds",
    "sizes": "sizes of the person's body in the picture, see perception.tracking.body_size",
    "sizes/s": "sizes of the person's body in the picture a second",
    "trunks": "lengths of the person's trunk in the picture",
    "trunks/s": "lengths of the person's trunk in the picture a second",
    "trunks^2": "squares of the length of the person's trunk in the picture",
}


@dataclass(frozen=True)
class Number:
    """A tuned float and where it stands."""

    path: Path
    line: int
    text: str


def is_calibration(node: ast.AST) -> bool:
    """Whether a node is a frozen dataclass."""
    if not isinstance(node, ast.ClassDef):
        return False
    for one in node.decorator_list:
        if isinstance(one, ast.Call) and getattr(one.func, "id", None) == "dataclass":
            return any(key.arg == "frozen" and getattr(key.value, "value", False) is True for key in one.keywords)
    return False


def is_neutral(value: float) -> bool:
    """Whether a float is one that nobody tunes; literals have no sign."""
    return value in NEUTRAL or value <= EPSILON or value >= BEYOND


def tuned(path: Path) -> Iterator[Number]:
    """The tuned floats of a module."""
    own = path.name.endswith("calibration.py")

    def walk(node: ast.AST) -> Iterator[Number]:
        if own and is_calibration(node):
            return
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and not is_neutral(node.value):
            yield Number(path, node.lineno, repr(node.value))
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")))


def unexplained(path: Path) -> Iterator[str]:
    """Fields of the calibration classes of a module that lack a unit or an origin, as sentences."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not (isinstance(node, ast.ClassDef) and is_calibration(node)):
            continue
        for number, field in enumerate(node.body):
            if not isinstance(field, ast.AnnAssign):
                continue
            name = f"{path.parent.name}/{path.name}:{field.lineno} {node.name}.{ast.unparse(field.target)}"
            after = node.body[number + 1] if number + 1 < len(node.body) else None
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
            if not isinstance(text, str):
                yield f"{name} has no string below it"
                continue
            if isinstance(field.value, ast.Call):  # a class of calibrations in another: its fields have their own
                continue
            unit, _, rest = " ".join(text.split()).partition(":")
            if unit not in UNITS:
                yield f"{name} begins with no known unit"
            if "Origin: " not in rest or not rest.partition("Origin: ")[2].strip(" ."):
                yield f"{name} has no origin"


def count(package: str) -> list[Number]:
    """The tuned floats of a package, in the order of its files."""
    modules = sorted((CORE / package).rglob("*.py"))
    return [number for path in modules if path.relative_to(CORE).as_posix() not in APART for number in tuned(path)]


def main(arguments: list[str]) -> int:
    """Print the counts; 1 if a package has more than it may or a field lacks its origin."""
    wrong = False
    for package, allowed in RECORDED.items():
        numbers = count(package)
        said = "" if len(numbers) == allowed else f" ({allowed} recorded)"
        print(f"{package}: {len(numbers)} tuned floats outside calibration classes{said}")
        if "--list" in arguments or len(numbers) > allowed:
            for one in numbers:
                print(f"  {one.path.relative_to(CORE.parent)}:{one.line}: {one.text}")
        wrong |= len(numbers) > allowed
    for path in sorted(CORE.rglob("*calibration.py")):
        if path.relative_to(CORE).parts[0] in RECORDED:
            for sentence in unexplained(path):
                print(sentence)
                wrong = True
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
