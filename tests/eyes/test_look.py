# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
import torch

from closeint_core.body.data import load_body
from closeint_core.body.parts import PART_FLIP, PARTS, group_matrix, part_of_vertices
from closeint_core.errors import CloseintError
from closeint_core.eyes import weights
from closeint_core.eyes.backbone import Backbone
from closeint_core.eyes.calibration import Calibration, Line
from closeint_core.eyes.look import PairEyes, prompts_of_keypoints, squares_around, squares_of_prompts
from closeint_core.eyes.network import PairNetwork
from closeint_core.eyes.weights import find_eyes, load_eyes, save_eyes
from closeint_core.eyes.windows import cut_squares


@pytest.fixture(scope="module")
def network() -> PairNetwork:
    torch.manual_seed(0)
    return PairNetwork().eval()


def test_parts_are_each_others_mirror_and_all_in_a_group():
    flip = np.array(PART_FLIP)
    np.testing.assert_array_equal(flip[flip], np.arange(len(PARTS)))
    for index, name in enumerate(PARTS):
        other = name.replace("left", "\0").replace("right", "left").replace("\0", "right")
        assert PARTS[flip[index]] == other
    np.testing.assert_array_equal(group_matrix().sum(0), np.ones(len(PARTS)))
    data = load_body("default")
    parts = part_of_vertices(data)
    assert set(parts.tolist()) == set(range(len(PARTS)))
    back, front = (data.template[parts == PARTS.index(f"spine3_{side}"), 2] for side in ("back", "front"))
    assert back.max() <= front.min()


def test_strides_of_the_backbone(network):
    found = Backbone().eval()(torch.rand(1, 3, 64, 96))
    assert {stride: tuple(x.shape[1:]) for stride, x in found.items()} == {
        2: (16, 32, 48), 4: (24, 16, 24), 8: (48, 8, 12), 16: (120, 4, 6), 32: (352, 2, 3),
    }  # fmt: skip


def test_both_people_are_told_the_same_of_their_touch(network):
    torch.manual_seed(1)
    inputs = torch.rand(4, 3, 64, 64), torch.rand(4, 4, 64, 64), torch.rand(2, 2, 2, 3, 96, 96), torch.rand(2, 2, 2, 3)
    with torch.no_grad():
        first, second = network(*inputs)
        alone = network(inputs[0][2:], inputs[1][2:], inputs[2][1:], inputs[3][1:])[1]
    torch.testing.assert_close(second.touch[::2], second.touch[1::2].mT)
    torch.testing.assert_close(second.nearer[::2], -second.nearer[1::2])
    torch.testing.assert_close(alone.touch, second.touch[2:], atol=1e-4, rtol=1e-4)  # of its picture alone
    assert first.heat.shape == (4, 13, 16, 16)
    assert first.masks.shape == (4, 61, 16, 16)


def test_squares_are_cut_where_they_are():
    picture = torch.arange(12 * 16, dtype=torch.float32).view(1, 1, 12, 16)
    cut = cut_squares(picture, torch.tensor([[[6.0, 5.0]]]), torch.tensor([[4.0]]), 4)
    torch.testing.assert_close(cut[0, 0, 0], picture[0, 0, 3:7, 4:8])
    beyond = cut_squares(picture, torch.tensor([[[0.0, 5.0]]]), torch.tensor([[4.0]]), 4)
    assert (beyond[0, 0, 0, :, :2] == 0).all()
    shrunk = cut_squares(picture, torch.tensor([[[8.0, 4.0]]]), torch.tensor([[8.0]]), 4)
    torch.testing.assert_close(shrunk[0, 0, 0], torch.nn.functional.avg_pool2d(picture, 2)[0, 0, :4, 2:6])


def test_squares_hold_both_people():
    points = torch.tensor([[[[50.0, 40.0], [50.0, 90.0]], [[120.0, 45.0], [118.0, 93.0]]]])
    given = torch.ones(1, 2, 2, dtype=torch.bool)
    x, y, side = squares_of_prompts(points, given, torch.tensor([[50.0, 48.0]]), (240, 320))[0].tolist()
    feet = 90 + 1.75 * 50
    assert x - side / 2 < 20
    assert x + side / 2 > 150
    assert y - side / 2 < 10
    assert y + side / 2 > feet
    nobody = squares_of_prompts(points, torch.zeros(1, 2, 2, dtype=torch.bool), torch.zeros(1, 2), (240, 320))
    assert nobody[0].tolist() == [160.0, 120.0, 320.0]
    found = torch.rand(1, 2, 13, 2) * 60 + 100
    sure = torch.ones(1, 2, 13)
    sure[0, 0, 0], found[0, 0, 0] = 0.0, 5000.0  # not believed, so not held
    around = squares_around(found, sure, torch.zeros(1, 3))[0]
    assert around[2] < 1.4 * 61
    assert squares_around(found, 0 * sure, torch.ones(1, 3))[0].tolist() == [1.0, 1.0, 1.0]


def test_evidence_has_its_shapes_and_nothing_where_nobody_was_told_of(network):
    random = np.random.default_rng(0)
    frames = [random.integers(256, size=(90, 120, 3), dtype=np.uint8) for _ in range(3)]
    keypoints = np.zeros((3, 2, 26, 3), np.float32)
    keypoints[..., 2] = 0.9
    keypoints[:, 0, 5:7, :2], keypoints[:, 0, 11:13, :2] = (40, 30), (40, 55)
    keypoints[:, 1, 5:7, :2], keypoints[:, 1, 11:13, :2] = (80, 30), (80, 55)
    keypoints[1] = np.nan
    prompts = prompts_of_keypoints(keypoints)
    np.testing.assert_allclose(prompts[0], [[[40, 30], [40, 55]], [[80, 30], [80, 55]]])
    assert np.isnan(prompts[1]).all()
    evidence = PairEyes(network, Calibration(touch=Line(1.0, -1.0))).look(frames, prompts, looks=1)
    assert len(evidence) == 3
    assert np.isnan(evidence.keypoints[1]).all()
    assert np.isnan(evidence.touch[1]).all()
    assert (evidence.parts[1] == 0).all()
    for row in (0, 2):
        for values in (evidence.probability, evidence.visible, evidence.touch, evidence.before, evidence.nearer):
            assert ((values[row] >= 0) & (values[row] <= 1)).all()
    assert evidence.parts.max() <= 60
    nobody = PairEyes(network, Calibration()).look(frames, np.full((3, 2, 2, 2), np.nan))
    assert np.isnan(nobody.probability).all()
    with pytest.raises(CloseintError, match="3 frames"):
        PairEyes(network, Calibration()).look(frames, prompts[:2])


def test_weights_come_back_with_their_calibration(network, tmp_path):
    path = tmp_path / "eyes.safetensors"
    save_eyes(network, path, Calibration(nearer=Line(2.0, 0.5)), {"steps": 3}, torch.float32)
    again, calibration, card = load_eyes(path)
    assert calibration.nearer == Line(2.0, 0.5)
    assert card == {"steps": 3}
    for one, two in zip(network.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, two)


def test_missing_damaged_and_altered_weights_are_named(network, tmp_path, monkeypatch):
    path = tmp_path / "pair_eyes.safetensors"
    with pytest.raises(CloseintError, match=path.name) as missing:
        load_eyes(path)
    assert missing.value.exit_code == 3
    path.write_bytes(b"no tensors")
    with pytest.raises(CloseintError, match="damaged") as damaged:
        load_eyes(path)
    assert damaged.value.exit_code == 3
    monkeypatch.setattr(weights, "BUNDLED", path)
    monkeypatch.setattr(weights, "_HASHES", tmp_path / "SHA256.json")
    (tmp_path / "SHA256.json").write_text(json.dumps({path.name: "0" * 64}))
    monkeypatch.setenv("CLOSEINT_DATA", str(tmp_path / "nothing"))
    with pytest.raises(CloseintError, match="altered") as altered:
        find_eyes()
    assert altered.value.exit_code == 3
    path.unlink()
    with pytest.raises(CloseintError, match="missing") as gone:
        find_eyes()
    assert gone.value.exit_code == 3
