# SPDX-License-Identifier: Apache-2.0
"""Import options, re-applying, reading back, looking and fixing, in every Blender of this machine."""

from __future__ import annotations

import functools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blender_runtimes import BlenderRuntime
from support.fixing_clips import FRAMES, HEIGHT, UNSEEN, touching_clip
from support.inside import run_inside, write_images
from support.wild_clips import random_clip

from closeint_blender.analysis.contacts import PairState, contact_error, find_touches
from closeint_blender.analysis.medial_spheres import fill
from closeint_blender.analysis.series import jitter
from closeint_core.body.data import DEFAULT_BODY_FILE, JOINT_NAMES, load_body
from closeint_core.body.skinning import axis_angle_to_matrix, lbs
from closeint_core.clip import InteractionClip

pytestmark = pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built")

ONE = random_clip(1, frames=12, fps=25.0)
TWO = random_clip(2, frames=12, fps=25.0)
MOVING = random_clip(4, frames=12, fps=25.0, moving_camera=True)
SOLO = random_clip(3, frames=8, people=1, fps=25.0)


@dataclass(frozen=True)
class Fixed:
    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]


@functools.cache
def touch() -> InteractionClip:
    return touching_clip()


@functools.cache
def fixed(runtime: BlenderRuntime) -> Fixed:
    """Everything, done once in that Blender."""
    with tempfile.TemporaryDirectory(prefix="closeint-test-") as name:
        folder = Path(name)
        for clip, stem in ((ONE, "one"), (TWO, "two"), (SOLO, "other"), (MOVING, "moving"), (touch(), "touch")):
            clip.save(folder / f"{stem}.closeint.npz")
        write_images(folder / "images", range(5, 20))
        run_inside(runtime, "measure_fixing.py", [name])
        facts = json.loads((folder / "facts.json").read_text())
        with np.load(folder / "arrays.npz") as archive:
            arrays = {key: archive[key] for key in archive.files}
    return Fixed(facts, arrays)


def joints(clip: InteractionClip, frame: int) -> np.ndarray:
    return lbs(load_body(), clip.poses[:, frame], clip.betas, clip.transl[:, frame])[1]


def assert_same_motion(arrays: dict[str, np.ndarray], name: str, poses: np.ndarray, transl: np.ndarray) -> None:
    found = axis_angle_to_matrix(arrays[f"{name}_poses"])
    np.testing.assert_allclose(found, axis_angle_to_matrix(poses), atol=2e-5)
    np.testing.assert_allclose(arrays[f"{name}_transl"], transl, atol=2e-5)


# -- import options --------------------------------------------------------------------------------------------------


def test_speed_is_kept_at_the_scene_s_rate(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    scaled = result.facts["scaled"]
    assert scaled["step"] == pytest.approx(60 / 25)
    assert scaled["fps"] == 60
    assert scaled["count"] == 12
    np.testing.assert_allclose(scaled["keys"], [11, 11 + 2.4, 11 + 2.4 * 11], rtol=1e-6)
    assert scaled["range"] == [11, int(11 + 2.4 * 11)]
    np.testing.assert_allclose(result.arrays["scaled_heads"], joints(ONE, 3), atol=1e-4)
    assert_same_motion(result.arrays, "scaled", ONE.poses, ONE.transl)


def test_keys_between_the_clip_s_frames_are_corrections(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    (pin,) = result.facts["between"]
    assert (pin["type"], pin["person"], pin["frame"], pin["joint"]) == ("rotation", 1, 2, "head")
    head = result.arrays["between_poses"][1, 0, JOINT_NAMES.index("head")]
    np.testing.assert_allclose(pin["rotation"], head, atol=1e-6)
    assert np.linalg.norm(head) == pytest.approx(2 * np.arccos(0.6), abs=1e-4)


def test_footage_keeps_pace_with_the_motion(runtime: BlenderRuntime) -> None:
    # Clip frames 0, 0.42, 1.25, 3.75 and 10.83: images 5 and so on.
    assert fixed(runtime).facts["footage_shown"] == [5, 5, 6, 8, 15]


def test_frame_by_frame_leaves_the_rate(runtime: BlenderRuntime) -> None:
    assert fixed(runtime).facts["frames"] == {"step": 1.0, "fps": 24.0, "end": 12}


def test_armatures_only_in_the_active_collection_with_strips_and_floor(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    bare = result.facts["bare"]
    assert bare["in_mine"] == ["one Person 1", "one Person 2"]
    assert "one" not in bare["collections"]
    assert bare["floor_home"] == "Mine Floor"
    assert bare["floor_z"] == 0
    assert bare["catcher"]
    spread = np.ptp(ONE.transl[..., :2], axis=(0, 1)) + 3.0
    np.testing.assert_allclose(bare["floor_size"], [*spread, 0], rtol=1e-4, atol=1e-6)
    assert bare["cameras"] == 0
    assert bare["range"] == [1, 250]  # the scene was to be left alone
    assert bare["tracks"] == [["closeint"], ["closeint"]]
    assert bare["active_actions"] == [True, True]
    np.testing.assert_allclose(result.arrays["nla_heads"], joints(ONE, 3), atol=1e-4)
    assert_same_motion(result.arrays, "nla", ONE.poses, ONE.transl)


def test_a_new_result_is_a_new_strip(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    for tracks in result.facts["bare"]["tracks_after"]:
        assert [mute for _, mute in tracks] == [True, False]
    np.testing.assert_allclose(result.arrays["nla_again_heads"], joints(TWO, 3), atol=1e-4)
    assert result.facts["strip_curves"] == 24 * 4 + 3


def test_a_bone_keyed_over_a_strip_is_a_correction(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    facts = result.facts["on_strip"]
    assert facts["active"]
    assert ["rotation", 0, 4, "left_elbow"] in facts["pins"]
    assert {(person, joint) for _, person, _, joint in facts["pins"]} == {(0, "left_elbow")}
    assert_same_motion(result.arrays, "on_strip_reference", ONE.poses, ONE.transl)


# -- re-applying -----------------------------------------------------------------------------------------------------


def test_reapplying_keeps_what_the_user_made(runtime: BlenderRuntime) -> None:
    facts = fixed(runtime).facts["reapplied"]
    before, after = facts["objects"]
    assert before == after
    assert facts["people"] == ["Anna", "one Person 2"]
    assert facts["material"] == "Red"
    assert facts["modifiers"] == ["ARMATURE", "SMOOTH"]
    assert facts["palette"] == "THEME07"
    assert facts["note"] == "mine"
    assert facts["hidden"]
    assert facts["old_action_kept"]
    assert facts["new_action"]
    assert facts["frame"] == 3


def test_reapplying_gives_the_new_motion_and_shape(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    facts = result.facts["reapplied"]
    assert facts["clip"] == "two.closeint.npz"
    np.testing.assert_allclose(facts["betas"], TWO.betas, rtol=1e-6)
    np.testing.assert_allclose(facts["keys"], TWO.betas, rtol=1e-5)
    np.testing.assert_allclose(result.arrays["reapplied_heads"], joints(TWO, 5), atol=1e-4)
    # The smoothing modifier is on the first person's mesh; the second shows the plain skin.
    vertices = lbs(load_body(), TWO.poses[1, 5], TWO.betas[1], TWO.transl[1, 5])[0]
    assert np.linalg.norm(result.arrays["reapplied_vertices"] - vertices, axis=-1).max() < 5e-4
    np.testing.assert_allclose(result.arrays["swapped_heads"], joints(TWO, 5)[::-1], atol=1e-4)


def test_reapplying_is_one_undo_step(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    assert result.facts["reapplied"]["after_undo"] == "one.closeint.npz"
    assert result.facts["reapplied"]["after_redo"] == "two.closeint.npz"
    np.testing.assert_allclose(result.arrays["undone_heads"], joints(ONE, 5), atol=1e-4)


def test_clips_that_do_not_fit_are_refused(runtime: BlenderRuntime) -> None:
    people, missing, made = fixed(runtime).facts["refused"]
    assert "has 1 people, but there are 2 characters" in people
    assert "There is no clip file" in missing
    assert made == 0


# -- reading back ----------------------------------------------------------------------------------------------------


def test_the_motion_reads_back(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    for name in ("plain", "together", "played", "reference"):
        assert_same_motion(result.arrays, name, ONE.poses, ONE.transl)
    assert result.facts["frame_kept"]
    now = axis_angle_to_matrix(result.arrays["now_poses"])
    np.testing.assert_allclose(now[:, 0], axis_angle_to_matrix(ONE.poses[:, 4]), atol=5e-5)
    np.testing.assert_allclose(result.arrays["now_transl"][:, 0], ONE.transl[:, 4], atol=5e-5)


def test_a_character_moved_against_the_other_is_part_of_the_motion(runtime: BlenderRuntime) -> None:
    arrays = fixed(runtime).arrays
    moved = arrays["apart_transl"][1] - ONE.transl[1]
    # A quarter of a metre along the world's X, in the first character's frame.
    expected = 0.25 * np.array([np.cos(0.7), -np.sin(0.7), 0])
    np.testing.assert_allclose(moved, np.tile(expected, (12, 1)), atol=1e-4)
    np.testing.assert_allclose(arrays["apart_transl"][0], ONE.transl[0], atol=1e-4)
    apart = np.linalg.norm(arrays["apart_heads"][0, 0] - arrays["apart_heads"][1, 0])
    read = lbs(load_body(), arrays["apart_poses"][:, 4], ONE.betas, arrays["apart_transl"][:, 4])[1]
    assert np.linalg.norm(read[0, 0] - read[1, 0]) == pytest.approx(apart, abs=1e-4)
    assert "scaled against" in fixed(runtime).facts["scaled_refused"]


def test_keys_changed_by_hand_are_found(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    elbow = JOINT_NAMES.index("left_elbow")
    assert result.facts["edits_before"] == 0
    assert result.facts["edits"] == [[0, 4, elbow], [0, 5, 0]]
    pins = result.facts["corrections"]["pins"]
    assert [(p["type"], p["frame"], p["joint"]) for p in pins] == [
        ("rotation", 4, "left_elbow"), ("rotation", 5, "pelvis"), ("position", 5, "pelvis")
    ]  # fmt: skip
    np.testing.assert_allclose(pins[0]["rotation"], result.arrays["edited_poses"][0, 4, elbow], atol=1e-6)
    assert np.abs(result.arrays["edited_poses"][0, 4, elbow] - ONE.poses[0, 4, elbow]).max() > 0.1
    body = load_body()
    root = body.rest(ONE.betas[0])[1][0]
    np.testing.assert_allclose(pins[2]["position"], result.arrays["edited_transl"][0, 5] + root, atol=1e-5)


# -- looking ---------------------------------------------------------------------------------------------------------


def test_series_are_the_clip_s(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    clip = touch()
    for person in (0, 1):
        series = {
            name: result.arrays[f"series{person}_closeint_{name}"]
            for name in ("visible", "confidence", "contact", "contacts", "unseen")
        }
        np.testing.assert_array_equal(series["visible"], clip.visible[person])
        np.testing.assert_allclose(series["contacts"], clip.contacts[person], atol=1e-6)
        np.testing.assert_allclose(series["contact"], clip.contacts[person].max(-1), atol=1e-6)
        seen = clip.visible[person]
        np.testing.assert_allclose(series["confidence"], np.where(seen, 0.8, 0), atol=1e-6)
        gap = np.where(seen, 0, (UNSEEN.stop - UNSEEN.start) / 30.0)
        np.testing.assert_allclose(series["unseen"], gap, atol=1e-6)
    (sure, contacts), _ = result.facts["at_frame_4"]
    assert sure == pytest.approx(0.8)
    np.testing.assert_allclose(contacts, clip.contacts[0, 3], atol=1e-6)
    assert "touches the other person" in result.facts["described"]


def test_overlay_colours_what_touches(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    overlay = result.facts["overlay"]
    assert overlay["active"] == ["contact", "contact"]
    assert overlay["domain"] == ["POINT", "POINT"]
    assert overlay["shown"] == [True, True]
    assert overlay["off"] == [False, False]
    body = load_body()
    hand = body.parts == JOINT_NAMES.index("left_hand")
    chest = body.parts == JOINT_NAMES.index("pelvis")
    early, _, late, late_other = result.arrays["colours"]
    assert early[hand, 0].max() < 0.35  # nothing touches in the first frame
    assert late[hand, 0].mean() > 0.7  # red and green of orange
    assert np.abs(late[chest] - early[chest]).max() < 1e-6
    shoulder = body.parts == JOINT_NAMES.index("right_shoulder")
    assert late_other[shoulder, 0].mean() > 0.6


def test_measured_series(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    clip = touch()
    _, posed = lbs(load_body(), clip.poses, clip.betas[:, None], clip.transl)
    for person in (0, 1):
        expected = jitter(posed[person], 30.0)
        np.testing.assert_allclose(result.arrays[f"measured{person}_jitter"], expected, rtol=0.02, atol=0.1)
        pixels = result.arrays[f"measured{person}_reprojection"]
        assert pixels[5] < 0.1
    assert result.arrays["measured0_reprojection"][25] == pytest.approx(np.hypot(40, 40), abs=0.5)
    assert (result.arrays["measured1_reprojection"][UNSEEN] == 0).all()
    assert result.arrays["measured0_penetration"].shape == (FRAMES,)


def test_jumps_go_to_the_worst_and_on(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    jumps = result.facts["jumps"]
    assert jumps["REPROJECTION"][0] == jumps["REPROJECTION"][2] == 26
    assert jumps["UNSEEN"][0] == 1 + (UNSEEN.start + UNSEEN.stop - 1) // 2
    measured = np.maximum(result.arrays["measured0_jitter"], result.arrays["measured1_jitter"])
    assert measured[jumps["JITTER"][0] - 1] == measured.max()
    assert jumps["JITTER"][1] != jumps["JITTER"][0]
    depth = result.arrays["measured0_penetration"]
    assert depth[jumps["PENETRATION"][0] - 1] == depth.max()


# -- marks -----------------------------------------------------------------------------------------------------------


def test_marks(runtime: BlenderRuntime) -> None:
    facts = fixed(runtime).facts
    assert "No bone of the characters is selected" in facts["nothing_selected"]
    assert "no bone 'tail'" in facts["wrong_bone"]
    first, apart, nearest, pin, scripted = facts["marks"]
    assert first[:6] == ["CONTACT", 5, 7, 0, "left_hand", "spine3"]
    assert first[-1] == "5-7: P1 left hand on spine3"
    assert apart[:6] == ["APART", 5, 5, 0, "right_hand", ""]
    assert nearest[:5] == ["CONTACT", 5, 5, 0, "right_hand"]
    assert nearest[5] in JOINT_NAMES
    assert pin[:5] == ["PIN", 5, 5, 0, "right_hand"]
    assert pin[6] == "ROTATION"
    assert scripted[:6] == ["CONTACT", 5, 5, 1, "left_hand", "pelvis"]
    pins = facts["mark_corrections"]["pins"]
    assert [p["type"] for p in pins] == ["rotation", "contact", "no_contact", "contact", "contact"]
    assert {"frame": 4, "last": 6, "person": 0, "part": "left_hand", "other_part": "spine3"}.items() <= pins[1].items()
    assert pins[2]["other_part"] is None
    assert facts["marks_left"] == 4


def test_marks_and_series_are_saved(runtime: BlenderRuntime) -> None:
    facts = fixed(runtime).facts
    assert facts["reopened"]["marks"] == ["APART", "CONTACT", "PIN", "CONTACT"]
    assert "closeint_contacts" in facts["reopened"]["series"]
    assert facts["reopened"]["count"] == FRAMES
    assert facts["reopened"]["edits"] == [[0, 4, JOINT_NAMES.index("right_hand")]]
    assert facts["marks_cleared"] == 0


# -- both together ---------------------------------------------------------------------------------------------------


def state(arrays: dict[str, np.ndarray], name: str) -> PairState:
    body, betas = load_body(), touch().betas
    return PairState.of(body, arrays[f"{name}_poses"], arrays[f"{name}_transl"], betas, spheres())


@functools.cache
def spheres() -> Any:
    return tuple(fill(load_body(), b) for b in touch().betas)


def test_smoothing_calms_and_holds(runtime: BlenderRuntime) -> None:
    arrays = fixed(runtime).arrays
    rough, smooth, free = (state(arrays, name) for name in ("rough", "smooth", "smooth_free"))
    touches = find_touches(rough)
    assert touches.touching.any()
    calm = [np.mean([jitter(s.joints, 30.0).mean() for s in one.skeletons]) for one in (rough, smooth, free)]
    assert calm[1] < 0.6 * calm[0]
    assert contact_error(touches, smooth) < 0.5 * contact_error(touches, free)
    feet = [JOINT_NAMES.index(name) for name in ("left_ankle", "right_ankle")]
    for person in (0, 1):
        moved = smooth.skeletons[person].joints[:, feet] - rough.skeletons[person].joints[:, feet].mean(0)
        assert np.linalg.norm(moved, axis=-1).max() < 0.02
    assert_same_motion(arrays, "smooth_undone", arrays["rough_poses"], arrays["rough_transl"])
    assert_same_motion(arrays, "smooth_nothing", arrays["smooth_free_poses"], arrays["smooth_free_transl"])
    assert fixed(runtime).facts["smooth_edits"] == 0  # what we wrote is no edit of the user's


def test_grounding_moves_everything_alike(runtime: BlenderRuntime) -> None:
    result = fixed(runtime)
    arrays, body = result.arrays, load_body()
    np.testing.assert_allclose(axis_angle_to_matrix(arrays["floored_poses"]),
                               axis_angle_to_matrix(arrays["rough_poses"]), atol=2e-5)  # fmt: skip
    shift = arrays["floored_transl"] - arrays["rough_transl"]
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0, 0], shift.shape), atol=1e-5)
    np.testing.assert_allclose(shift[0, 0, :2], 0, atol=1e-6)
    vertices, _ = lbs(body, arrays["floored_poses"], touch().betas[:, None], arrays["floored_transl"])
    assert abs(np.median(vertices[..., 2].min(-1))) < 0.006
    assert shift[0, 0, 2] == pytest.approx(-HEIGHT, abs=0.02)
    before, after = arrays["floor_camera"]
    np.testing.assert_allclose(after[:3, 3] - before[:3, 3], shift[0, 0], atol=1e-5)
    np.testing.assert_allclose(after[:3, :3], before[:3, :3], atol=1e-6)
    raised = arrays["raised_transl"] - arrays["floored_transl"]
    np.testing.assert_allclose(raised[..., 2], 0.2, atol=0.002)
    followed, _ = lbs(body, arrays["followed_poses"], touch().betas[:, None], arrays["followed_transl"])
    assert np.abs(followed[..., 2].min(-1).min(0)).max() < 0.02


def test_a_moving_camera_goes_along(runtime: BlenderRuntime) -> None:
    before, after = fixed(runtime).arrays["seen_by_moving_camera"]
    np.testing.assert_allclose(before, after, atol=1e-4)


def test_graph_shapes(runtime: BlenderRuntime) -> None:
    columns, as_they_are, corners = fixed(runtime).facts["graph"]
    assert columns == [1, 3, 5, 7, 9]  # the highest of each two
    assert as_they_are == [1, 5, 2]
    assert corners == [[20, 5], [30, 5], [30, 8], [20, 5], [30, 8], [20, 8]]


def test_one_person_is_smoothed_and_grounded_too(runtime: BlenderRuntime) -> None:
    smooth, floor, mark, measure = fixed(runtime).facts["single"]
    assert (smooth, floor, measure) == ("", "", "")
    assert "between two people" in mark


def test_everything_unregisters(runtime: BlenderRuntime) -> None:
    assert fixed(runtime).facts["gone"]
