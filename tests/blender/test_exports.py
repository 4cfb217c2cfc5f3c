# SPDX-License-Identifier: Apache-2.0
"""Exports arrive whole: read back by Blender's importers and by readers that have nothing to do with Blender.

Right is numpy's skinning of the clip: bones within 0.01 mm, skins within 0.1 mm, in the first, the last
and other frames.
"""

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
from scipy.spatial import cKDTree
from support.inside import run_inside
from support.wild_clips import random_clip

from closeint_core.body.data import DEFAULT_BODY_FILE, JOINT_NAMES, load_body
from closeint_core.body.skinning import lbs
from closeint_core.clip import InteractionClip

pytestmark = pytest.mark.skipif(not DEFAULT_BODY_FILE.is_file(), reason="the default body is not built")

FRAMES = (0, 1, 3, 5)
BONES, SKIN = 1e-5, 1e-4
"""Metres."""

CASES: dict[str, dict[str, Any]] = {
    # Late, at a rate that is no whole number, and moved by strips.
    "strips": {"start_frame": 101, "nla": True},
    # A camera that moves, and the unit that people use for Unreal.
    "centimetres": {"start_frame": 1, "unit": 0.01},
}


def case_clip(case: str) -> InteractionClip:
    clip = random_clip(3, frames=6, moving_camera=case != "strips", fps=30000 / 1001 if case == "strips" else 25.0)
    # Differences of body that a reader which clamps or drops shape keys cannot hide.
    clip.betas[0], clip.betas[1] = np.resize((2.0, -2.0, 1.5), 10), np.resize((-2.0, 2.0, -1.5), 10)
    return clip


@dataclass(frozen=True)
class Exported:
    case: str
    clip: InteractionClip
    folder: Path
    facts: dict[str, Any]
    kept: tempfile.TemporaryDirectory[str]


@functools.cache
def exported(runtime: BlenderRuntime, case: str) -> Exported:
    """Export the clip once in that Blender, to every format, and read everything back in it."""
    kept = tempfile.TemporaryDirectory(prefix="closeint-test-")
    folder = Path(kept.name)
    clip = case_clip(case)
    clip.save(folder / "take 1.closeint.npz")
    arguments = [str(folder / "take 1.closeint.npz"), str(folder), json.dumps(CASES[case])]
    run_inside(runtime, "measure_exports.py", arguments)
    return Exported(case, clip, folder, json.loads((folder / "facts.json").read_text()), kept)


@functools.cache
def reference(case: str) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (F, P, V, 3) and joints (F, P, 24, 3) at FRAMES."""
    clip = case_clip(case)
    at = list(FRAMES)
    vertices, joints = lbs(load_body(clip.body), clip.poses[:, at], clip.betas[:, None], clip.transl[:, at])
    return vertices.swapaxes(0, 1), joints.swapaxes(0, 1)


def check(case: str, person: int, heads: np.ndarray, skins: np.ndarray | list[np.ndarray]) -> None:
    """Joints (F, 24, 3) in the order of the body; points of the skin (F, ..., 3) in any order, some of them twice."""
    vertices, joints = reference(case)
    assert np.linalg.norm(heads - joints[:, person], axis=-1).max() < BONES
    for points, right in zip(skins, vertices[:, person], strict=True):
        assert len(points) >= len(right)
        assert cKDTree(right).query(points)[0].max() < SKIN
        assert cKDTree(points).query(right)[0].max() < SKIN


@pytest.fixture
def exports(runtime: BlenderRuntime) -> Exported:
    return exported(runtime, "strips")


# -- read back by Blender --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", ["fbx", "fbx_native", "glb", "usd"])
def test_read_back(exports: Exported, reader: str, runtime: BlenderRuntime) -> None:
    if reader == "fbx_native" and runtime.number < (4, 5):
        pytest.skip("this Blender has no wm.fbx_import")
    if reader not in exports.facts:
        pytest.skip("this Blender has no USD")
    facts = exports.facts[reader]
    with np.load(exports.folder / f"{reader}.npz") as arrays:
        for person in (0, 1):
            check(exports.case, person, arrays["heads"][:, person], arrays[f"skin{person}"])
    assert facts["armatures"] == ["take_1_Person_1", "take_1_Person_2"]
    assert facts["shape_keys"] == 0
    assert len(facts["cameras"]) == 1
    assert all(len(materials) == 5 for materials in facts["materials"])
    assert not set(facts["materials"][0]) & set(facts["materials"][1])
    # Only the pelvis travels, and nothing is scaled.
    assert all({path.split('"')[1].split("_p")[0] for path in paths} == {"pelvis"} for paths in facts["paths"])
    bones = [set(names) for names in facts["bones"]]
    if reader == "usd":
        assert bones == [set(JOINT_NAMES)] * 2
        start = CASES[exports.case]["start_frame"]
        assert facts["ends"] == [start, start + 5]
    else:
        assert bones == [{f"{name}_p{person}" for name in JOINT_NAMES} for person in (1, 2)]
        # At time 0, wherever the scene has it; Blender's readers of FBX count from frame 1.
        assert facts["ends"][0] == pytest.approx(0 if reader == "glb" else 1, abs=1e-4)
        assert np.ptp(facts["ends"]) / facts["rate"] == pytest.approx(5 / exports.clip.fps, rel=2e-3)


@pytest.mark.parametrize("person", [0, 1])
def test_a_file_for_each_person(exports: Exported, person: int) -> None:
    facts = exports.facts[f"person{person + 1}"]
    assert facts["bones"] == [sorted(JOINT_NAMES)]
    assert facts["cameras"] == []
    with np.load(exports.folder / f"person{person + 1}.npz") as arrays:
        check(exports.case, person, arrays["heads"][:, 0], arrays["skin0"])


def test_the_user_s_scene_stays(exports: Exported) -> None:
    before, after = exports.facts["export"]["before"], exports.facts["export"]["after"]
    assert before["active"][1] == "POSE"
    assert exports.facts["export"]["editing"] == [True, "EDIT"]
    for what, value in before.items():
        assert after[what] == value, what
    wanted = ["x.fbx", "x.glb", "x.usdc", "x_p1.fbx", "x_p2.fbx"]
    assert exports.facts["export"]["files"] == [
        name for name in wanted if name[-4:] != "usdc" or "usd" in exports.facts
    ]


# -- read by others --------------------------------------------------------------------------------------------------


_WIDTH = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_KIND = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}


class Glb:
    """A GLB file by pygltflib, posed and skinned as the format's specification says."""

    def __init__(self, path: Path) -> None:
        pygltflib = pytest.importorskip("pygltflib")
        self.file = pygltflib.GLTF2().load(str(path))
        self.blob = self.file.binary_blob()

    def values(self, number: int) -> np.ndarray:
        accessor = self.file.accessors[number]
        view = self.file.bufferViews[accessor.bufferView]
        start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
        kind, width = _KIND[accessor.componentType], _WIDTH[accessor.type]
        return np.frombuffer(self.blob, kind, accessor.count * width, start).reshape(-1, width)

    def worlds(self, time: float) -> np.ndarray:
        """(N, 4, 4) of all nodes at a time that has keys."""
        nodes = self.file.nodes
        local = [
            {
                "translation": node.translation or [0, 0, 0],
                "rotation": node.rotation or [0, 0, 0, 1],
                "scale": node.scale or [1, 1, 1],
            }
            for node in nodes
        ]
        (animation,) = self.file.animations
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            times, values = self.values(sampler.input)[:, 0], self.values(sampler.output)
            row = int(np.abs(times - time).argmin())
            if abs(times[row] - time) > 1e-4:
                assert np.ptp(values, axis=0).max() < 1e-6, "no key at the frame of something that moves"
            local[channel.target.node][channel.target.path] = values[row]
        worlds = np.tile(np.eye(4), (len(nodes), 1, 1))

        def descend(number: int, above: np.ndarray) -> None:
            x, y, z, w = local[number]["rotation"]
            matrix = np.eye(4)
            matrix[:3, :3] = [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
            matrix[:3, :3] *= np.asarray(local[number]["scale"])
            matrix[:3, 3] = local[number]["translation"]
            worlds[number] = above @ matrix
            for child in nodes[number].children or []:
                descend(child, worlds[number])

        for root in self.file.scenes[self.file.scene].nodes:
            descend(root, np.eye(4))
        return worlds

    def person(self, suffix: str, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Joints (24, 3) and points (N, 3) of the person whose bones end so, in Blender's axes."""
        worlds = self.worlds(time)
        names = [node.name for node in self.file.nodes]
        heads = np.array([worlds[names.index(f"{joint}{suffix}")][:3, 3] for joint in JOINT_NAMES])
        points = []
        for node in self.file.nodes:
            if node.mesh is None or node.skin is None:
                continue
            skin = self.file.skins[node.skin]
            if not self.file.nodes[skin.joints[0]].name.endswith(suffix):
                continue
            inverse = self.values(skin.inverseBindMatrices).reshape(-1, 4, 4).swapaxes(1, 2)
            moves = worlds[skin.joints] @ inverse
            for primitive in self.file.meshes[node.mesh].primitives:
                attributes = primitive.attributes
                at = self.values(attributes.POSITION)
                weights = self.values(attributes.WEIGHTS_0)
                np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
                blend = np.einsum("vk,vkij->vij", weights, moves[self.values(attributes.JOINTS_0)])
                points.append(np.einsum("vij,vj->vi", blend, np.c_[at, np.ones(len(at))])[:, :3])
        return _to_z_up(heads), _to_z_up(np.concatenate(points))


def _to_z_up(points: np.ndarray) -> np.ndarray:
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def test_glb_as_a_player_shows_it(exports: Exported) -> None:
    glb = Glb(exports.folder / "x.glb")
    assert len(glb.file.animations) == 1
    (animation,) = glb.file.animations
    names = [node.name for node in glb.file.nodes]
    assert len(set(names)) == len(names), "players find nodes by their names"
    assert all(not mesh.primitives[0].targets for mesh in glb.file.meshes)
    # From the first moment to the last frame, at the clip's rate and not at Blender's idea of it.
    times = [glb.values(sampler.input) for sampler in animation.samplers]
    assert all(one.min() == 0 for one in times)
    np.testing.assert_allclose([one.max() for one in times], 5 / exports.clip.fps, rtol=1e-6)
    # Nobody is scaled, and only the pelvis and the camera travel.
    paths = {(channel.target.path, names[channel.target.node]) for channel in animation.channels}
    assert not {name for path, name in paths if path == "scale"}
    travel = {name.removesuffix("_p1").removesuffix("_p2") for path, name in paths if path == "translation"}
    assert "pelvis" in travel
    assert not travel & (set(JOINT_NAMES) - {"pelvis"})
    # Nothing is carried along that nobody refers to.
    assert sum(view.byteLength for view in glb.file.bufferViews) <= len(glb.blob) < 2_500_000
    for person in (0, 1):
        posed = [glb.person(f"_p{person + 1}", frame / exports.clip.fps) for frame in FRAMES]
        check(exports.case, person, np.array([heads for heads, _ in posed]), [points for _, points in posed])


def test_glb_by_trimesh(exports: Exported) -> None:
    """Its rest pose has the shapes of both people, upright and in metres."""
    trimesh = pytest.importorskip("trimesh")
    scene = trimesh.load(exports.folder / "x.glb")
    body = load_body()
    heights = [np.ptp(body.rest(betas)[0][:, 1]) for betas in exports.clip.betas]
    found: dict[str, list[np.ndarray]] = {}
    for name, mesh in scene.geometry.items():
        found.setdefault(name.split("_Body")[0], []).append(np.asarray(mesh.vertices))
    measured = [np.ptp(np.concatenate(parts)[:, 1]) for _, parts in sorted(found.items())]
    np.testing.assert_allclose(measured, heights, atol=1e-5)
    assert abs(heights[0] - heights[1]) > 0.02


def test_usd_by_usd(exports: Exported) -> None:
    pytest.importorskip("pxr")
    if not (exports.folder / "x.usdc").exists():
        pytest.skip("this Blender has no USD")
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.Open(str(exports.folder / "x.usdc"))
    start = CASES[exports.case]["start_frame"]
    assert (stage.GetStartTimeCode(), stage.GetEndTimeCode()) == (start, start + 5)
    assert stage.GetTimeCodesPerSecond() == pytest.approx(exports.clip.fps, rel=1e-6)
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    prims = list(stage.Traverse())
    assert not [prim for prim in prims if prim.IsA(UsdSkel.BlendShape)]
    assert not [a.GetName() for prim in prims for a in prim.GetAttributes() if "closeint" in a.GetName()]
    for prim in prims:
        samples = [t for attribute in prim.GetAttributes() for t in attribute.GetTimeSamples()]
        assert all(start <= t <= start + 5 for t in samples)
    skeletons = sorted((p for p in prims if p.IsA(UsdSkel.Skeleton)), key=lambda p: str(p.GetPath()))
    assert len(skeletons) == 2
    cache = UsdSkel.Cache()
    heads = []
    for prim in skeletons:
        query = cache.GetSkelQuery(UsdSkel.Skeleton(prim))
        order = [str(path).rpartition("/")[2] for path in query.GetJointOrder()]
        rows = []
        for frame in FRAMES:
            world = UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(start + frame)
            posed = [matrix * world for matrix in query.ComputeJointSkelTransforms(start + frame)]
            rows.append([list(posed[order.index(name)].ExtractTranslation()) for name in JOINT_NAMES])
        heads.append(np.array(rows))
    assert UsdSkel.BakeSkinning(stage.Traverse())
    meshes = sorted((p for p in stage.Traverse() if p.IsA(UsdGeom.Mesh)), key=lambda p: str(p.GetPath()))
    assert len(meshes) == 2
    for person, prim in enumerate(meshes):
        skins = []
        for frame in FRAMES:
            points = np.array(UsdGeom.Mesh(prim).GetPointsAttr().Get(start + frame), np.float64)
            world = np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(start + frame))
            skins.append(points @ world[:3, :3] + world[3, :3])
        check(exports.case, person, heads[person], skins)


def test_a_scene_in_centimetres(newest_runtime: BlenderRuntime) -> None:
    """The same from a scene whose unit is a centimetre, with a camera that moves."""
    exports = exported(newest_runtime, "centimetres")
    for reader in ("fbx", "fbx_native", "glb", "usd"):
        if reader in exports.facts:
            test_read_back(exports, reader, newest_runtime)
    test_glb_as_a_player_shows_it(exports)
    test_the_user_s_scene_stays(exports)
    for person in (0, 1):
        test_a_file_for_each_person(exports, person)
    if "usd" in exports.facts:
        test_usd_by_usd(exports)
