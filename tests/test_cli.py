# SPDX-License-Identifier: Apache-2.0
"""The command as a user meets it: a process with arguments, output and an exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clips import random_clip

from closeint_core import cli
from closeint_core.clip import InteractionClip

SAMPLE = Path(__file__).resolve().parents[1] / "closeint_core" / "samples" / "greeting.mp4"


def closeint(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "closeint_core", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """As ``closeint``, in this process, since loading torch takes seconds."""
    from closeint_core.cli import app, run

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        texts = [str(item) for item in arguments]
        status = run(lambda: app(texts, standalone_mode=False), texts)
        said = capsys.readouterr()
        return subprocess.CompletedProcess(list(arguments), status, said.out, said.err)

    return call


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


@pytest.fixture
def clip_path(tmp_path: Path) -> Path:
    return random_clip(frames=3).save(tmp_path / "a.closeint.npz")


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "Wedding.mp4"
    path.write_bytes(SAMPLE.read_bytes())
    return path


def test_the_input_is_never_written_over(tmp_path, clip_path, film, typed):
    """By every command, before any work: whatever the names, the files stay as they are."""
    (tmp_path / "link.npz").symlink_to(film)
    frames = tmp_path / "frames"
    frames.mkdir()
    picture = frames / "0001.png"
    picture.write_bytes(b"a frame")
    before = {path: path.read_bytes() for path in (film, clip_path, picture)}
    said = "is the input itself"
    complains(typed("reconstruct", film, "-o", film), said)
    complains(typed("reconstruct", film, "-o", tmp_path / "link.npz"), said)
    complains(typed("reconstruct", frames, "-o", picture), "not a clip that closeint wrote")
    complains(typed("refine", clip_path, "-o", clip_path), said)
    complains(typed("import", clip_path, "-o", clip_path), said)
    complains(typed("metrics", clip_path, "--plot", picture), "not a picture that closeint wrote")
    complains(typed("preview", clip_path, "-o", frames, "--footage", frames), "would become a picture of the input")
    (tmp_path / "b.npz").write_bytes(clip_path.read_bytes())
    complains(typed("export", tmp_path / "b.npz", "-o", tmp_path / "b", "--format", "joints"), said)
    assert {path: path.read_bytes() for path in before} == before


def test_nothing_of_somebody_else_is_written_over(tmp_path, clip_path, film, typed):
    mine = tmp_path / "thesis.docx"
    mine.write_bytes(b"a year's work")
    said = "closeint wrote"
    folder = tmp_path / "results"
    folder.mkdir()
    for name in ("preview.mp4", "eval.html", "bench.json", "x_0.npz", "x_1.npz", "x.npz", "plot.png", "0_0.obj"):
        (folder / name).write_bytes(b"mine")
    before = {path: path.read_bytes() for path in [mine, *folder.iterdir()]}
    complains(typed("reconstruct", film, "-o", mine), said)
    complains(typed("refine", clip_path, "-o", mine), said)
    complains(typed("import", clip_path, "-o", mine), said)
    complains(typed("sample", "-o", mine), said)
    complains(typed("preview", clip_path, "-o", folder), "preview.mp4", said)
    complains(typed("metrics", clip_path, "--plot", folder / "plot.png"), said)
    for kind in ("amass", "joints"):
        complains(typed("export", clip_path, "-o", folder / "x", "--format", kind), said)
    for kind in ("closeint-pkl", "obj"):
        complains(typed("export", clip_path, "-o", folder, "--format", kind), "closeint did not write")
    complains(typed("bench", "--out", folder, "--count", "1"), "closeint did not write")
    complains(typed("train", "--config", "prior", "-o", folder, "--restart"), "closeint did not write")
    complains(typed("eval", "--data", tmp_path, "--checkpoint", clip_path, "--out", folder), "eval.html", said)
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in tmp_path.iterdir()} == {"thesis.docx", "results", "a.closeint.npz", "Wedding.mp4"}


def test_a_folder_as_output_and_a_bad_input_leave_nothing(tmp_path, clip_path, typed):
    (tmp_path / "folder").mkdir()
    for command in (["refine", clip_path], ["sample"], ["reconstruct", SAMPLE], ["import", clip_path]):
        complains(typed(*command, "-o", tmp_path / "folder"), "is a folder")
    missing = tmp_path / "missing"
    for command in (["refine"], ["import"], ["reconstruct"], ["preview"], ["export", "--format", "obj"]):
        complains(typed(command[0], missing, *command[1:], "-o", tmp_path / "new" / "deep" / "a.npz"), "missing")
    complains(typed("metrics", missing, "--plot", tmp_path / "new" / "a.png"), "missing")
    checkpoint = ["--checkpoint", missing]
    complains(typed("eval", "--data", missing, *checkpoint, "--out", tmp_path / "new"), "missing", status=3)
    complains(typed("bench", "--rendered", missing, "--out", tmp_path / "new"), "missing")
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "a.closeint.npz"}
    assert not list((tmp_path / "folder").iterdir())


def test_what_an_earlier_run_wrote_is_replaced(tmp_path, clip_path, typed):
    random_clip(frames=1).save(clip_path)
    for _ in range(2):
        for kind in ("amass", "joints", "closeint-pkl", "obj"):
            done = typed("export", clip_path, "-o", tmp_path / kind, "--format", kind)
            assert done.returncode == 0, done.stderr
        done = typed("metrics", clip_path, "--plot", tmp_path / "a.jpg")
        assert done.returncode == 0, done.stderr
        done = typed("preview", clip_path, "-o", tmp_path)
        assert done.returncode == 0, done.stderr


def test_every_command_that_needs_a_body_takes_one(tmp_path, typed):
    """A clip of a licensed body without its files: refused with an advice that works, and the advice followed."""
    path = random_clip(frames=1, body="smpl-neutral").save(tmp_path / "s.closeint.npz")
    away = ["--data", tmp_path / "no models"]
    for number, command in enumerate((["metrics"], ["export", "--format", "joints"], ["refine"])):
        out = [] if command[0] == "metrics" else ["-o", tmp_path / f"out{number}.npz"]
        complains(typed(command[0], path, *command[1:], *out, *away), "SMPL_NEUTRAL", "--body default", status=3)
        done = typed(command[0], path, *command[1:], *out, *away, "--body", "default")
        assert done.returncode == 0, done.stderr
        assert "stands in" in done.stderr
    (tmp_path / "pickles" / "params" / "000000").mkdir(parents=True)
    complains(typed("import", tmp_path / "pickles", "-o", tmp_path / "c.npz", *away), "pickles")
    (files := tmp_path / "amass").mkdir()
    assert typed("export", path, "-o", files / "a", "--format", "amass", *away).returncode == 0
    done = typed("import", files / "a_0.npz", "-o", tmp_path / "c.npz", "--body", "default", *away)
    assert done.returncode == 0, done.stderr
    assert InteractionClip.load(tmp_path / "c.npz").body == "closeint-default/1"


def test_homes_and_urls_are_understood(tmp_path, typed, monkeypatch, clip_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    done = typed("export", "~/a.closeint.npz", "--output=~/b", "--format", "amass")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b_1.npz").is_file()
    done = typed("export", clip_path.as_uri(), "-o", (tmp_path / "c d").as_uri(), "--format", "amass")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "c d_1.npz").is_file()
    for name in ("s3://bucket/a.npz", "file://server/a.npz", "-"):
        complains(typed("export", clip_path, "-o", name, "--format", "joints"), "this computer")
    complains(typed("metrics", "https://example.org/a.npz"), "not on this computer")


@pytest.mark.parametrize(
    "command",
    [
        ["metrics"],
        ["export", "CLIP", "-o", "OUT"],
        ["export", "CLIP", "-o", "OUT", "--format", "fbx"],
        ["refine", "CLIP", "-o", "OUT", "--shape", "-1"],
        ["refine", "CLIP", "-o", "OUT", "--shape", "nan"],
        ["import", "CLIP", "-o", "OUT", "--fps", "-1"],
        ["refine", "CLIP", "-o", "OUT", "--shape", "inf"],
        ["sample", "-o", "OUT", "--seed", "x"],
        ["sample", "-o", "OUT", "--seed", "-1"],
        ["draw", "-o", "OUT", "--seed", "-1"],
        ["bench", "--seed", "-1", "--out", "OUT"],
        ["reconstruct", "CLIP", "-o", "OUT", "--fps", "nan"],
        ["bench", "--count", "-1", "--out", "OUT"],
        ["bench", "--methods", "z", "--out", "OUT"],
        ["bench", "--jobs", "0", "--out", "OUT"],
        ["nonsense"],
        ["metrics", "CLIP", "--nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_sentence_and_one_object(tmp_path, typed, clip_path, command):
    names = {"CLIP": clip_path, "OUT": tmp_path / "out"}
    arguments = [names.get(part, part) for part in command]
    complains(typed(*arguments))
    if command[0] in ("metrics", "refine", "bench", "reconstruct"):
        done = typed(*arguments, "--json")
        complains(done)
        assert json.loads(done.stdout)["exit_code"] == 2
    assert list(tmp_path.iterdir()) == [clip_path]


def test_stopped_by_the_user(capsys, monkeypatch, tmp_path):
    from closeint_core import doctor

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", stop)
    assert cli.run(lambda: cli.app(["doctor", "--json"], standalone_mode=False), ["doctor", "--json"]) == 130
    said = capsys.readouterr()
    assert json.loads(said.out)["exit_code"] == 130
    assert said.err == "Cancelled; nothing was written.\n"


def test_the_former_name_of_a_command_works_with_a_note(tmp_path):
    before = closeint("draw", "-o", tmp_path / "a.closeint.npz", "--seed", "3")
    assert (before.returncode, before.stderr) == (0, "closeint draw is now called closeint sample.\n")
    closeint("sample", "-o", tmp_path / "b.closeint.npz", "--seed", "3")
    a, b = (InteractionClip.load(tmp_path / f"{name}.closeint.npz") for name in "ab")
    assert (a.poses == b.poses).all()
    assert "draw" not in closeint("--help").stdout
