# SPDX-License-Identifier: Apache-2.0
"""The command as a user meets it: a process with arguments, output and an exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from clips import random_clip

from closeint_core import cli
from closeint_core.clip import InteractionClip

SAMPLE = Path(__file__).resolve().parents[1] / "closeint_core" / "samples" / "greeting.mp4"


def closeint(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "closeint_core", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def complains(done: subprocess.CompletedProcess[str], *words: str, status: int = 2) -> None:
    """The process ended with one line on stderr that has these words, and no traceback."""
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_missing_video(tmp_path):
    complains(closeint("reconstruct", tmp_path / "no.mp4", "-o", tmp_path / "a.npz"), "no.mp4")


def test_a_text_file_called_mp4(tmp_path):
    (tmp_path / "text.mp4").write_text("this is not a video")
    complains(closeint("reconstruct", tmp_path / "text.mp4", "-o", tmp_path / "a.npz"), "text.mp4")


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str:
    """What the command says on stderr before it ends with status 2; in this process, which is quicker."""
    monkeypatch.setattr(sys, "argv", ["closeint", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    return capsys.readouterr().err


def test_names_for_an_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    Path("-x.mp4").write_text("this is not a video")
    dashed = said(capsys, monkeypatch, "reconstruct", "-x.mp4", "-o", "a.npz")
    assert dashed.startswith("Error: The name -x.mp4 begins with a dash")
    assert "./-x.mp4" in dashed
    for given in (
        ["-o", "a.npz", "--", "-x.mp4"],
        ["./-x.mp4", "-o", "a.npz"],
        ["~/-x.mp4", "-o", "a.npz"],
        [f"{tmp_path.as_uri()}/%2Dx.mp4", "-o", "a.npz"],
    ):
        assert "-x.mp4 is not a video" in said(capsys, monkeypatch, "reconstruct", *given)
    remote = said(capsys, monkeypatch, "reconstruct", "https://example.org/a.mp4", "-o", "a.npz")
    assert remote.startswith("Error: https://example.org/a.mp4 is not on this computer")
    random_clip(frames=1).save("a.closeint.npz")
    stream = said(capsys, monkeypatch, "preview", "a.closeint.npz", "-o", "out", "--footage", "rtsp://10.0.0.7/stream")
    assert "rtsp://10.0.0.7/stream is not on this computer" in stream
    assert "No such option" in said(capsys, monkeypatch, "reconstruct", "--focl", "3", "-o", "a.npz")


def test_an_empty_folder(tmp_path):
    (tmp_path / "images").mkdir()
    complains(closeint("reconstruct", tmp_path / "images", "-o", tmp_path / "a.npz"), "images")


def test_an_output_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    complains(closeint("reconstruct", SAMPLE, "-o", tmp_path / "file" / "a.npz"), "folder")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--frames", "ten"),
        ("--frames", "9:4"),
        ("--people", "0,0"),
        ("--people", "a"),
        ("--focal", "-3"),
        ("--device", "tpu"),
        ("--fps", "0"),
    ],
)
def test_senseless_options(tmp_path, option, value):
    complains(closeint("reconstruct", SAMPLE, "-o", tmp_path / "a.npz", f"{option}={value}"))


def test_a_body_that_is_not_there(tmp_path):
    done = closeint("reconstruct", SAMPLE, "-o", tmp_path / "a.npz", "--body", "smpl-neutral", "--data", tmp_path)
    complains(done, "SMPL_NEUTRAL", "smpl.is.tue.mpg.de", status=3)


def test_metrics_of_a_clip(tmp_path):
    random_clip(frames=3).save(tmp_path / "a.closeint.npz")
    done = closeint("metrics", tmp_path / "a.closeint.npz", "--json", "--truth", tmp_path / "a.closeint.npz")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["people"], figures["frames"]) == (2, 3)
    assert figures["truth"]["mpjpe_mm"] == figures["truth"]["interaction_mm"] == 0
    assert figures["truth"]["contact_f1"] == 1
    complains(closeint("metrics", tmp_path / "none.npz"), "none.npz")


def test_picture_of_a_clip(tmp_path):
    random_clip(frames=3).save(tmp_path / "a.closeint.npz")
    done = closeint("metrics", tmp_path / "a.closeint.npz", "--plot", tmp_path / "a.png")
    assert done.returncode == 0, done.stderr
    assert "max_self_penetration_mm" in done.stdout
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    complains(closeint("metrics", tmp_path / "a.closeint.npz", "--plot", tmp_path / "a.doc"), "a.doc")


def test_export_and_import(tmp_path):
    random_clip(frames=3).save(tmp_path / "a.closeint.npz")
    done = closeint("export", tmp_path / "a.closeint.npz", "-o", tmp_path / "amass", "--format", "amass")
    files = done.stdout.split()
    assert done.returncode == 0
    assert len(files) == 2
    done = closeint("import", *files, "-o", tmp_path / "b.closeint.npz")
    assert done.returncode == 0, done.stderr
    assert InteractionClip.load(tmp_path / "b.closeint.npz").people == 2
    complains(closeint("export", tmp_path / "a.closeint.npz", "-o", tmp_path / "x", "--format", "fbx"), "fbx", "amass")


def test_doctor_finds_everything_bundled(tmp_path):
    done = closeint("doctor", "--json", "--data", tmp_path)
    report = json.loads(done.stdout)
    assert report["ok"], report["problem"]
    assert done.returncode == 0
    licensed = report["sections"]["Licensed models (optional)"]
    assert all(str(tmp_path) in row["detail"] for row in licensed if not row["ok"])


def test_the_sample_from_pixels_to_clip_and_preview(tmp_path):
    """A few frames of the handshake, through the whole road."""
    clip_path = tmp_path / "clip.closeint.npz"
    done = closeint("reconstruct", SAMPLE, "-o", clip_path, "--frames", "20:28", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    clip = InteractionClip.load(clip_path)
    assert (clip.people, clip.frames, clip.frame_start) == (2, 8, 20)
    assert report["quality"]["visible_frames"] == [8, 8]
    assert report["quality"]["reprojection_px"] < 15
    assert report["quality"]["max_penetration_mm"] < 20
    done = closeint("preview", clip_path, "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "preview.png").stat().st_size > 10_000
    assert (tmp_path / "preview.mp4").stat().st_size > 5_000
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["clip.closeint.npz", "preview.mp4", "preview.png"]
