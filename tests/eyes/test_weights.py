# SPDX-License-Identifier: Apache-2.0
import pytest
import torch
from safetensors.torch import load_file, save_file

from closeint_core.errors import CloseintError
from closeint_core.eyes.calibration import Calibration, Line
from closeint_core.eyes.network import FIRST_SHAPE, NetworkShape, PairNetwork
from closeint_core.eyes.weights import FORMAT, load_eyes, save_eyes


@pytest.mark.parametrize("shape", [FIRST_SHAPE, NetworkShape()])
def test_a_network_comes_back_as_it_was(tmp_path, shape):
    torch.manual_seed(0)
    network, calibration = PairNetwork(shape), Calibration(touch=Line(1.5, -0.5))
    path = tmp_path / "eyes.safetensors"
    save_eyes(network, path, calibration, {"steps": 7}, torch.float32)
    again, lines, card = load_eyes(path)
    assert again.shape == shape
    assert lines == calibration
    assert card == {"steps": 7}
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_weights_that_do_not_say_are_of_the_first_shape(tmp_path):
    path = tmp_path / "eyes.safetensors"
    save_eyes(PairNetwork(FIRST_SHAPE), path, Calibration(), {})
    save_file(load_file(path), path, {"format": FORMAT})
    network, calibration, card = load_eyes(path)
    assert network.shape == FIRST_SHAPE
    assert calibration == Calibration()
    assert card == {}


@pytest.mark.parametrize("said", ['{"layers": 2}', '{"rooms": 3}', "no JSON"])
def test_weights_of_another_network_are_named(tmp_path, said):
    path = tmp_path / "eyes.safetensors"
    save_eyes(PairNetwork(FIRST_SHAPE), path, Calibration(), {})
    save_file(load_file(path), path, {"format": FORMAT, "network": said})
    with pytest.raises(CloseintError, match=r"eyes\.safetensors of the eyes is of another network") as failed:
        load_eyes(path)
    assert failed.value.exit_code == 3
