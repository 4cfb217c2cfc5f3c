# SPDX-License-Identifier: Apache-2.0
"""The real worker on the bundled sample: its commands, and what goes wrong around it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import closeint_core
from closeint_core.clip import InteractionClip
from closeint_core.errors import Cancelled, CloseintError
from closeint_core.worker.client import Job, WorkerClient

SAMPLE = Path(closeint_core.__file__).parent / "samples" / "greeting.mp4"
FEW = {"frames": [30, 36], "quality": "draft"}

pytestmark = pytest.mark.skipif(not SAMPLE.is_file(), reason="the bundled sample is not built")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerClient]:
    pytest.importorskip("torch")
    variables = {**os.environ, "OMP_NUM_THREADS": "1"}
    client = WorkerClient(
        [sys.executable, "-m", "closeint_core.worker"],
        tmp_path_factory.mktemp("logs") / "worker.log",
        environment=variables,
    )
    yield client
    client.close()


@pytest.fixture(scope="module")
def detected(client: WorkerClient, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    picture = tmp_path_factory.mktemp("picture") / "people.png"
    return client.wait(client.submit("detect", input=str(SAMPLE), output=str(picture), frame=32))


def test_doctor(client: WorkerClient) -> None:
    report = client.wait(client.submit("doctor"))["report"]
    assert report["closeint"] == closeint_core.__version__
    assert client.hello is not None
    assert client.hello["version"] == closeint_core.__version__


def test_detect(detected: dict[str, Any]) -> None:
    cv2 = pytest.importorskip("cv2")
    assert detected["frame"] == 32
    assert detected["frame_count"] == 120
    assert len(detected["people"]) == 2
    first, second = (person["box"] for person in detected["people"])
    assert first[0] < second[0], "numbered from left to right"
    assert detected["suggested"] == [0, 1]
    picture = cv2.imread(detected["path"])
    assert picture is not None
    assert max(picture.shape) == 640
    assert os.path.getsize(detected["path"]) < 1_000_000


def test_reconstruct_the_picked_people_in_their_order(
    client: WorkerClient, detected: dict[str, Any], tmp_path: Path
) -> None:
    boxes = [person["box"] for person in detected["people"]]
    output = tmp_path / "clips" / "a.closeint.npz"
    people = {"frame": detected["frame"], "boxes": boxes[::-1]}
    stages: list[str] = []
    job = client.submit("reconstruct", input=SAMPLE.as_uri(), output=str(output), people=people, refine=False,
                        focal_mm=36.0, sensor_mm=36.0, fps=48.0, **FEW)  # fmt: skip
    result = client.wait(job, lambda j: stages.append(j.stage))
    assert result["path"] == str(output)
    clip = InteractionClip.load(output)
    assert (clip.people, clip.frames, clip.frame_start) == (2, 6, 30)
    assert (clip.fps, clip.video) == (48.0, str(SAMPLE))
    # the second picked is the left one
    assert np.nanmean(clip.keypoints2d[0, ..., 0]) > np.nanmean(clip.keypoints2d[1, ..., 0])
    np.testing.assert_allclose(clip.camera_K[0, 0, 0], max(clip.image_size))
    assert {"finding people", "following the pair", "fitting"} <= set(stages)
    assert "separating" not in stages


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"input": "/none/video.mp4"}, r"There is no /none/video\.mp4"),
        ({"input": None}, "needs a path 'input'"),
        ({"input": "s3://bucket/video.mp4"}, "not on this computer"),
        ({"fps": -24}, "frame rate"),
        ({"fps": "fast"}, "The frame rate 'fast' is not a number"),
        ({"frames": ["x", 3]}, "The frame range 'x:3' is not A:B"),
        ({"frames": [9, 2]}, "The frame range '9:2' is not A:B"),
        ({"people": [0, 0]}, "The choice of people '0,0' is neither"),
        ({"focal": -3}, "The focal length '-3' is not"),
        ({"refine": "no"}, "true or false"),
        ({"frames": [500, 600]}, "lie outside"),
        ({"people": [0, 9]}, "There is no person 9"),
        ({"people": {"frame": 3, "boxes": [[0, 0, 9, 9]]}}, "frame 4, which is not among the frames"),
        ({"people": {"frame": 32, "boxes": [[0, 0, 30, 30], [900, 0, 930, 30]]}}, "could not be followed"),
        ({"body": "smpl-male", "data": "/none"}, "SMPL"),
        ({"quality": "perfect"}, "quality 'perfect'"),
        ({"model": "magic"}, "magic"),
        ({"focal_mm": -1.0, "sensor_mm": 36.0}, "not possible"),
        ({"focal_mm": 36.0}, "A lens of 36.0 mm on None mm is not possible"),
    ],
)
def test_bad_requests(client: WorkerClient, tmp_path: Path, changes: dict[str, Any], match: str) -> None:
    request = {"input": str(SAMPLE), "output": str(tmp_path / "a.closeint.npz"), **FEW, **changes}
    with pytest.raises(CloseintError, match=match):
        client.wait(client.submit("reconstruct", **request))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("command", "changes", "match"),
    [
        ("detect", {"frame": "first"}, "'first' is not a whole number"),
        ("detect", {"frame": -1}, "-1 is not a whole number"),
        ("detect", {"device": "gpu"}, "There is no device 'gpu'"),
        ("doctor", {"data": 5}, "folder of licensed models '5'"),
    ],
)
def test_bad_requests_of_other_commands(
    client: WorkerClient, tmp_path: Path, command: str, changes: dict[str, Any], match: str
) -> None:
    request = {"input": str(SAMPLE), "output": str(tmp_path / "people.png"), **changes}
    with pytest.raises(CloseintError, match=match):
        client.wait(client.submit(command, **request))
    assert list(tmp_path.iterdir()) == []


def test_frame_without_people(client: WorkerClient, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((240, 320, 3), 90, np.uint8))
    with pytest.raises(CloseintError, match="Nobody was found in frame 2"):
        client.wait(client.submit("detect", input=str(folder), output=str(tmp_path / "p.png"), frame=1))


def test_cancel_is_answered_within_a_second(client: WorkerClient, tmp_path: Path) -> None:
    job = client.submit("reconstruct", input=str(SAMPLE), output=str(tmp_path / "a.closeint.npz"), frames=[0, 40])
    until_stage(client, job, "finding people")
    pid, started = client.pid, time.monotonic()
    client.cancel(job)
    with pytest.raises(Cancelled):
        client.wait(job)
    assert time.monotonic() - started < 1.5
    assert client.pid == pid
    assert list(tmp_path.iterdir()) == []


def test_video_deleted_while_running(client: WorkerClient, tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    shutil.copy(SAMPLE, video)
    output = tmp_path / "out" / "a.closeint.npz"
    job = client.submit("reconstruct", input=str(video), output=str(output), **FEW)
    until_stage(client, job, "finding people")
    video.unlink()
    with pytest.raises(CloseintError, match=r"There is no .*film\.mp4 \(any more\)"):
        client.wait(job)
    assert not output.exists()


def test_full_disk(client: WorkerClient, tmp_path: Path) -> None:
    """A file system with room for nothing: said at once, not after minutes of work."""
    small = tmp_path / "small"
    small.mkdir()
    with full_file_system(small):
        stages: list[str] = []
        job = client.submit("reconstruct", input=str(SAMPLE), output=str(small / "a.closeint.npz"), **FEW)
        with pytest.raises(CloseintError, match=r"(?i)cannot write|disk is full|no space"):
            client.wait(job, lambda j: stages.append(j.stage))
        assert "finding people" not in stages
        assert [p.name for p in small.iterdir()] == ["filler"]


@pytest.mark.slow
def test_disk_that_fills_meanwhile(client: WorkerClient, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    with full_file_system(small, size="160k", fill=False) as filler:
        job = client.submit("reconstruct", input=str(SAMPLE), output=str(small / "a.closeint.npz"), **FEW)
        until_stage(client, job, "finding people")
        filler.fill()
        with pytest.raises(CloseintError, match=r"Cannot write .*Free some space"):
            client.wait(job)
        assert [p.name for p in small.iterdir()] == ["filler"]


class full_file_system:
    """Mounts a tiny file system on a folder and fills it; skips where this may not be done."""

    def __init__(self, folder: Path, *, size: str = "16k", fill: bool = True) -> None:
        self.folder, self.size, self.at_once = folder, size, fill

    def __enter__(self) -> full_file_system:
        command = ["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", str(self.folder)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a file system can only be mounted by root, on Linux")
        if self.at_once:
            self.fill()
        return self

    def fill(self) -> None:
        with open(self.folder / "filler", "wb", buffering=0) as file:
            for _ in range(1000):
                try:
                    file.write(b"x" * 4096)
                except OSError as error:
                    full = error.errno == errno.ENOSPC
                    break
        if not full:
            pytest.fail("the small file system did not fill")

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", str(self.folder)], check=True)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("stage", ["start", "finding people", "following the pair", "fitting", "measuring"])
def test_killed(client: WorkerClient, tmp_path: Path, stage: str) -> None:
    """kill -9 at five moments: a clear message, nothing written, and the next run works."""
    request = {"input": str(SAMPLE), "output": str(tmp_path / "a.closeint.npz"), **FEW}
    if stage == "start":
        client.close()
    job = client.submit("reconstruct", **request)
    if stage != "start":
        until_stage(client, job, stage)
    assert client.pid is not None
    os.kill(client.pid, signal.SIGKILL)
    with pytest.raises(CloseintError) as caught:
        client.wait(job)
    assert "SIGKILL" in str(caught.value)
    assert str(client.log) in str(caught.value)
    assert list(tmp_path.glob("*.npz")) == []
    assert client.wait(client.submit("reconstruct", **request))["people"] == 2


def test_ends_with_stdin_in_the_middle(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    client = WorkerClient([sys.executable, "-m", "closeint_core.worker"], tmp_path / "log")
    job = client.submit("reconstruct", input=str(SAMPLE), output=str(tmp_path / "a.closeint.npz"))
    until_stage(client, job, "finding people")
    process = client._process
    assert process is not None
    assert process.stdin is not None
    process.stdin.close()  # what happens when Blender dies
    assert process.wait(timeout=10) == 0
    client.close()


def until_stage(client: WorkerClient, job: Job, stage: str, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while job.stage != stage:
        client.poll()
        assert not job.ended, f"it ended before: {job.error}"
        assert time.monotonic() < end
        time.sleep(0.02)
