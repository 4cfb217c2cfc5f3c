# SPDX-License-Identifier: Apache-2.0
"""The worker's side of the protocol: order, endings, guarded stdout, cancel, the end of stdin."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.worker.protocol import ENDINGS, decode, encode

TOY = Path(__file__).parents[1] / "support" / "toy_service.py"


class Talk:
    """A service process and its messages."""

    def __init__(self, log: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(TOY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log.open("wb")
        )

    def ask(self, **request: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(encode(request))
        self.process.stdin.flush()

    def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "the service closed its stdout"
        message = json.loads(line)
        assert isinstance(message, dict)
        return message

    def until_end(self, identity: Any) -> list[dict[str, Any]]:
        """Messages up to the one that ends a request."""
        messages = [self.next()]
        while not (messages[-1]["type"] in ENDINGS and messages[-1].get("id") == identity):
            messages.append(self.next())
        return messages


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    service = Talk(tmp_path / "log")
    hello = service.next()
    assert hello == {"type": "hello", "protocol": 1, "version": "toy", "device": "none"}
    yield service
    service.process.kill()
    service.process.wait()


def test_request(talk: Talk) -> None:
    talk.ask(id="a", command="count", to=4)
    messages = talk.until_end("a")
    assert messages[-1] == {"id": "a", "type": "result", "path": "counted", "to": 4}
    assert {m["type"] for m in messages} == {"progress", "warning", "result"}
    first = messages[0]
    assert (first["stage"], first["done"], first["total"]) == ("counting", 0, 4)


def test_nothing_but_messages_on_stdout(talk: Talk, tmp_path: Path) -> None:
    talk.ask(id=1, command="noise")
    assert talk.until_end(1) == [{"id": 1, "type": "result", "path": "quiet"}]
    log = (tmp_path / "log").read_text()
    for part in ("noise before the hello", "print", "write", "os.write", "from C", "from a child"):
        assert part in log


def test_errors(talk: Talk, tmp_path: Path) -> None:
    talk.ask(id=1, command="refuse")
    refused = talk.next()
    assert (refused["type"], refused["message"], refused["fix"]) == ("error", "No.", "Ask nicely.")
    assert refused["exit_code"] == 3
    talk.ask(id=2, command="stumble")
    bug = talk.next()
    assert "KeyError" in bug["message"]
    assert "Traceback" in bug["detail"]
    assert "Traceback" in (tmp_path / "log").read_text()
    talk.ask(id=3, command="leave")
    assert talk.next()["type"] == "error"
    talk.ask(id=4, command="count", to=1)
    assert talk.until_end(4)[-1]["type"] == "result"


def test_what_is_no_request(talk: Talk) -> None:
    assert talk.process.stdin is not None
    talk.process.stdin.write(b"hello?\n\n[]\n")
    talk.ask(id=5)
    talk.ask(id=6, command="dance")
    talk.ask(command="count")
    talk.ask(id=[7], command="count")
    errors = [talk.next() for _ in range(6)]
    assert {m["type"] for m in errors} == {"error"}
    assert "dance" in errors[3]["message"]
    talk.ask(id=8, command="count", to=1)
    assert talk.until_end(8)[-1]["type"] == "result"


def test_cancel_of_running_and_waiting(talk: Talk) -> None:
    talk.ask(id=1, command="count", to=1000)
    talk.ask(id=2, command="count", to=1)
    talk.ask(id=3, command="count", to=1)
    assert talk.next()["stage"] == "counting"
    started = time.monotonic()
    talk.ask(id=2, command="cancel")
    talk.ask(id=1, command="cancel")
    talk.ask(id=99, command="cancel")
    messages = talk.until_end(3)
    assert time.monotonic() - started < 1.0
    endings = {m["id"]: m["type"] for m in messages if m["type"] in ENDINGS}
    assert endings == {1: "cancelled", 2: "cancelled", 3: "result"}
    assert len([m for m in messages if m["type"] in ENDINGS]) == 3


def test_cancel_without_an_id_is_of_the_running_one(talk: Talk) -> None:
    talk.ask(id=1, command="count", to=1000)
    talk.next()
    talk.ask(command="cancel")
    assert talk.until_end(1)[-1] == {"id": 1, "type": "cancelled"}


def test_sign_of_life(talk: Talk) -> None:
    talk.ask(id=1, command="count", to=2, pause=2.6)
    messages = talk.until_end(1)
    assert len([m for m in messages if m["type"] == "progress" and m["done"] == 0]) >= 2


@pytest.mark.parametrize("pause", [0.01, 60.0])
def test_ends_with_stdin(talk: Talk, pause: float) -> None:
    """Also in the middle of a job that does not look at its progress."""
    talk.ask(id=1, command="count", to=1000, pause=pause)
    talk.next()
    assert talk.process.stdin is not None
    talk.process.stdin.close()
    assert talk.process.wait(timeout=4) == 0


def test_ends_when_nobody_reads(talk: Talk) -> None:
    assert talk.process.stdout is not None
    talk.process.stdout.close()
    talk.ask(id=1, command="count", to=1000)
    assert talk.process.wait(timeout=4) == 0


def test_shutdown(talk: Talk) -> None:
    talk.ask(id=1, command="count", to=3)
    talk.ask(id=2, command="shutdown")
    assert talk.until_end(1)[-1]["type"] == "result"
    assert talk.process.wait(timeout=4) == 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_one_line_each(message: dict[str, Any]) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@given(st.binary(max_size=60))
def test_any_bytes_are_an_object_or_nothing(line: bytes) -> None:
    assert decode(line) is None or isinstance(decode(line), dict)


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"[" * 100_000,
        b'{"id": 1, "command": "count", "x": ' + b"[" * 100_000,
        b"\xff\xfe\x00",
        b"null",
        b"3",
        b'{"id": NaN, "command": "nonsense"}',
        b'{"id": Infinity, "command": "count"}',
        b'{"id": [1], "command": "count"}',
        b'{"id": {"a": 1}, "command": "count"}',
        b'{"id": null, "command": "count"}',
        b'{"id": 1}',
        b'{"id": 1, "command": ["count"]}',
        b'{"id": 1, "command": "count", "to": ' + b"9" * 5000 + b"}",
        b'{"id": 1, "command": "count", "to": "' + b"x" * 3_000_000 + b'"}',
        b'{"id": 1, "command": "count", "to": "ten"}',
        b'{"id": "\\ud800", "command": "unheard"}',
    ],
    ids=lambda line: line[:40].decode("latin-1"),
)
def test_whatever_is_sent_is_answered_and_outlived(talk: Talk, line: bytes) -> None:
    assert talk.process.stdin is not None
    talk.process.stdin.write(line + b"\n")
    talk.process.stdin.flush()
    answer = talk.next()
    while answer["type"] == "progress":
        answer = talk.next()
    assert answer["type"] == "error"
    assert answer["message"]
    talk.ask(id="after", command="count", to=1)
    assert talk.until_end("after")[-1]["type"] == "result"


@pytest.mark.parametrize("identity", ["[1]", '{"a": 1}', "NaN", "7", '"none"'])
def test_a_cancel_of_nothing_is_outlived(talk: Talk, identity: str) -> None:
    assert talk.process.stdin is not None
    talk.process.stdin.write(b'{"id": %s, "command": "cancel"}\n' % identity.encode())
    talk.process.stdin.flush()
    talk.ask(id="after", command="count", to=1)
    assert talk.until_end("after")[-1]["type"] == "result"


def test_an_answer_that_is_no_json_is_an_error(talk: Talk) -> None:
    talk.ask(id=1, command="odd")
    assert "cannot be sent" in talk.until_end(1)[-1]["message"]
    talk.ask(id=2, command="count", to=1)
    assert talk.until_end(2)[-1]["type"] == "result"
