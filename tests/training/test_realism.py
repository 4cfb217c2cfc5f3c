# SPDX-License-Identifier: Apache-2.0
"""Recorded couples, and how near generated pairs are to them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from closeint_core.errors import CloseintError
from closeint_core.training.readers.couples import COUPLE_JOINTS, FIGURE, HELD_OUT_TRIALS, WAYS, life_size, read_couples
from closeint_core.training.synthetic import Generator, realism
from closeint_core.training.synthetic.realism import (
    NEAR_HAND,
    compare,
    couple_windows,
    joints_of,
    measure_pairs,
    run_lengths,
    shift,
    table,
)

AT = {name: index for index, name in enumerate(COUPLE_JOINTS)}
# name, parent, offset of the figure in the file (Y up, x left, z ahead), at three quarters of life size.
_FIGURE = (
    ("hip", "", (0.0, 0.0, 0.0)), ("neck", "hip", (0.0, 0.42, 0.0)), ("head", "neck", (0.0, 0.06, 0.0)),
    *((f"{s}{name}", parent.replace("#", s), (sign * x, y, z))
      for s, sign in (("l", 1.0), ("r", -1.0))
      for name, parent, (x, y, z) in (
          ("Thigh", "hip", (0.07, -0.05, 0.0)), ("Shin", "#Thigh", (0.0, -0.288, 0.0)),
          ("Foot", "#Shin", (0.0, -0.355, 0.0)), ("Shldr", "neck", (0.12, -0.03, 0.0)),
          ("ForeArm", "#Shldr", (0.0, -0.05, 0.2)), ("Hand", "#ForeArm", (0.0, 0.0, 0.18)),
          ("Mid1", "#Hand", (0.0, 0.0, 0.06)),
      )),
)  # fmt: skip
_UP = 0.7


def _bvh(path: Path, places: np.ndarray, yaw: float) -> None:
    """A figure that stands at places (F, 2) (x, z of the file), turned about the vertical by ``yaw`` degrees."""
    children: dict[str, list[str]] = {}
    for name, parent, _ in _FIGURE:
        children.setdefault(parent, []).append(name)
    offsets = {name: offset for name, _, offset in _FIGURE}

    def joint(name: str, root: bool = False) -> str:
        x, y, z = offsets[name]
        channels = (
            "6 Xposition Yposition Zposition Zrotation Yrotation Xrotation"
            if root
            else "3 Zrotation Xrotation Yrotation"
        )
        inner = "".join(joint(child) for child in children.get(name, [])) or "End Site { OFFSET 0 0 0.01 }"
        return f"{'ROOT' if root else 'JOINT'} {name} {{ OFFSET {x} {y} {z} CHANNELS {channels} {inner} }}\n"

    rows = [f"{x} {_UP} {z} 0 {yaw} 0 " + "0 " * 3 * (len(_FIGURE) - 1) for x, z in places]
    path.write_text(
        f"HIERARCHY\n{joint('hip', True)}MOTION\nFrames: {len(rows)}\nFrame Time: 0.0333333\n" + "\n".join(rows) + "\n"
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Face to face along the file's z, hands of the figures that meet where the way is not scaled."""
    reach = (0.2 + 0.18 + 0.06) / FIGURE  # of a life-size figure's middle knuckle, ahead of the hip
    frames = 24
    along = np.zeros((frames, 2))
    for trial in ("01", "04"):
        _bvh(tmp_path / f"60_{trial}.bvh", along - [0.0, reach], 0.0)
        _bvh(tmp_path / f"61_{trial}.bvh", along + [0.0, reach], 180.0)
    return tmp_path


def test_couples_come_out_at_life_size(folder: Path) -> None:
    (couple,) = read_couples(folder)
    assert (couple.name, couple.way) == ("01", 1.0)
    assert couple.joints.shape == (2, 24, len(COUPLE_JOINTS), 3)
    assert couple.gap == pytest.approx(0, abs=1e-5)  # hands meet: left on right and right on left
    shin = np.linalg.norm(couple.joints[..., AT["left_ankle"], :] - couple.joints[..., AT["left_knee"], :], axis=-1)
    assert shin == pytest.approx(0.355 / FIGURE, abs=1e-5)
    assert couple.joints[..., AT["pelvis"], 2] == pytest.approx(_UP / FIGURE, abs=1e-5)
    apart = np.linalg.norm(couple.joints[0, :, 0] - couple.joints[1, :, 0], axis=-1)
    assert apart == pytest.approx(2 * 0.44 / FIGURE, abs=1e-5)  # the way between them is life-size in the file


def test_held_out_trials_are_read_only_by_name(folder: Path) -> None:
    assert "04" in HELD_OUT_TRIALS
    assert [couple.name for couple in read_couples(folder)] == ["01"]
    assert [couple.name for couple in read_couples(folder, ["04"])] == ["04"]


def test_what_cannot_be_read_is_said(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(CloseintError, match="does not hold"):
        read_couples(tmp_path_factory.mktemp("empty"))
    with pytest.raises(CloseintError, match=r"asked for \(09\)"):
        read_couples(folder, ["01", "09"])
    _bvh(folder / "61_04.bvh", np.zeros((5, 2)), 0.0)
    with pytest.raises(CloseintError, match="differ in length"):
        read_couples(folder, ["04"])
    text = (folder / "60_01.bvh").read_text().replace("lMid1", "lPalm")
    (folder / "60_01.bvh").write_text(text)
    with pytest.raises(CloseintError, match="left_hand"):
        read_couples(folder)
    assert realism.main([str(folder / "nowhere")]) == 2


@settings(max_examples=25, deadline=None)
@given(points=arrays(np.float64, (2, 2, 3, 3), elements=st.floats(-2, 2)), way=st.sampled_from(WAYS))
def test_life_size_scales_figures_and_ways_apart(points: np.ndarray, way: float) -> None:
    out = life_size(points, way)
    for person in range(2):
        for frame in range(2):
            for joint in range(3):
                root = points[person, frame, 0].copy()
                root[2] = 0
                wanted = (points[person, frame, joint] - root) / FIGURE + way * root
                assert out[person, frame, joint] == pytest.approx(wanted)


@settings(max_examples=50, deadline=None)
@given(held=arrays(np.bool_, st.tuples(st.integers(1, 4), st.integers(1, 12))))
def test_runs_are_those_of_a_loop(held: np.ndarray) -> None:
    fps = np.arange(1.0, len(held) + 1)
    naive = []
    for row, rate in zip(held, fps, strict=True):
        length = 0
        for value in [*row, False]:
            if value:
                length += 1
            elif length:
                naive.append(length / rate)
                length = 0
    assert run_lengths(held, fps).tolist() == pytest.approx(naive)


@settings(max_examples=25, deadline=None)
@given(offset=st.floats(-3, 3), values=st.lists(st.floats(-5, 5), min_size=1, max_size=30))
def test_shift_of_shifted_values(offset: float, values: list[float]) -> None:
    first = np.array(values)
    assert shift(first, first + offset) == pytest.approx(abs(offset), abs=1e-9)
    assert shift(first, first[::-1]) == pytest.approx(0, abs=1e-12)
    assert math.isnan(shift(first, np.array([])))


def test_measures_of_a_couple_that_walks_face_to_face(folder: Path) -> None:
    (couple,) = read_couples(folder)
    joints = couple.joints[None].astype(np.float64)
    speed = 0.6
    moved = joints + speed / 30.0 * np.arange(24)[None, None, :, None, None] * np.array([1.0, 0.0, 0.0])
    found = measure_pairs(moved, np.array([30.0]))
    assert found["pelvis to pelvis"] == pytest.approx(2 * 0.44 / FIGURE, abs=1e-4)
    assert found["facing, 180 face to face"] == pytest.approx(180, abs=0.01)
    assert found["other off the own front"] == pytest.approx(0, abs=0.01)
    assert found["speed of the pelvis"] == pytest.approx(speed, abs=1e-3)
    assert found["speed of the wrists"] == pytest.approx(speed, abs=1e-3)
    assert found["turning"] == pytest.approx(0, abs=1e-3)
    assert found["hand in hand, each run"].tolist() == pytest.approx([24 / 30])
    assert not len(found["hand on the other, each run"])
    apart = moved.copy()
    apart[:, 1, 12:] += np.array([0.0, 5.0, 0.0])
    assert measure_pairs(apart, np.array([30.0]))["hand in hand, each run"].tolist() == pytest.approx([12 / 30])
    assert NEAR_HAND < 5


def test_windows_follow_each_other(folder: Path) -> None:
    couples = read_couples(folder, ["01", "04"])
    cut, rates = couple_windows(couples, 10)
    assert cut.shape == (4, 2, 10, len(COUPLE_JOINTS), 3)
    assert np.array_equal(cut[1], couples[0].joints[:, 10:20])
    assert rates == pytest.approx(30, abs=0.01)
    with pytest.raises(CloseintError, match="25 frames long"):
        couple_windows(couples, 25)


def test_generated_pairs_are_measured_in_the_same_way(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:  # type: ignore[no-untyped-def]
    generator = Generator(["passing by"], steps=2)
    made = generator(2, 8, seed=1)
    joints = joints_of(made, generator.body)
    out = generator.body(made.poses, made.betas[:, :, None], made.transl)
    assert joints[..., AT["left_hand"], :] == pytest.approx(out.joints[..., 22, :].numpy(), abs=1e-5)
    samples = measure_pairs(joints, made.fps.numpy())
    monkeypatch.setattr(realism, "groups", lambda *_: {"some": samples})
    assert realism.main([str(folder), "--frames", "8", "--trials", "all", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["measure"] for row in rows] == list(realism.MEASURES)
    recorded = measure_pairs(*couple_windows(read_couples(folder, ["01", "04"]), 8))
    assert rows == json.loads(json.dumps(compare(recorded, {"some": samples})))
    text = table(compare(recorded, {"some": samples}))
    assert len(text.splitlines()) == 1 + len(realism.MEASURES)
    assert "none" in text
