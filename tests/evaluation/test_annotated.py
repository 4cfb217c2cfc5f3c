# SPDX-License-Identifier: Apache-2.0
"""``closeint eval`` on tiny files in the published layout."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from support.annotation_files import annotations, write_annotations
from support.published import write_published
from support.windows import randomize
from typer.testing import CliRunner

from closeint_core.body.data import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.cli import app
from closeint_core.denoiser.checkpoint import save_denoiser
from closeint_core.denoiser.network import Denoiser, DenoiserConfig
from closeint_core.denoiser.state import PairState
from closeint_core.errors import CloseintError
from closeint_core.evaluation import annotated
from closeint_core.evaluation.annotated import (
    METRICS,
    EvalOptions,
    Meshes,
    evaluate,
    test_windows,
    true_translation,
    window_conditions,
    window_values,
)
from closeint_core.evaluation.eval_report import PUBLISHED, case_picture, histogram
from closeint_core.metrics.reference_protocol import interaction_errors, person_errors
from closeint_core.training.readers import read_annotations

LENGTHS, PEOPLE = [33, 20, 16], [2, 1, 2]  # the last one is too short for a test window


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_published(tmp_path_factory.mktemp("repository"))
    for gender in ("MALE", "FEMALE"):
        shutil.copy(folder / "smpl" / "SMPL_NEUTRAL.pkl", folder / "smpl" / f"SMPL_{gender}.pkl")
    return write_annotations(folder, annotations(LENGTHS, PEOPLE)[0])


@pytest.fixture(scope="module")
def truth() -> list[np.ndarray]:
    return annotations(LENGTHS, PEOPLE)[1]


def test_windows_stand_as_published(data: Path) -> None:
    sequences = read_annotations(data / "dataset", "test")
    assert test_windows(sequences) == [(0, 0), (0, 16), (1, 0)]
    record, _ = annotations([32, 17, 16], [2, 2, 2])
    sequences = read_annotations(write_annotations(data.parent / "other", record) / "dataset", "test")
    assert test_windows(sequences) == [(0, 0), (1, 0)]  # range(0, F - 16, 16)


def test_conditions_are_the_annotations_and_a_single_person_is_doubled_backwards(data: Path) -> None:
    sequences = read_annotations(data / "dataset", "test")
    found = window_conditions(sequences, [(0, 16), (1, 0)])
    assert found.init_pose6d.shape == (2, 16, 2, 144)
    assert found.features is not None
    assert found.keypoints is not None
    assert found.single is not None
    np.testing.assert_array_equal(found.features[0, :, 1], sequences[0].features[16:32, 1])
    np.testing.assert_allclose(found.crops.side[0, :, 0], 200 * sequences[0].patch_scale[16:32, 0])
    assert found.crops.image_size[0, 0, 0].tolist() == [1280, 720]
    assert found.single.tolist() == [[0.0] * 16, [1.0] * 16]
    for whole in (found.features[1], found.keypoints[1], found.init_pose6d[1], found.crops.center[1]):
        torch.testing.assert_close(whole[:, 1], whole[:, 0].flip(0), equal_nan=True)
    # 6D in rows: the first row of the first joint's matrix.
    import roma

    first = roma.rotvec_to_rotmat(torch.tensor(sequences[0].initial_poses[16, 0, 0]))
    torch.testing.assert_close(found.init_pose6d[0, 0, 0, :6], first[:2].flatten(), atol=1e-5, rtol=0)


def test_translations_are_found_again(data: Path, truth: list[np.ndarray]) -> None:
    """Exact keypoints give the true place; those without confidence do not matter."""
    sequences = read_annotations(data / "dataset", "test")
    body = TorchBody(load_body("default"))
    for index in (0, 1):
        for person in range(PEOPLE[index]):
            found = true_translation(body, sequences[index], person, slice(0, 20))
            np.testing.assert_allclose(found, truth[index][:20, person], atol=2e-3)


class Oracle:
    """Samples the truth, with somebody's place or pose changed a little if asked for."""

    shift = 0.0

    def __init__(self, model: Denoiser, steps: int) -> None:
        assert steps == 5

    def sample(self, conditions, noise) -> PairState:
        assert noise.shape == (len(conditions.init_pose6d), 16, 2, 157)
        rotations, betas, places = Oracle.motion
        return PairState.of_motion(rotations, betas, places + torch.tensor([0.0, 0.0, Oracle.shift]), conditions.crops)


@pytest.fixture
def oracle(monkeypatch: pytest.MonkeyPatch, data: Path, truth: list[np.ndarray]) -> type[Oracle]:
    import roma

    sequences = read_annotations(data / "dataset", "test")
    parts = []
    for index, start in test_windows(sequences):
        window = slice(start, start + 16)

        def pair(values: np.ndarray, window: slice = window, single: bool = PEOPLE[index] == 1) -> torch.Tensor:
            chosen = torch.tensor(values[window])
            return torch.cat([chosen, chosen.flip(0)], 1) if single else chosen

        one = sequences[index]
        parts.append((roma.rotvec_to_rotmat(pair(one.poses)), pair(one.betas), pair(truth[index])))
    Oracle.motion = [torch.stack(x) for x in zip(*parts, strict=True)]
    Oracle.shift = 0.0
    monkeypatch.setattr(annotated, "Sampler", Oracle)
    return Oracle


@pytest.mark.parametrize("protocol", ["default", "reference"])
def test_the_truth_has_no_error(oracle: type[Oracle], data: Path, protocol: str) -> None:
    found = evaluate(EvalOptions(data, data / "checkpoint.pkl", protocol))
    assert found.summary["windows"] == 3
    # The published protocol scores a single person's time-reversed copy as well.
    assert found.summary["person_frames"] == 16 * (6 if protocol == "reference" else 5)
    measured = found.summary["metrics"]
    for metric in ("mpjpe", "pa_mpjpe", "mpvpe", "acceleration"):
        assert measured[metric] == pytest.approx(0, abs=0.05)
    assert measured["interaction"] == pytest.approx(0, abs=3)  # translations are solved from the keypoints
    oracle.shift = 0.5  # everybody half a metre further away: nothing changes but the place
    moved = evaluate(EvalOptions(data, data / "checkpoint.pkl", protocol)).summary["metrics"]
    assert moved["mpjpe"] == pytest.approx(0, abs=0.05)
    assert moved["interaction"] == pytest.approx(measured["interaction"], abs=1)


def scene(seed: int) -> tuple[Meshes, Meshes, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    regressor = rng.dirichlet(np.ones(30), 14)
    true = rng.normal(size=(2, 8, 30, 3))
    guess = true + 0.05 * rng.normal(size=true.shape)
    true[1] += 10  # apart, so that the random meshes are not inside each other
    guess[1] += 10
    meshes = [Meshes(x, regressor @ x, regressor @ x) for x in (guess, true)]
    valid = rng.random((2, 8)) < 0.7
    valid[0, 2:5] = True
    return meshes[0], meshes[1], valid, regressor


@pytest.mark.parametrize("seed", range(3))
def test_the_reference_protocol_pools_what_the_fixtures_hold(seed: int) -> None:
    guess, true, valid, regressor = scene(seed)
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    found = window_values(guess, true, valid, faces, "reference")
    people = [person_errors(guess.vertices[p], true.vertices[p], regressor, valid[p]) for p in (0, 1)]
    for metric in ("mpjpe", "pa_mpjpe", "mpvpe", "acceleration"):
        np.testing.assert_allclose(found[metric], np.concatenate([getattr(p, metric) for p in people]), atol=1e-9)
    np.testing.assert_allclose(
        found["interaction"], interaction_errors(guess.vertices, true.vertices, regressor, valid), atol=1e-9
    )
    assert (found["a_pd"] == 0).all()
    assert len(found["a_pd"]) == 8  # whether they are valid or not


@pytest.mark.parametrize("seed", range(3))
def test_the_default_protocol_averages_what_is_valid(seed: int) -> None:
    guess, true, valid, regressor = scene(seed)
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    found = window_values(guess, true, valid, faces, "default")
    everything = [person_errors(guess.vertices[p], true.vertices[p], regressor, np.ones(8)) for p in (0, 1)]
    for metric in ("mpjpe", "pa_mpjpe", "mpvpe"):
        wanted = [getattr(e, metric)[t] for p, e in enumerate(everything) for t in range(8) if valid[p, t]]
        np.testing.assert_allclose(found[metric], wanted, atol=1e-9)
    wanted = [e.acceleration[t] for p, e in enumerate(everything) for t in range(1, 7) if valid[p, t - 1 : t + 2].all()]
    np.testing.assert_allclose(found["acceleration"], wanted, atol=1e-9)
    assert len(found["a_pd"]) == valid.all(0).sum()


def test_the_command_writes_numbers_and_a_page(data: Path, tmp_path: Path) -> None:
    picture = data / "dataset" / "Hi4D" / "images" / "0" / "000008.jpg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(picture), np.full((720, 1280, 3), 90, np.uint8))
    arguments = ["eval", "--data", str(data), "--checkpoint", str(data / "checkpoint.pkl"), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, [*arguments, "--protocol", "reference", "--json", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["protocol"] == "reference"
    assert all(np.isfinite(printed["metrics"][metric]) for metric in METRICS)
    assert printed["metrics"]["mpjpe"] > 10  # random weights
    stored = json.loads((tmp_path / "eval.json").read_text())
    assert stored["metrics"] == printed["metrics"]
    assert len(stored["by_window"]) == 3
    page = (tmp_path / "eval.html").read_text()
    # All in one file, the papers' numbers apart from ours, pictures of the worst.
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    ours, published = page.index("Measured here"), page.index('<section class="published">')
    assert ours < page.index(f"{printed['metrics']['mpjpe']:.2f}") < published < page.index("63.10")
    assert page.count("data:image/jpeg;base64,") == 6  # three windows by pose, three by interaction
    assert page.count("<svg") == 3


def naive_reference(
    sequences: list, windows: list[tuple[int, int]], made: list[tuple[np.ndarray, ...]], regressors: tuple
) -> dict[str, list[float]]:
    """The published evaluation, one number at a time, written from its description and not from the product.

    All windows of a sequence are joined in order. A single person is doubled, the copy reversed within each window.

    Args:
        made: of each window, predicted and true vertices (2, 16, V, 3) and validity (2, 16), copies included.
    """
    halpe, lsp = regressors
    found: dict[str, list[float]] = {name: [] for name in ("mpjpe", "mpvpe", "acceleration", "interaction")}
    for index in range(len(sequences)):
        chosen = [made[row] for row, window in enumerate(windows) if window[0] == index]
        if not chosen:
            continue
        guess, true, valid = (np.concatenate([part[k] for part in chosen], axis=1) for k in range(3))
        frames = valid.shape[1]

        def gap(a: np.ndarray, b: np.ndarray) -> float:
            return 1000 * float(np.sqrt(((a - b) ** 2).sum(-1)).mean())

        for person in (0, 1):
            joints = [np.array([halpe @ x[person, t] for t in range(frames)]) for x in (guess, true)]
            aligned = [x - (x[:, 2:3] + x[:, 3:4]) / 2 for x in joints]
            for t in range(frames):
                counts = float(valid[person, t])
                found["mpjpe"].append(counts * gap(aligned[0][t], aligned[1][t]))
                hips = [(lsp @ x[person, t])[[2, 3]].mean(0) for x in (guess, true)]
                found["mpvpe"].append(gap(guess[person, t] - hips[0], true[person, t] - hips[1]))
                second = 0.0
                if 0 < t < frames - 1:
                    second = gap(*(x[t - 1] - 2 * x[t] + x[t + 1] for x in aligned))
                found["acceleration"].append(counts * second)
        for t in range(frames):
            if valid[:, t].sum() == 2:
                ours, theirs = ([lsp @ x[p, t] for p in (0, 1)] for x in (guess, true))
                pairs = [(i, j) for i in range(14) for j in range(14)]
                apart = [[np.linalg.norm(x[0][i] - x[1][j]) for i, j in pairs] for x in (ours, theirs)]
                found["interaction"].append(1000 * float(np.mean(np.abs(np.subtract(*apart)))))
    return found


def test_the_reference_protocol_joins_windows_and_scores_the_copy(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several windows a sequence, single people and frames that are not valid, against a naive version."""
    import roma

    people = [2, 1, 1]
    record, _ = annotations([49, 33, 20], people)
    rng = np.random.default_rng(0)
    for valid in record["valid"]:
        valid[...] = rng.random(valid.shape) < 0.75
    root = write_annotations(tmp_path / "data", record)
    shutil.copytree(data / "smpl", root / "smpl")
    shutil.copy(data / "checkpoint.pkl", root)
    sequences = read_annotations(root / "dataset", "test")
    windows = test_windows(sequences)
    assert windows == [(0, 0), (0, 16), (0, 32), (1, 0), (1, 16), (2, 0)]
    body = TorchBody(load_body("smpl-neutral", root))
    motion, made = [], []
    for index, start in windows:
        one, part = sequences[index], slice(start, start + 16)
        rotations = roma.rotvec_to_rotmat(torch.tensor(0.2 * rng.normal(size=(16, 2, 24, 3)), dtype=torch.float32))
        betas = torch.tensor(rng.normal(size=(16, 2, 10)), dtype=torch.float32)
        places = torch.tensor(rng.normal(size=(16, 2, 3)) * 0.1 + [[0, 0, 4], [3, 0, 4]], dtype=torch.float32)
        motion.append((rotations, betas, places))
        guess = np.stack([body(rotations[:, p], betas[:, p], places[:, p]).vertices.numpy() for p in (0, 1)])
        true = []
        for person in range(people[index]):
            place = true_translation(body, one, person, part)
            turned = roma.rotvec_to_rotmat(torch.tensor(one.poses[part, person]))
            true.append(body(turned, torch.tensor(one.betas[part, person]), place).vertices.numpy())
        mask = one.valid[part].T
        if people[index] == 1:  # the network's second person is the first backwards
            true, mask = [true[0], true[0][::-1]], np.stack([mask[0], mask[0][::-1]])
        made.append((guess, np.stack(true), mask))
    Oracle.motion = [torch.stack(x) for x in zip(*motion, strict=True)]
    Oracle.shift = 0.0
    monkeypatch.setattr(annotated, "Sampler", Oracle)
    found = evaluate(EvalOptions(root, root / "checkpoint.pkl", "reference", device="cpu"))
    regressors = (body.data.halpe_regressor[annotated.HALPE_TO_LSP], body.data.lsp_regressor)
    wanted = naive_reference(sequences, windows, made, regressors)
    for metric, values in wanted.items():
        assert found.summary["metrics"][metric] == pytest.approx(np.mean(values), rel=2e-3), metric
        pooled = np.concatenate([window.values[metric] for window in found.windows])
        assert len(pooled) == len(values), metric
    assert found.summary["person_frames"] == 6 * 32
    # The first and the last frame of a sequence alone count 0; frames at the seams do not.
    first = found.windows[1].values["acceleration"].reshape(2, 16)
    np.testing.assert_array_equal(first > 0, sequences[0].valid[16:32].T)
    assert len(found.windows[3].values["interaction"]) == (made[3][2].sum(0) == 2).sum()
    # The default protocol knows of no copies.
    plain = evaluate(EvalOptions(root, root / "checkpoint.pkl", "default", device="cpu"))
    assert plain.summary["person_frames"] == 16 * (3 * 2 + 3)
    assert all(not len(window.values["interaction"]) for window in plain.windows[3:])


def test_frames_without_numbers_are_not_valid_and_spoil_nothing(tmp_path: Path, data: Path) -> None:
    record, _ = annotations([33], [2])
    record["poses"][0][5, 1, 7] = np.nan
    record["init_poses"][0][20, 0] = np.inf
    record["patch_scale"][0][9, 0] = 0.0
    record["features"][0][10, 1, 3] = np.nan
    record["intris"][0][12, :, 0, 0] = -1.0
    root = write_annotations(tmp_path / "data", record)
    shutil.copytree(data / "smpl", root / "smpl")
    for protocol in ("default", "reference"):
        found = evaluate(EvalOptions(root, data / "checkpoint.pkl", protocol, device="cpu"))
        assert all(np.isfinite(found.summary["metrics"][metric]) for metric in METRICS)
        assert any("6 person-frames" in warning for warning in found.summary["warnings"])
    assert len(found.windows[0].values["interaction"]) == 16 - 4
    assert len(found.windows[1].values["interaction"]) == 16 - 1


@pytest.mark.parametrize(
    ("key", "values", "message"),
    [
        ("poses", lambda x: np.full_like(x, np.nan), "sequence 1: poses holds no number"),
        ("pose2ds", lambda x: np.full_like(x, np.nan), "sequence 1: pose2ds holds no number"),
        ("features", lambda x: np.full_like(x, np.nan), "sequence 1: features holds no number"),
        ("shapes", lambda x: x[:-1], "sequence 1: shapes has 19 frames"),
        ("imnames", lambda x: x[:-1], "sequence 1: imnames does not name 20 images"),
        ("img_size", lambda x: x[:-1], "sequence 1: img_size is not 20 x 2"),
        ("img_size", lambda x: [[0, 0]] * 20, "sequence 1: img_size has sizes that are not positive"),
        ("center", lambda x: "x", "sequence 1: center is not an array of numbers"),
        ("patch_scale", lambda x: None, "sequence 1: patch_scale is not an array of numbers"),
        ("patch_scale", lambda x: -x, "Sequence 1 of the annotations, person 0: patch_scale"),
        ("intris", lambda x: 0 * x, "Sequence 1 of the annotations, person 0: intris"),
        ("genders", lambda x: [["male"]] * 20, "sequence 1: genders is not an array of numbers"),
        ("valid", lambda x: 7.0, "sequence 1: valid is a single number"),
    ],
)
def test_broken_sequences_are_refused_by_number_and_key(tmp_path: Path, data: Path, key, values, message) -> None:
    record, _ = annotations([20, 20], [2, 1])
    record[key][1] = values(record[key][1])
    root = write_annotations(tmp_path / "data", record)
    shutil.copytree(data / "smpl", root / "smpl")
    with pytest.raises(CloseintError, match=message) as refused:
        evaluate(EvalOptions(root, data / "checkpoint.pkl", device="cpu"))
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("key", ["poses", "features", "valid", "imnames", "img_size"])
def test_keys_of_different_lengths_are_refused(tmp_path: Path, key: str) -> None:
    record, _ = annotations([20, 20], [2, 2])
    record[key] = record[key][:1]
    root = write_annotations(tmp_path, record)
    wanted = "pose2ds has 2 sequences" if key == "poses" else f"{key} has 1 sequences, poses has 2"
    with pytest.raises(CloseintError, match=wanted):
        read_annotations(root / "dataset", "test")
    for nothing in ([], None, 3, "x", np.zeros(())):
        record[key] = nothing
        with pytest.raises(CloseintError):
            read_annotations(write_annotations(tmp_path, record) / "dataset", "test")


def test_our_own_checkpoints_are_evaluated_too(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_denoiser(randomize(Denoiser(DenoiserConfig(condition="keypoints"))), path)
    found = evaluate(EvalOptions(data, path, device="cpu"))
    assert np.isfinite(found.summary["metrics"]["mpjpe"])
    assert found.summary["checkpoint"]["condition"] == "keypoints"
    picture = case_picture(found, found.windows[0])
    assert picture.dtype == np.uint8
    assert picture.std() > 5


def test_wrong_requests_say_so(data: Path, tmp_path: Path) -> None:
    checkpoint = data / "checkpoint.pkl"
    with pytest.raises(CloseintError, match="no protocol"):
        evaluate(EvalOptions(data, checkpoint, "strict"))
    for options in (
        EvalOptions(data, tmp_path / "none.pkl"),
        EvalOptions(tmp_path, checkpoint),
        EvalOptions(data, checkpoint, name="3DPW"),
    ):
        with pytest.raises(CloseintError) as missing:
            evaluate(options)
        assert missing.value.exit_code == 3
    record, _ = annotations([20], [2])
    for change, message in (
        ({"init_poses": None}, "lack init_poses"),
        ({"features": None}, "lack features"),
    ):
        changed = {key: value for key, value in {**record, **change}.items() if value is not None}
        with pytest.raises(CloseintError, match=message):
            evaluate(EvalOptions(write_annotations(tmp_path / "x", changed), checkpoint))
    short, _ = annotations([16], [2])
    with pytest.raises(CloseintError, match="longer than 16"):
        evaluate(EvalOptions(write_annotations(tmp_path / "y", short), checkpoint))
    with pytest.raises(CloseintError, match=r"SMPL_NEUTRAL|SMPL_FEMALE") as missing:
        evaluate(EvalOptions(write_annotations(tmp_path / "z", record), checkpoint))
    assert missing.value.exit_code == 3


def test_the_published_numbers_are_those_of_the_papers() -> None:
    assert PUBLISHED["Hi4D"]["CloseInt (CVPR 2024)"] == {
        "mpjpe": 63.1, "pa_mpjpe": 47.5, "mpvpe": 76.4, "interaction": 81.4,
    }  # fmt: skip
    assert PUBLISHED["Hi4D"]["CloseApp (CVPR 2025)"]["a_pd"] == 0.81


def test_a_histogram_counts_everything() -> None:
    values = np.concatenate([np.zeros(70), np.full(30, 10.0)])
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" fill', histogram(values, bins=10))]
    assert len(heights) == 10
    assert heights[-1] / heights[0] == pytest.approx(30 / 70, abs=1e-2)
    assert "mean 3<" in histogram(values)
