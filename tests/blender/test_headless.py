# SPDX-License-Identifier: Apache-2.0
"""``blender --command closeint``: outputs, JSON lines, exit statuses; the worker is a stand-in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from blender_runtimes import BlenderRuntime
from support.wild_clips import random_clip

from closeint_core.body.data import DEFAULT_BODY_FILE
from closeint_core.options import OPTIONS

INSIDE = Path(__file__).parent / "inside"

pytestmark = [
    pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built"),
    pytest.mark.skipif(os.name == "nt", reason="the stand-in worker is started by a shell script"),
]


@dataclass
class Ran:
    status: int
    reports: list[dict[str, Any]]
    said: str


@dataclass
class Place:
    """A folder with videos, and the command that runs in it."""

    folder: Path
    runtime: BlenderRuntime

    def command(self, arguments: Sequence[str], worker: bool = True) -> tuple[list[str], dict[str, str]]:
        where = str(self.folder) if worker else "-"
        variables = {
            **os.environ,
            "CLOSEINT_BLENDER_HOME": str(self.folder / "home"),
            "CLOSEINT_TEST_CLIP": str(self.folder / "result.npz"),
            "CLOSEINT_TEST_REQUESTS": str(self.folder / "requests"),
            "CLOSEINT_TEST_PYTHON": sys.executable,
        }
        return self.runtime.python_command(INSIDE / "run_command.py", [where, *arguments]), variables

    def run(self, *arguments: str, worker: bool = True) -> Ran:
        command, variables = self.command(arguments, worker)
        done = subprocess.run(
            command, env=variables, cwd=self.folder, capture_output=True, text=True, timeout=240,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        reports = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return Ran(done.returncode, reports, done.stderr)

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "requests").read_text().splitlines()]


def make(folder: Path, runtime: BlenderRuntime) -> Place:
    random_clip(3, frames=5).save(folder / "result.npz")
    for video in ("good.mp4", "bad.mp4", "missing.mp4", "slow.mp4", "set/a.mp4", "set/bad.mov", "set/c.webm"):
        (folder / video).parent.mkdir(exist_ok=True)
        (folder / video).write_bytes(b"stands for a video")
    (folder / "set" / "notes.txt").write_text("no video")
    return Place(folder, runtime)


@pytest.fixture
def place(newest_runtime: BlenderRuntime, tmp_path: Path) -> Place:
    return make(tmp_path, newest_runtime)


def test_video_to_files(runtime: BlenderRuntime, tmp_path: Path) -> None:
    place = make(tmp_path, runtime)
    ran = place.run("reconstruct", "good.mp4", "--blend", "out/scene.blend", "--glb", "--fbx", "other/x.fbx",
                    "--frames", "1:", "--people", "0,2", "--no-refine", "--source-fps", "240")  # fmt: skip
    assert ran.status == 0, ran.said
    (report,) = ran.reports
    assert report["ok"]
    assert "The light was poor." in report["warnings"]
    out = tmp_path / "out"
    assert {name: Path(report[name]) for name in ("clip", "blend", "glb", "fbx")} == {
        "clip": out / "scene.closeint.npz",
        "blend": out / "scene.blend",
        "glb": out / "scene.glb",
        "fbx": tmp_path / "other" / "x.fbx",
    }
    assert (out / "scene.glb").read_bytes()[:4] == b"glTF"
    assert (tmp_path / "other" / "x.fbx").read_bytes()[:18] == b"Kaydara FBX Binary"
    assert (out / "scene.blend").stat().st_size > 100_000
    assert (out / "scene.closeint.npz").read_bytes() == (tmp_path / "result.npz").read_bytes()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    (request,) = place.requests()
    assert request["frames"] == [1, None]
    assert request["people"] == [0, 2]
    assert request["refine"] is False
    assert request["fps"] == 240


def test_folder_of_videos(place: Place) -> None:
    ran = place.run("reconstruct", "set", "good.mp4", "--out", "out", "--blend")
    assert ran.status == 2
    assert [Path(report["input"]).name for report in ran.reports] == ["a.mp4", "bad.mov", "c.webm", "good.mp4"]
    assert [report["ok"] for report in ran.reports] == [True, False, True, True]
    assert ran.reports[1]["error"] == "bad.mov is bad."
    assert ran.reports[1]["fix"] == "Take another."
    assert ran.reports[1]["exit_code"] == 2
    made = sorted(path.name for path in (place.folder / "out").iterdir())
    assert made == [f"{name}{suffix}" for name in ("a", "c", "good") for suffix in (".blend", ".closeint.npz")]


@pytest.mark.parametrize(
    ("arguments", "status", "match"),
    [
        (["reconstruct"], 2, "INPUT"),
        (["dance"], 2, "invalid choice"),
        (["reconstruct", "none.mp4"], 2, "There is no file or folder none.mp4"),
        (["reconstruct", "bad.mp4"], 2, "bad.mp4 is bad. Take another."),
        (["reconstruct", "missing.mp4"], 3, "A model is missing."),
        (["reconstruct", "good.mp4", "bad.mp4", "--blend", "x.blend"], 2, "do not fit into one file"),
        (["reconstruct", "good.mp4", "--frames", "7"], 2, "is not A:B"),
        (["reconstruct", "good.mp4", "--people", "x"], 2, "is neither auto nor one or two different numbers"),
        (["reconstruct", "good.mp4", "--model", "magic"], 2, "There is no model 'magic'"),
        (["import", "result.npz", "--blend", "--fps", "0"], 2, "'0' is not a rate from 1 to 1000"),
        (["reconstruct", "good.mp4", "--source-fps", "0"], 2, "The frame rate '0' is not a number above 0"),
        (["reconstruct", "s3://bucket/a.mp4"], 2, "s3://bucket/a.mp4 is not on this computer"),
        (["import", "good.mp4", "--blend"], 2, "not a readable clip"),
        (["import", "result.npz"], 2, "Nothing to write"),
        (["install"], 2, "online access is off"),
    ],
)
def test_problems(place: Place, arguments: list[str], status: int, match: str) -> None:
    ran = place.run(*arguments)
    assert match in ran.said
    assert ran.status == status


def test_nothing_installed(place: Place) -> None:
    ran = place.run("reconstruct", "good.mp4", worker=False)
    assert ran.status == 3
    assert "Worker not installed. Press Install" in ran.said
    assert place.run("doctor", worker=False).status == 3


def test_import(place: Place) -> None:
    ran = place.run("import", "result.npz", "--blend", "--usd", "--per-person", "--start-frame", "7")
    assert ran.status == 0, ran.said
    files = [place.folder / f"result_p{person}.usdc" for person in (1, 2)]
    assert ran.reports[0]["usd"] == [str(file) for file in files]
    assert all(file.read_bytes()[:8] == b"PXR-USDC" for file in files)
    assert not (place.folder / "result.usdc").exists()
    assert (place.folder / "result.blend").is_file()


def test_import_options(place: Place) -> None:
    ran = place.run("reconstruct", "good.mp4", "--glb", "--model", "reference", "--no-meshes", "--no-camera", "--fps",
                    "60", "--start-frame", "11")  # fmt: skip
    assert ran.status == 0, ran.said
    (request,) = place.requests()
    assert request["model"] == "reference"
    assert request["fps"] is None
    glb = (place.folder / "good.glb").read_bytes()
    content = json.loads(glb[20 : 20 + int.from_bytes(glb[12:16], "little")])
    assert "meshes" not in content
    assert "cameras" not in content
    # Five frames of 29.97 a second last as long at 60, within a frame.
    times = [content["accessors"][s["input"]] for a in content["animations"] for s in a["samplers"]]
    assert max(a["max"][0] for a in times) - min(a["min"][0] for a in times) == pytest.approx(4 / 29.97, abs=1 / 60)


def test_doctor(place: Place) -> None:
    ran = place.run("doctor", "--json")
    assert ran.status == 0
    assert ran.reports[0]["ok"]


def test_interrupted(place: Place) -> None:
    command, variables = place.command(["reconstruct", "slow.mp4", "good.mp4"])
    process = subprocess.Popen(
        command, env=variables, cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60
    while not (place.folder / "requests").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    reports = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [report["error"] for report in reports] == ["Cancelled."], "the next video was begun"
    assert not list(place.folder.glob("*.closeint.npz"))


def test_the_command_offers_what_the_table_of_options_does(place: Place) -> None:
    command, variables = place.command(["reconstruct", "--help"], worker=False)
    ran = subprocess.run(command, env={**variables, "COLUMNS": "1000"}, capture_output=True, text=True, check=True)
    said = " ".join(ran.stdout.split())
    for option in OPTIONS:
        assert option.flags(in_blender=True)[0] in said
        assert " ".join(option.help.rstrip(".").split()) in said
        if option.default is not None:
            assert f"(default: {option.default})" in said
