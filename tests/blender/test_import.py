# SPDX-License-Identifier: Apache-2.0
"""The importer in every Blender of this machine, against numpy's forward kinematics, skinning and projection."""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender_runtimes import BlenderRuntime
from support.inside import run_inside, write_images
from support.wild_clips import random_clip

from closeint_blender.analysis.contacts import PairState
from closeint_blender.analysis.medial_spheres import fill
from closeint_blender.importer.contact_colours import PLAIN, TOUCH
from closeint_core.body.data import DEFAULT_BODY_FILE, JOINT_NAMES, load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip

INSIDE = Path(__file__).parent / "inside"
START_FRAME = 5
FRAMES = (5, 6, 13, 27, 44)

PENETRATION = np.linspace(0.0, 7.5, random_clip(1).frames).round(2)
"""Millimetres, as a clip's own figures."""

needs_body = pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built")


@dataclass(frozen=True)
class Measured:
    clip: InteractionClip
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


CLIPS = {
    "still": {"seed": 1},
    "moving": {"seed": 2, "moving_camera": True, "beta_scale": 4.0, "fps": 25.0, "size": (1080, 1920)},
}


def case_clip(kind: str) -> InteractionClip:
    clip = random_clip(**CLIPS[kind])
    clip.contacts = np.random.default_rng(5).uniform(0, 1, clip.contacts.shape).astype(np.float32) ** 3
    if kind == "moving":
        clip.betas[1, 3] = 12.5  # beyond what a shape key's value may be
    else:
        clip.metadata = {**clip.metadata, "quality": {"penetration_mm": PENETRATION.tolist()}}
    return clip


@functools.cache
def measured(runtime: BlenderRuntime, kind: str) -> Measured:
    """Import the clip once in that Blender and measure everything."""
    clip = case_clip(kind)
    with tempfile.TemporaryDirectory(prefix="closeint-test-") as name:
        folder = Path(name)
        clip.save(folder / "take 1.closeint.npz")
        arguments = [str(folder / "take 1.closeint.npz"), name, ",".join(map(str, FRAMES))]
        run_inside(runtime, "measure_import.py", arguments)
        facts = json.loads((folder / "facts.json").read_text())
        with np.load(folder / "arrays.npz") as archive:
            arrays = {key: archive[key] for key in archive.files}
    return Measured(clip, facts, arrays)


def depths_of(clip: InteractionClip) -> np.ndarray:
    """(T,) metres, by the same spheres, without Blender."""
    body = load_body(clip.body)
    spheres = tuple(fill(body, betas) for betas in clip.betas)
    return PairState.of(body, clip.poses, clip.transl, clip.betas, spheres).depths()


@functools.cache
def reference(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (F, P, V, 3) and joints (F, P, 24, 3) of FRAMES."""
    clip = case_clip(kind)
    at = np.array(FRAMES) - START_FRAME
    vertices, joints = lbs(load_body(clip.body), clip.poses[:, at], clip.betas[:, None], clip.transl[:, at])
    return vertices.swapaxes(0, 1), joints.swapaxes(0, 1)


@pytest.fixture(params=sorted(CLIPS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@needs_body
def test_bones_and_vertices(runtime: BlenderRuntime, kind: str) -> None:
    arrays = measured(runtime, kind).arrays
    vertices, joints = reference(kind)
    assert np.linalg.norm(arrays["heads"] - joints, axis=-1).max() < 1e-4
    assert np.linalg.norm(arrays["vertices"] - vertices, axis=-1).max() < 5e-4


@needs_body
def test_saved_and_opened_again(runtime: BlenderRuntime, kind: str) -> None:
    result = measured(runtime, kind)
    for name in ("heads", "vertices", "pixels"):
        np.testing.assert_allclose(result.arrays[f"reopened_{name}"], result.arrays[name][:1], atol=1e-5)
    # A saved file keeps its clip by a relative path.
    for properties in result.facts["scene"]["properties"]:
        properties["closeint_clip"] = "//take 1.closeint.npz"
    assert result.facts["reopened"] == result.facts["scene"]


@needs_body
def test_camera(runtime: BlenderRuntime, kind: str) -> None:
    result = measured(runtime, kind)
    clip, points = result.clip, result.arrays["points"]
    still = len(clip.camera_K) == 1
    at = np.zeros(len(FRAMES), int) if still else np.array(FRAMES) - START_FRAME
    seen = np.einsum("fij,nj->fni", clip.camera_R[at].astype(float), points) + clip.camera_t[at, None]
    image = np.einsum("fij,fnj->fni", clip.camera_K[at].astype(float), seen)
    np.testing.assert_allclose(result.arrays["pixels"], image[..., :2] / image[..., 2:], atol=0.1)
    scene = result.facts["scene"]
    assert scene["scene_camera"] == "take 1 Camera"
    assert scene["resolution"] == clip.image_size.tolist()
    assert scene["camera_curves"]["curves"] == (0 if still else 7)
    assert scene["lens_curves"]["curves"] == (0 if still else 3)
    assert scene["background"] is None


@needs_body
def test_scene(runtime: BlenderRuntime, kind: str) -> None:
    result = measured(runtime, kind)
    scene = result.facts["scene"]
    assert scene["fps"] == pytest.approx(result.clip.fps, rel=1e-6)
    assert scene["range"] == [START_FRAME, START_FRAME + result.clip.frames - 1]
    people = [f"take 1 Person {n}" for n in (1, 2)]
    assert scene["collection"] == "take 1"
    assert scene["objects"] == sorted(["take 1 Camera", *people, *(f"{name} Body" for name in people)])
    assert scene["actions"] == people
    assert result.facts["collections_after_second"][-2:] == ["take 1", "take 1.001"]


@needs_body
def test_curves(runtime: BlenderRuntime, kind: str) -> None:
    result = measured(runtime, kind)
    for curves in result.facts["scene"]["curves"]:
        assert curves["curves"] == 24 * 4 + 3
        assert curves["interpolation"] == ["LINEAR"]
        assert curves["keys"] == [[START_FRAME, START_FRAME + result.clip.frames - 1, result.clip.frames]]
        assert curves["rotations"] == 24
        assert curves["smallest_dot"] > 0.5  # the motion turns by far less than 120 degrees a frame
        assert curves["groups"] == sorted(JOINT_NAMES)


@needs_body
def test_mesh(runtime: BlenderRuntime, kind: str) -> None:
    result = measured(runtime, kind)
    body = load_body(result.clip.body)
    for person, mesh in enumerate(result.facts["scene"]["meshes"]):
        assert (mesh["vertices"], mesh["faces"]) == (len(body.template), len(body.faces))
        assert mesh["valid"]
        assert mesh["smooth"]
        assert mesh["groups"] == list(JOINT_NAMES)
        assert mesh["groups_most"] <= 4
        np.testing.assert_allclose(mesh["weight_sum"], 1, atol=1e-4)
        assert mesh["keys"] == ["Basis", *(f"Shape{i:03d}" for i in range(10))]
        np.testing.assert_allclose(mesh["key_values"], result.clip.betas[person].clip(-10, 10), rtol=1e-6)
        assert len(mesh["materials"]) == 5
        assert len(mesh["material_indices"]) >= 4
        assert mesh["uv_layers"] == (body.uv is not None)
    first, second = (set(mesh["materials"]) for mesh in result.facts["scene"]["meshes"])
    assert not first & second


@needs_body
def test_properties(runtime: BlenderRuntime, kind: str) -> None:
    result = measured(runtime, kind)
    for person, properties in enumerate(result.facts["scene"]["properties"]):
        assert properties["closeint_person"] == person
        assert properties["closeint_body"] == "closeint-default/1"
        assert properties["closeint_start_frame"] == START_FRAME
        assert Path(properties["closeint_clip"]).name == "take 1.closeint.npz"
        np.testing.assert_allclose(properties["closeint_betas"], result.clip.betas[person], rtol=1e-6)


@needs_body
def test_contact_and_penetration_are_curves(runtime: BlenderRuntime, kind: str) -> None:
    result = measured(runtime, kind)
    clip = result.clip
    for person, facts in enumerate(result.facts["series"]):
        assert facts["times"] == [[START_FRAME, START_FRAME + clip.frames - 1, clip.frames]]
        series = {name: np.array(values).T for name, values in facts["series"].items()}
        np.testing.assert_allclose(series["closeint_contacts"], clip.contacts[person], atol=1e-6)
        np.testing.assert_allclose(series["closeint_contact"][:, 0], clip.contacts[person].max(-1), atol=1e-6)
        np.testing.assert_allclose(series["closeint_visible"][:, 0], clip.visible[person], atol=1e-6)
        # As the clip's own figures say where it has them, else as the spheres that fill the bodies do.
        expected = PENETRATION if kind == "still" else 1000 * depths_of(clip)
        np.testing.assert_allclose(series["closeint_penetration"][:, 0], expected, atol=0.05)
    if kind == "moving":
        assert expected.max() > 0, "the case shows nothing"


@needs_body
def test_contact_colours(runtime: BlenderRuntime, kind: str) -> None:
    """Every part by the most that it touches in the clip; skin between two parts by both."""
    result = measured(runtime, kind)
    body = load_body(result.clip.body)
    for person, facts in enumerate(result.facts["contact"]):
        assert facts["domain"] == "POINT"
        touch = body.dense_weights @ result.clip.contacts[person].max(0)
        colours = np.array(facts["colours"])
        np.testing.assert_allclose(colours, PLAIN + touch[:, None] * (TOUCH - PLAIN), atol=2e-3)
        assert np.ptp(touch) > 0.1


@needs_body
def test_the_user_s_place_is_kept(runtime: BlenderRuntime, kind: str) -> None:
    before, after = measured(runtime, kind).facts["state"]
    assert before["mode"] == "EDIT"
    assert after == before


@needs_body
def test_one_undo_step(runtime: BlenderRuntime, kind: str) -> None:
    # after the import, undo, redo, undo
    assert measured(runtime, kind).facts["undo"] == [False, True, False, True]


@needs_body
def test_bad_files_are_reported_and_change_nothing(runtime: BlenderRuntime, kind: str) -> None:
    (missing, made), (text, made_too) = measured(runtime, kind).facts["errors"]
    assert "There is no clip file at" in missing
    assert "is not a readable clip file" in text
    assert made == made_too == 0


@needs_body
def test_licensed_body(newest_runtime: BlenderRuntime, tmp_path: Path) -> None:
    """A body in the layout of the official files: skinned without its pose correctives, which is said."""
    body = load_body()
    np.savez(
        tmp_path / "SMPL_NEUTRAL.npz", v_template=body.template, shapedirs=body.shapedirs,
        posedirs=np.random.default_rng(0).normal(0, 0.01, (body.num_vertices, 3, 207)).astype(np.float32),
        J_regressor=body.joint_regressor, weights=body.dense_weights, f=body.faces.astype(np.uint32),
        kintree_table=np.array([np.array(body.parents, np.int64) % 2**32, np.arange(24)], np.uint32),
    )  # fmt: skip
    clip = random_clip(9, frames=4).copy(body="smpl-neutral")
    clip.save(tmp_path / "a.closeint.npz")
    arguments = [str(tmp_path / "a.closeint.npz"), str(tmp_path), "5,8"]
    said = run_inside(newest_runtime, "measure_import.py", arguments, CLOSEINT_DATA=str(tmp_path))
    assert "pose-dependent corrections of the body smpl-neutral are left out" in said
    with np.load(tmp_path / "arrays.npz") as arrays:
        heads, vertices = arrays["heads"], arrays["vertices"]
    at = [0, 3]
    plain = replace(body, posedirs=None)
    expected, joints = lbs(plain, clip.poses[:, at], clip.betas[:, None], clip.transl[:, at])
    assert np.linalg.norm(heads - joints.swapaxes(0, 1), axis=-1).max() < 1e-4
    assert np.linalg.norm(vertices - expected.swapaxes(0, 1), axis=-1).max() < 5e-4


@needs_body
def test_unregistered(runtime: BlenderRuntime) -> None:
    facts = measured(runtime, "still").facts
    assert facts["operator_gone"]
    assert facts["returned"] == ["FINISHED"]


@needs_body
def test_footage(runtime: BlenderRuntime, tmp_path: Path) -> None:
    write_images(tmp_path / "images", range(62, 82))
    write_video(tmp_path / "shot.mp4", 30)
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "wide.mp4").write_bytes((tmp_path / "shot.mp4").read_bytes())
    cases = {"images": 4, "shot.mp4": 7, "gone.mp4": 0, "text.mp4": 0, "wide.mp4": 7}
    paths = []
    for number, (video, frame_start) in enumerate(cases.items()):
        clip = random_clip(7, frames=10, people=1, video=video, frame_start=frame_start, fps=25.0, size=(128, 72))
        if video == "wide.mp4":
            # of pixels 4/3 times as wide as high, which the video does not say to Blender
            clip.image_size = np.array((171, 72))
            clip.metadata = {"footage": {"pixel_aspect": 4 / 3}}
        paths.append(str(clip.save(tmp_path / f"{number}.closeint.npz")))
    run_inside(runtime, "measure_footage.py", [str(tmp_path / "report.json"), "5,10", *paths])
    images, shot, gone, text, wide = json.loads((tmp_path / "report.json").read_text())
    # Scene frames 5 and 10 are clip frames 0 and 5: images 66 and 71, video frames 7 and 12. Neighbours differ by more
    # than the tolerance.
    assert images["warnings"] == shot["warnings"] == []
    np.testing.assert_allclose(images["brightness"], [3 * 66 / 255, 3 * 71 / 255], atol=0.003)
    np.testing.assert_allclose(shot["brightness"], [95 / 255, 120 / 255], atol=2 / 255)
    assert wide["warnings"] == []
    assert wide["brightness"] == pytest.approx(shot["brightness"])
    assert (shot["display_aspect"], wide["display_aspect"]) == ([1, 1], pytest.approx([4 / 3, 1]))
    for report, part in ((gone, "was not found"), (text, "cannot read")):
        assert len(report["warnings"]) == 1
        assert part in report["warnings"][0]
        assert report["backgrounds"] == 0


def write_video(path: Path, frames: int) -> None:
    """A grey video; the level of frame n is 60 + 5 n."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 128, 72, "yuv420p"
        for number in range(frames):
            grey = np.full((72, 128, 3), 60 + 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
