# SPDX-License-Identifier: Apache-2.0
"""The client against a worker that misbehaves in every way that one can."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from closeint_core.errors import Cancelled, CloseintError
from closeint_core.worker.client import Job, WorkerClient

FAKE = Path(__file__).parents[1] / "support" / "fake_worker.py"
posix = pytest.mark.skipif(os.name == "nt", reason="the fake worker kills itself with signals")

Make = Callable[..., WorkerClient]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes clients of the fake worker, and ends them."""
    clients = []

    def build(behaviour: str = "good", **options: float) -> WorkerClient:
        client = WorkerClient([sys.executable, str(FAKE), behaviour], tmp_path / "logs" / "worker.log", **options)  # type: ignore[arg-type]
        clients.append(client)
        return client

    yield build
    for client in clients:
        client.close()


def until(client: WorkerClient, condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        client.poll()
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether the process has ended and was collected."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_result_and_progress(make: Make) -> None:
    client = make()
    job = client.submit("reconstruct", output="a.npz")
    stages: list[tuple[str, int, int, float, float | None]] = []
    result = client.wait(job, lambda j: stages.append((j.stage, j.completed, j.total, j.fraction, j.eta_s)))
    assert result["path"] == "a.npz"
    assert job.state == "done"
    assert ("finding people", 1, 4, 1.0, 0.0) in stages or ("finding people", 1, 4, 0.1, 3.5) in stages
    assert client.hello is not None
    assert client.hello["device"] == "none"


def test_stays_warm(make: Make) -> None:
    client = make()
    pids = {client.wait(client.submit("reconstruct"))["pid"] for _ in range(3)}
    assert pids == {client.pid}


def test_queue(make: Make) -> None:
    client = make()
    jobs = [client.submit("reconstruct", output=str(n)) for n in range(5)]
    assert client.jobs == jobs
    assert [client.wait(job)["path"] for job in jobs] == ["0", "1", "2", "3", "4"]
    assert client.jobs == []


def test_error(make: Make) -> None:
    client = make()
    job = client.submit("reconstruct", play="error")
    with pytest.raises(CloseintError, match=r"The video is bad\. Take another\."):
        client.wait(job)
    assert client.wait(client.submit("reconstruct"))["pid"] == client.pid


def test_bug_names_the_log(make: Make) -> None:
    client = make()
    job = client.submit("reconstruct", play="bug")
    with pytest.raises(CloseintError) as caught:
        client.wait(job)
    assert str(client.log) in str(caught.value)
    assert job.detail == "Traceback ..."


@pytest.mark.parametrize("play", ["garbage", "flood", "split"])
def test_garbage_on_stdout(make: Make, play: str) -> None:
    client = make()
    job = client.submit("reconstruct", play=play)
    assert client.wait(job)["path"] == "nowhere"
    if play == "garbage":
        assert job.warnings == ["careful"]
        assert b"some library says hello" in client.log.read_bytes()
    if play == "split":
        assert job.stage == "fitting ünï"


def test_cancel(make: Make) -> None:
    client = make()
    job = client.submit("reconstruct", play="until-cancelled")
    until(client, lambda: job.stage == "fitting")
    pid = client.pid
    started = time.monotonic()
    client.cancel(job)
    with pytest.raises(Cancelled):
        client.wait(job)
    assert time.monotonic() - started < 1.5
    assert client.pid == pid, "a worker that answers is not killed"
    assert client.wait(client.submit("reconstruct"))["pid"] == pid


def test_cancel_of_a_worker_that_does_not_answer(make: Make) -> None:
    client = make(cancel_timeout=0.3)
    stuck = client.submit("reconstruct", play="ignore-everything")
    following = client.submit("reconstruct", output="next")
    until(client, lambda: stuck.state == "running")
    pid = client.pid
    assert pid is not None
    client.cancel(stuck)
    until(client, lambda: stuck.ended, 3.0)
    assert stuck.state == "cancelled"
    assert gone(pid)
    assert client.wait(following)["path"] == "next"
    assert client.pid != pid


def test_cancel_of_a_waiting_job(make: Make) -> None:
    client = make(cancel_timeout=0.3)
    first = client.submit("reconstruct", play="until-cancelled")
    second = client.submit("reconstruct", output="second")
    until(client, lambda: first.stage == "fitting")
    client.cancel(second)
    client.cancel(first)
    until(client, lambda: first.ended and second.ended, 5.0)
    assert (first.state, second.state) == ("cancelled", "cancelled")


@posix
@pytest.mark.parametrize(("play", "how"), [("crash", "exit status 7"), ("kill", "killed by SIGKILL")])
def test_crash(make: Make, play: str, how: str) -> None:
    client = make()
    job = client.submit("reconstruct", play=play)
    following = client.submit("reconstruct", output="next")
    with pytest.raises(CloseintError) as caught:
        client.wait(job)
    assert how in caught.value.message
    assert str(client.log) in str(caught.value)
    if play == "crash":
        assert "about to crash" in job.detail
    assert client.wait(following)["path"] == "next", "what had not begun runs in a new worker"


@posix
@pytest.mark.parametrize("moment", ["not started", "starting", "waiting", "running", "idle"])
def test_kill_at_any_moment(make: Make, moment: str) -> None:
    client = make()
    job: Job | None = None
    if moment in ("starting", "waiting", "running"):
        job = client.submit("reconstruct", play="until-cancelled")
    if moment == "waiting":
        until(client, lambda: client.hello is not None)
    elif moment == "running":
        until(client, lambda: job is not None and job.stage == "fitting")
    elif moment == "idle":
        client.wait(client.submit("reconstruct"))
    pid = client.pid
    if pid is not None:
        os.kill(pid, 9)
    if job is not None:
        with pytest.raises(CloseintError) as caught:
            client.wait(job)
        assert str(client.log) in str(caught.value)
    if moment == "idle":
        until(client, lambda: client.pid is None)
    assert client.wait(client.submit("reconstruct", output="next"))["path"] == "next"
    assert pid is None or gone(pid)


def test_silence(make: Make) -> None:
    client = make(silence_timeout=0.5)
    job = client.submit("reconstruct", play="silent")
    until(client, lambda: job.state == "running")
    pid = client.pid
    with pytest.raises(CloseintError, match="said nothing"):
        client.wait(job)
    assert pid is not None
    assert gone(pid)
    assert client.wait(client.submit("reconstruct"))


def test_never_ready(make: Make) -> None:
    client = make("never-ready", start_timeout=0.4)
    with pytest.raises(CloseintError, match="not started within") as caught:
        client.wait(client.submit("reconstruct"))
    assert caught.value.exit_code == 3
    assert client.pid is None


def test_dies_at_start(make: Make) -> None:
    client = make("dies-at-start")
    jobs = [client.submit("reconstruct"), client.submit("reconstruct")]
    for job in jobs:
        with pytest.raises(CloseintError, match="No module named 'closeint_core'") as caught:
            client.wait(job)
        assert caught.value.exit_code == 3
        assert str(client.log) in str(caught.value)


def test_closed_stdout(make: Make) -> None:
    client = make("closes-stdout")
    with pytest.raises(CloseintError, match=r"stopped unexpectedly|could not start"):
        client.wait(client.submit("reconstruct"))
    assert client.pid is None


def test_other_version(make: Make) -> None:
    client = make("other-version")
    with pytest.raises(CloseintError, match="another version"):
        client.wait(client.submit("reconstruct"))
    assert client.pid is None


@pytest.mark.parametrize("kind", ["missing", "no program", "folder"])
def test_python_that_does_not_start(tmp_path: Path, kind: str) -> None:
    program = tmp_path / "python"
    if kind == "no program":
        program.write_text("text")
    elif kind == "folder":
        program.mkdir()
    client = WorkerClient([str(program)], tmp_path / "log")
    with pytest.raises(CloseintError, match=r"The worker's Python .*(does not exist|does not start)") as caught:
        client.submit("reconstruct")
    assert caught.value.exit_code == 3
    assert "Repair" in str(caught.value)
    assert client.jobs == []


def test_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    client = WorkerClient([sys.executable, str(FAKE)], tmp_path / "file" / "worker.log")
    with pytest.raises(CloseintError, match="log"):
        client.submit("reconstruct")


def test_close_ends_the_worker(make: Make) -> None:
    client = make()
    job = client.submit("reconstruct", play="ignore-everything")
    until(client, lambda: job.state == "running")
    pid = client.pid
    assert pid is not None
    client.close(grace=0.1)
    assert job.state == "cancelled"
    assert gone(pid)


def test_two_clients_have_a_worker_each(make: Make, tmp_path: Path) -> None:
    other = WorkerClient([sys.executable, str(FAKE)], tmp_path / "other.log")
    try:
        client = make()
        assert client.wait(client.submit("x"))["pid"] != other.wait(other.submit("x"))["pid"]
    finally:
        other.close()


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, closeint_core, closeint_core.clip, closeint_core.worker.client, closeint_core.worker.environment\n"
        "import closeint_core.worker.service, closeint_core.worker.install\n"
        "assert not {'torch', 'cv2', 'onnxruntime', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
