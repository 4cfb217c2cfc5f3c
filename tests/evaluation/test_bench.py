# SPDX-License-Identifier: Apache-2.0
"""The benchmark: its questions, its scores, its sums, and that a killed run goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.windows import randomize
from typer.testing import CliRunner

from closeint_core.body.data import BodyData, load_body
from closeint_core.body.skinning import lbs
from closeint_core.body.torch_body import TorchBody
from closeint_core.cli import app
from closeint_core.denoiser.checkpoint import save_denoiser
from closeint_core.denoiser.network import Denoiser, DenoiserConfig
from closeint_core.errors import CloseintError
from closeint_core.evaluation import bench
from closeint_core.evaluation.bench import BenchOptions, find_films, in_order_of, rendered_case, run_bench
from closeint_core.evaluation.bench_cases import (
    Case,
    draw_pair,
    observations_of,
    one_person,
    simulated_case,
    true_clip,
)
from closeint_core.evaluation.bench_methods import Answers, Question
from closeint_core.evaluation.bench_metrics import METRICS, f1, score
from closeint_core.evaluation.bench_summary import TARGETS, as_text, summarise
from closeint_core.perception import store
from closeint_core.training.observation import observe
from closeint_core.training.synthetic import KINDS

FRAMES = 8


@pytest.fixture(scope="module")
def data() -> BodyData:
    return load_body("default")


@pytest.fixture(scope="module")
def case(data: BodyData) -> Case:
    return simulated_case(0, FRAMES, 0, data)


@pytest.fixture(scope="module")
def hidden(data: BodyData) -> Case:
    return simulated_case(1, FRAMES, 0, data, hidden=True)


def test_a_case_is_of_a_held_out_kind_and_the_same_every_time(case: Case, data: BodyData) -> None:
    assert case.kind in KINDS.names("test")
    assert case.kind not in KINDS.names("train")
    again = simulated_case(0, FRAMES, 0, data)
    np.testing.assert_array_equal(again.truth.poses, case.truth.poses)
    np.testing.assert_array_equal(again.observations.keypoints2d, case.observations.keypoints2d)
    case.truth.copy().validate()


def test_observations_are_the_simulated_ones_and_lie_on_the_truth(data: BodyData) -> None:
    made = draw_pair(2, FRAMES, 3)
    seen = observe(made, TorchBody(data), 5)
    truth = true_clip(made, seen.cameras, data)
    vertices, _ = lbs(data, truth.poses, truth.betas[:, None], truth.transl)
    np.testing.assert_allclose(
        truth.project(data.halpe_regressor @ vertices), seen.true_keypoints2d[0].numpy(), atol=0.05
    )
    found = observations_of(seen, truth.fps)
    np.testing.assert_array_equal(found.keypoints2d, seen.keypoints2d[0].numpy())
    assert found.image_size == tuple(truth.image_size)
    # The peaks are the keypoints of both, whoever's.
    np.testing.assert_array_equal(found.peaks[:, 9, 1], found.keypoints2d[1, :, 9])
    seen_at_all = np.isfinite(found.keypoints2d[..., 0]).any(-1)
    assert np.isfinite(found.boxes[seen_at_all]).all()
    assert np.isnan(found.boxes[~seen_at_all]).all()


def test_hidden_means_half_of_one_person_in_one_run(hidden: Case) -> None:
    person = int(np.flatnonzero(hidden.scored.any(1))[0])
    gone = hidden.scored[person]
    assert not hidden.scored[1 - person].any()
    assert gone.sum() == FRAMES // 2
    assert np.ptp(np.flatnonzero(gone)) == FRAMES // 2 - 1
    seen = hidden.observations
    for array in (seen.keypoints2d, seen.landmarks3d, seen.boxes):
        assert np.isnan(array[person, gone]).all()
        assert np.isfinite(array[1 - person, gone]).any()
    assert not seen.visible[person, gone].any()
    assert not seen.landmarks3d_confidence[person, gone].any()
    # Not even an unnamed peak of that person is left.
    others = seen.keypoints2d[1 - person, gone][:, :17]
    np.testing.assert_array_equal(seen.peaks[gone][:, :, 1 - person], others)
    assert np.isnan(seen.peaks[gone][:, :, person]).all()


def test_one_person_alone_knows_nothing_of_the_other(case: Case) -> None:
    alone = one_person(case.observations, 1)
    np.testing.assert_array_equal(alone.keypoints2d[0], case.observations.keypoints2d[1])
    assert {len(a) for a in (alone.visible, alone.landmarks3d, alone.landmarks3d_confidence, alone.boxes)} == {1}
    np.testing.assert_array_equal(alone.peaks[:, :, 0], alone.keypoints2d[0, :, :17])
    assert alone.peaks.shape[2] == 1


def test_the_truth_scores_perfectly(case: Case, data: BodyData) -> None:
    scores = score(case.truth, case.truth, case.scored, data)
    assert scores["mpjpe"] == scores["interaction"] == scores["acceleration"] == 0
    assert scores["pa_mpjpe"] < 1e-6
    assert scores["contact_false_positives"] == scores["contact_false_negatives"] == 0
    assert scores["contact_f1"] in (1.0, None)


def test_scores_tell_what_is_wrong(case: Case, data: BodyData) -> None:
    """One person a metre along the camera's view: everybody is as before, together they are not."""
    moved = case.truth.copy(transl=case.truth.transl.copy())
    moved.transl[1] += 1.0 * case.truth.camera_R[0, 2]
    scores = score(moved, case.truth, case.scored, data)
    assert scores["mpjpe"] == pytest.approx(0, abs=0.01)
    assert scores["interaction"] > 150
    assert scores["a_pd"] == 0
    # Only the frames that count do.
    moved = case.truth.copy(poses=case.truth.poses.copy())
    moved.poses[0, 0, 16:20] += 0.7
    wrong, right = case.scored.copy(), case.scored.copy()
    wrong[:, 1:], right[:, 0] = False, False
    assert score(moved, case.truth, right, data)["mpjpe"] == 0
    only = score(moved, case.truth, wrong, data)
    assert only["mpjpe"] > 20
    assert only["acceleration"] is None  # one frame has no second difference


def test_depth_is_measured_where_people_are_inside_each_other(case: Case, data: BodyData) -> None:
    same = case.truth.copy(transl=case.truth.transl.copy())
    same.transl[1] += (case.truth.transl[0] - case.truth.transl[1]) * 0.9
    scores = score(same, case.truth, case.scored, data)
    assert scores["max_depth"] > 30
    assert scores["a_pd"] > 0.3
    assert scores["contact_false_positives"] > 0


def test_f1() -> None:
    assert f1(8, 2, 2) == pytest.approx(0.8)
    assert f1(0, 3, 1) == 0
    assert f1(0, 0, 0) is None


def _record(case: str, method: str, value: float, contacts: tuple[float, float, float] = (1, 0, 0)) -> dict:
    scores = dict.fromkeys(METRICS, value) | dict(
        zip(("contact_true_positives", "contact_false_positives", "contact_false_negatives"), contacts, strict=True)
    )
    return {
        "case": case, "kind": "hug", "method": method, "frames": 10, "seconds": 2.0, "scores": scores,
    }  # fmt: skip


def test_summary_of_known_numbers() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(50, 150, 40)
    records = [_record(f"simulated-{i}", "a", value, (3, 1, 0)) for i, value in enumerate(values)]
    records += [_record(f"simulated-{i}", "e", 0.6 * value, (1, 0, i % 2)) for i, value in enumerate(values)]
    # A case that one method could not solve counts for none, and is told.
    records += [_record("simulated-99", "a", 1e6), {"case": "simulated-99", "method": "e", "error": "no"}]
    summary = summarise(records)
    table = summary["sets"]["simulated"]
    assert table["clips"] == 40
    assert table["methods"]["e"]["failed"] == 1
    found = table["methods"]["a"]["mpjpe"]
    assert found["mean"] == pytest.approx(values.mean(), abs=1e-3)
    # The percentiles of the bootstrap are near the normal interval of a mean.
    half = 1.96 * values.std() / 40**0.5
    assert found["low"] == pytest.approx(values.mean() - half, abs=2)
    assert found["high"] == pytest.approx(values.mean() + half, abs=2)
    assert table["methods"]["a"]["contact_f1"]["mean"] == pytest.approx(6 / 7, abs=1e-3)
    assert table["methods"]["e"]["contact_f1"]["mean"] == pytest.approx(80 / 100, abs=1e-3)
    rows = {row["metric"]: row for row in summary["targets"]}
    assert set(rows) == {"mpjpe", "interaction", "a_pd"}
    assert all(row["lower_by"] == pytest.approx(0.4, abs=1e-3) for row in rows.values())
    # The methods are drawn together, so a constant ratio is a certain one.
    assert rows["mpjpe"]["low"] == pytest.approx(rows["mpjpe"]["high"], abs=1e-3)
    assert (rows["mpjpe"]["met"], rows["interaction"]["met"]) == (True, False)
    assert "40.0%" in as_text(summary)
    assert "MISSED" in as_text(summary)


def test_targets_are_those_required() -> None:
    required = {(t.cases, t.metric, t.better, t.worse): t.least for t in TARGETS}
    assert required["simulated", "mpjpe", "e", "a"] == 0.30
    assert required["simulated", "interaction", "d", "c"] == 0.25
    assert required["hidden", "mpjpe", "d", "a"] == 0.40
    assert sum(key[0] == "rendered" for key in required) == 8


def test_people_are_put_in_the_order_of_the_truth(case: Case, data: BodyData) -> None:
    vertices, _ = lbs(data, case.truth.poses, case.truth.betas[:, None], case.truth.transl)
    pixels = case.truth.project(data.halpe_regressor @ vertices)
    truth = case.truth.copy(keypoints2d=np.concatenate([pixels, np.ones_like(pixels[..., :1])], -1))
    seen = case.observations
    names = ("keypoints2d", "landmarks3d", "landmarks3d_confidence", "visible", "boxes")
    turned = replace(seen, people=(1, 0), **{name: getattr(seen, name)[::-1].copy() for name in names})
    for given in (seen, turned):
        ordered = in_order_of(given, truth)
        assert ordered.people == seen.people
        for name in names:
            np.testing.assert_array_equal(getattr(ordered, name), getattr(seen, name))


def test_films_stand_for_themselves_once_they_were_seen(case: Case, tmp_path: Path) -> None:
    """Truth and kept observations are enough; perception and video are not touched."""
    case.truth.copy(keypoints2d=case.observations.keypoints2d).save(tmp_path / "hug.closeint.npz")
    with pytest.raises(CloseintError, match="holds no film"):
        find_films(tmp_path)
    store.save_observations(tmp_path / f"hug{store.SUFFIX}", case.observations, "of a film that is not here")
    ((name, video),) = find_films(tmp_path)
    assert name == "rendered-hug"
    assert not video.exists()
    loaded = rendered_case(name, video)
    assert loaded.kind == case.kind
    assert loaded.scored.all()
    np.testing.assert_array_equal(loaded.observations.landmarks3d, case.observations.landmarks3d)


def test_solving_needs_neither_pictures_nor_a_terminal() -> None:
    """The benchmark runs where only numbers can be carried."""
    code = """
import sys
for name in ("cv2", "av", "typer", "rich", "onnxruntime"):
    sys.modules[name] = None
import closeint_core.evaluation.bench
"""
    subprocess.run([sys.executable, "-c", code], check=True)


class Perfect(Answers):
    """Answers with the truth, and counts how often it was asked."""

    asked: list[str] = []  # noqa: RUF012
    truths: list[object] = []  # noqa: RUF012

    def clip(self, method: str):
        Perfect.asked.append(method)
        self.seconds[method] = 1.0
        if method == "b" and len(Perfect.asked) == 2:
            raise CloseintError("This one is too hard.")
        return Perfect.truths[-1]


@pytest.fixture
def perfect(monkeypatch: pytest.MonkeyPatch) -> type[Perfect]:
    def remember(*arguments, **keywords):
        made = simulated_case(*arguments, **keywords)
        Perfect.truths.append(made.truth)
        return made

    Perfect.asked, Perfect.truths = [], []
    monkeypatch.setattr(bench, "Answers", Perfect)
    monkeypatch.setattr(bench, "simulated_case", remember)
    return Perfect


def test_a_run_goes_on_where_it_was_stopped(perfect: type[Perfect], tmp_path: Path) -> None:
    options = BenchOptions(("a", "b"), count=1, frames=4)
    result = run_bench(options, tmp_path)
    assert perfect.asked == ["a", "b", "a", "b"]  # simulated and hidden
    assert result["sets"]["hidden"]["methods"]["a"]["mpjpe"]["mean"] == 0
    assert result["sets"]["simulated"]["methods"]["b"]["failed"] == 1
    stored = json.loads((tmp_path / "bench.json").read_text())
    assert stored == json.loads(json.dumps(result))
    assert "| a: per-person fit" in (tmp_path / "bench.md").read_text()
    # What failed is tried again, and only that; then nothing is left to do.
    perfect.asked.clear()
    result = run_bench(options, tmp_path)
    assert perfect.asked == ["b"]
    assert result["sets"]["simulated"]["methods"]["b"]["failed"] == 0
    assert run_bench(options, tmp_path)["sets"] == result["sets"]
    assert perfect.asked == ["b"]
    perfect.asked.clear()
    # One answer is lost: only that one is asked for again.
    (lost,) = (tmp_path / "records").glob("simulated*.b.json")
    lost.unlink()
    run_bench(options, tmp_path)
    assert perfect.asked == ["b"]
    lost.write_text("{")
    with pytest.raises(CloseintError, match="cannot be read"):
        run_bench(options, tmp_path)


def test_bad_requests(tmp_path: Path) -> None:
    for options, message in (
        (BenchOptions(("a", "z")), "no method z"),
        (BenchOptions(()), "no method"),
        (BenchOptions(("a",), count=0), "at least one clip"),
        (BenchOptions(("a",), rendered=tmp_path), "holds no film"),
    ):
        with pytest.raises(CloseintError, match=message):
            run_bench(options, tmp_path / "out")
    with pytest.raises(CloseintError, match="network is missing") as missing:
        run_bench(BenchOptions(("d",), checkpoint=tmp_path / "none.safetensors"), tmp_path / "out")
    assert missing.value.exit_code == 3


def test_the_command(perfect: type[Perfect], tmp_path: Path) -> None:
    arguments = ["bench", "--methods", "a", "--count", "1", "--frames", "4", "--out", str(tmp_path), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["sets"]["simulated"]["methods"]["a"]["mpjpe"]["mean"] == 0


@pytest.mark.slow
def test_the_fits_answer(data: BodyData) -> None:
    """Each alone, and the pair: both near the truth, and the pair's people where they are to each other."""
    case = simulated_case(0, 6, 1, data)
    torch.set_num_threads(1)
    answers = Answers(Question(TorchBody(data), case.observations, case.camera))
    for method in ("a", "b", "b+"):
        scores = score(answers.clip(method), case.truth, case.scored, data)
        assert 0 < scores["mpjpe"] < 250
        assert 0 < scores["interaction"] < 800
    assert answers.seconds["b+"] > answers.seconds["b"]


@pytest.mark.slow
def test_the_network_answers_too(tmp_path: Path) -> None:
    """An untrained network's answers are bad ones, but answers; another network's are not taken for its own."""
    model = Denoiser(DenoiserConfig(condition="keypoints"))
    paths = [tmp_path / f"{seed}.safetensors" for seed in (0, 1)]
    for seed, path in enumerate(paths):
        save_denoiser(randomize(model, seed), path)
    options = BenchOptions(("c", "d", "e"), count=1, frames=6, checkpoint=paths[0])
    result = run_bench(options, tmp_path / "out")
    assert {row["failed"] for row in result["sets"]["simulated"]["methods"].values()} == {0}
    other = run_bench(replace(options, methods=("d",), checkpoint=paths[1]), tmp_path / "out")
    found = [one["sets"]["simulated"]["methods"]["d"]["mpjpe"]["mean"] for one in (result, other)]
    assert found[0] != found[1]


@pytest.mark.slow
def test_several_processes_find_what_one_finds(tmp_path: Path) -> None:
    options = BenchOptions(("b",), count=1, frames=4, jobs=2)
    found = [run_bench(replace(options, jobs=jobs), tmp_path / str(jobs)) for jobs in (1, 2)]
    alone, together = (one["records"] for one in found)
    assert alone[0]["scores"] == together[0]["scores"]
