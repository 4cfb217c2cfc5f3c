#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measured results: records in ``docs/results``, one a measurement, and the page that they make.

python3 scripts/results.py page [--check]
python3 scripts/results.py record NAME --title TEXT --group GROUP --machine TEXT --pick KEY=LABEL[,UNIT] ... -- COMMAND

``record`` runs a command that prints one JSON object on stdout, takes the named values out of it and writes the record
with the command, the commit and the machine. ``page`` writes ``docs/results.md`` from all records; ``--check`` only
says whether the page is up to date. Nobody types a number. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "results"
PAGE = ROOT / "docs" / "results.md"
FORMAT = "closeint-result/1"
GROUPS = ("Accuracy", "Physics", "Networks and training", "Speed and memory")
"""Sections of the page, in their order."""

HEAD = """# Results

Everything on this page was measured. Each entry says by which command, at which commit and on which machine.
`python3 scripts/results.py page` writes this page from the records in `docs/results`; nothing is typed into it.

MPJPE is the mean distance of joints after the pelvis is put onto the true pelvis; PA-MPJPE after the best rotation,
scale and translation; both per person and frame, in mm. The interaction error is the mean error of the distances
between the joints of one person and those of the other. A-PD is the mean depth of all vertices inside the other body.
The [guide for researchers](research/evaluation.md) defines them.
"""


class RecordError(Exception):
    """One sentence on what is wrong with a record or a command."""


@dataclass(frozen=True)
class Record:
    """One measurement.

    Attributes:
        title: what was measured, on what.
        group: one of ``GROUPS``.
        command: the command whose output holds the numbers.
        commit: the state of the code.
        origin: where the numbers were taken from: ``output`` of the command at that commit, or ``README``: the README
            of that commit stated them with the command.
        date: the day, YYYY-MM-DD.
        machine: what the command ran on.
        columns: names of the table's columns, with units.
        rows: the cells, texts or numbers.
        note: a sentence that is needed to read the numbers, or empty.
    """

    title: str
    group: str
    command: str
    commit: str
    origin: str
    date: str
    machine: str
    columns: list[str]
    rows: list[list[Any]]
    note: str = ""


def read_record(path: Path) -> Record:
    """Read a record.

    Raises:
        RecordError: the file is no record, or holds a table whose rows do not fit its columns.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values.pop("format", None) != FORMAT:
            raise RecordError(f"{path.name} is not a {FORMAT} file.")
        record = Record(**values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RecordError(f"{path.name} is not a record of a result ({error}).") from error
    if record.group not in GROUPS:
        raise RecordError(f"{path.name}: the group {record.group!r} is none of {', '.join(GROUPS)}.")
    if record.origin not in ("output", "README"):
        raise RecordError(f"{path.name}: the origin {record.origin!r} is neither output nor README.")
    empty = [name for name in ("title", "command", "commit", "date", "machine") if not getattr(record, name)]
    if empty:
        raise RecordError(f"{path.name} does not say its {', '.join(empty)}.")
    if not record.rows or any(len(row) != len(record.columns) for row in record.rows):
        raise RecordError(f"{path.name}: not every row has {len(record.columns)} cells.")
    return record


def write_record(path: Path, record: Record) -> None:
    """Write a record as readable JSON."""
    text = json.dumps({"format": FORMAT, **asdict(record)}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def page(records: Sequence[Record]) -> str:
    """The page of results, as Markdown."""
    parts = [HEAD]
    for group in GROUPS:
        own = [record for record in records if record.group == group]
        if own:
            parts.append(f"## {group}\n")
            parts += [_entry(record) for record in own]
    return "\n".join(parts)


def _entry(record: Record) -> str:
    lines = [f"### {record.title}\n", _row(record.columns), _row(["---"] * len(record.columns))]
    lines += [_row(row) for row in record.rows]
    where = f"commit {record.commit[:8]}" + (", from its README" if record.origin == "README" else "")
    lines.append(f"\n`{record.command}` · {record.machine} · {record.date} · {where}\n")
    if record.note:
        lines.append(f"{record.note}\n")
    return "\n".join(lines)


def _row(cells: Sequence[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def picked(output: Mapping[str, Any], picks: Sequence[str]) -> list[list[Any]]:
    """Rows (label, value, unit) of the values that ``picks`` name.

    Args:
        output: the JSON object that a command printed.
        picks: ``KEY=LABEL`` or ``KEY=LABEL,UNIT``; a dot in KEY goes into an inner object.

    Raises:
        RecordError: a key is not there, or a pick cannot be read.
    """
    rows = []
    for pick in picks:
        key, equals, label = pick.partition("=")
        if not equals or not label:
            raise RecordError(f"--pick {pick!r} is not KEY=LABEL or KEY=LABEL,UNIT.")
        name, _, unit = label.partition(",")
        value: Any = output
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                raise RecordError(f"The command's output has no {key!r}.")
            value = value[part]
        rows.append([name, value, unit])
    return rows


def record_command(options: argparse.Namespace) -> None:
    """Run the command and write its record.

    Raises:
        RecordError: files are changed and not committed, the command failed, or its output lacks a value.
    """
    command = options.command
    if not command:
        raise RecordError("There is no command to run; give it after --.")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    if changed:
        raise RecordError("Some files differ from the commit, so the commit would not say what was measured.")
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RecordError(f"The command failed with status {done.returncode}; nothing was written.")
    try:
        output = json.loads(done.stdout)
    except ValueError:
        raise RecordError("The command did not print one JSON object; most commands do with --json.") from None
    write_record(
        FOLDER / f"{options.name}.json",
        Record(
            title=options.title,
            group=options.group,
            command=shlex.join(command),
            commit=_git("rev-parse", "HEAD"),
            origin="output",
            date=date.today().isoformat(),
            machine=options.machine,
            columns=["", "value", "unit"],
            rows=picked(output, options.pick),
            note=options.note,
        ),
    )


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="what")
    add = commands.add_parser("page", help="write docs/results.md")
    add.add_argument("--check", action="store_true", help="only say whether it is up to date")
    add = commands.add_parser("record", help="run a command and keep what it measured")
    add.add_argument("name", help="name of the record's file, without .json")
    add.add_argument("--title", required=True)
    add.add_argument("--group", required=True, choices=GROUPS)
    add.add_argument("--machine", required=True, help="what it runs on: 2 CPU cores, NVIDIA H200, ...")
    add.add_argument("--pick", action="append", required=True, metavar="KEY=LABEL[,UNIT]")
    add.add_argument("--note", default="")
    given = list(sys.argv[1:] if arguments is None else arguments)
    split = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:split])
    options.command = given[split + 1 :]
    try:
        if options.what == "record":
            record_command(options)
        text = page([read_record(path) for path in sorted(FOLDER.glob("*.json"))])
        if options.what == "page" and options.check:
            if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
                raise RecordError("docs/results.md is not what the records say; run python3 scripts/results.py page.")
        else:
            PAGE.write_text(text, encoding="utf-8")
    except RecordError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
