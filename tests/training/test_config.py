# SPDX-License-Identifier: Apache-2.0
"""Configurations of runs: what is refused, how it is said, and that nothing is taken for something else."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.training import config as module
from closeint_core.training.checkpointing import RunState, load_state, save_state
from closeint_core.training.config import SAME_ON_RESUMING, TrainingConfig, build, read_config, to_dict

SMALLEST = {"what": "denoiser", "output": "out"}
SHIPPED = sorted((Path(module.__file__).parent / "configs").glob("*.yaml"))


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configurations_are_read(path):
    config = read_config(path)
    assert config.what == path.stem
    assert read_config(path, output="elsewhere", time_budget=5).time_budget == 5.0


def test_there_is_something_shipped():
    assert [path.stem for path in SHIPPED] == ["denoiser", "eyes", "prior"]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"step": 5}, r"'step' is unknown.*'steps'"),
        ({"optimizer": {"learningrate": 1}}, r"'optimizer\.learningrate' is unknown.*'optimizer\.learning_rate'"),
        ({"losses": {"joint": 1}}, r"'losses\.joint' is unknown.*'losses\.joints'"),
        ({"steps": "5"}, "steps is '5', not a whole number"),
        ({"steps": 5.0}, r"steps is 5\.0, not a whole number"),
        ({"steps": True}, "steps is True, not a whole number"),
        ({"compile": 1}, "compile is 1, not true or false"),
        ({"ema": "much"}, "ema is 'much', not a number"),
        ({"ema": True}, "ema is True, not a number"),
        ({"optimizer": {"learning_rate": float("nan")}}, "learning_rate is nan"),
        ({"optimizer": 3}, "optimizer is 3, not a group"),
        ({"optimizer": {"betas": 0.9}}, r"optimizer\.betas is 0\.9, not a list"),
        ({"optimizer": {"betas": [0.9, "x"]}}, r"optimizer\.betas\[1\] is 'x'"),
        ({"optimizer": {"betas": [0.9]}}, r"optimizer\.betas are two numbers"),
        ({"output": 3}, "output is 3, not a text"),
        ({"what": "both"}, "what is 'both', not one of denoiser, prior"),
        ({"steps": 0}, "steps must be above 0"),
        ({"ema": 1.0}, "ema must lie in 0..1"),
        ({"precision": "float16"}, "precision is 'float16'"),
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"validation": {"pictures": 9, "windows": 4}}, r"validation\.pictures must lie in"),
        ({"recorded": {"epochs": 3}}, r"recorded\.epochs counts without a folder"),
        ({"what": "prior", "recorded": {"folder": "data"}}, "synthetic interactions alone"),
        ({"recorded": {"folder": "data", "epochs": 0}}, r"recorded\.epochs is 0 and no steps are given"),
        ({"recorded": {"folder": "data", "epochs": -1}}, r"recorded\.epochs must not be negative"),
        ({"denoiser": {"heads": 0}}, r"denoiser\.heads is 0"),
        ({"denoiser": {"dim": 100}}, r"denoiser\.dim is 100.*8 heads"),
        ({"denoiser": {"hidden": 10**12}}, r"denoiser\.hidden is 1000000000000"),
        ({"prior": {"codes": -1}}, r"prior\.codes is -1"),
        ({"codes": {"depth": 0}}, r"codes\.depth is 0"),
        ({"losses": {"joints": -1.0}}, r"losses\.joints must be a number that is not negative"),
        ({"prior_losses": {"joints": -1.0}}, r"prior_losses\.joints must not be negative"),
        ({"data": {"strides": []}}, r"data\.strides"),
        ({"data": {"strides": [0]}}, r"data\.strides"),
        ({"data": {"chunk": 0}}, r"data\.chunk must be above 0"),
        ({"data": {"hidden": 1.5}}, r"data\.hidden is a share"),
        ({"data": {"frames": 40}}, r"data\.clip is 48, but windows .* need 79 frames"),
        ({"data": {"oversample": 0}}, r"data\.oversample must be 1 or more"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, values, named):
    path = write(tmp_path, yaml.safe_dump(SMALLEST | values))
    with pytest.raises(CloseintError, match=named) as error:
        read_config(path)
    assert str(path) in error.value.message
    assert error.value.exit_code == 2


NONSENSE = [0, -1, 0.0, -0.5, float("nan"), float("inf"), 1e30, "x", "", None, True, [], [None], {}, 10**400, 10**5000]


NINE = ", ".join(9 * ["*k{0}"])


def _leaves(values: dict[str, Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in values.items():
        found.append((*path, key))
        if isinstance(value, dict):
            found += _leaves(value, (*path, key))
    return found


def test_nonsense_at_any_key_is_refused_or_a_whole_configuration():
    """No value at any key ends in anything but a sentence, and what is taken holds no number that is not one."""
    taken, messages = 0, []
    for path in _leaves(to_dict(build(TrainingConfig, SMALLEST))):
        for nonsense in NONSENSE:
            values: dict[str, Any] = nonsense  # type: ignore[assignment]
            for key in reversed(path):
                values = {key: values}
            try:
                config = build(TrainingConfig, SMALLEST | values)
            except CloseintError as refusal:
                messages.append(refusal.message)
                continue
            taken += 1
            assert "nan" not in str(to_dict(config))
            assert "inf" not in str(to_dict(config))
    assert taken > 50  # texts and empty groups are fine in places
    assert all(0 < len(message) < 300 for message in messages)


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 100_000,
        "{a: " * 100_000,
        "- " * 100_000,
        "a: &a [*a]",
        "k0: &k0 [x, x]\n" + "".join(f"k{i + 1}: &k{i + 1} [{NINE.format(i)}]\n" for i in range(12)),
        "k0: &k0 {x: 1}\n" + "".join(f"k{i + 1}: &k{i + 1} {{<<: [{NINE.format(i)}]}}\n" for i in range(12)),
        "what: denoiser\noutput: a\nsteps: " + "9" * 10_000,
        "what: denoiser\noutput: a\nsteps: -0x" + "f" * 10_000,
        "what: denoiser\noutput: a\nema: 0x" + "f" * 10_000,
        "? [a, b]\n: 1",
        "what: 2001-13-45",
        "what: !!binary x",
        "a: b\n" * 300_000,
    ],
    ids=["lists", "mappings", "dashes", "itself", "aliases", "merges", "digits", "negative", "hex", "key", "date",
         "binary", "long"],
)  # fmt: skip
def test_hostile_yaml_is_refused(tmp_path, text):
    with pytest.raises(CloseintError) as refusal:
        read_config(write(tmp_path, text))
    assert len(refusal.value.message) < 600


def test_anchors_are_understood(tmp_path):
    text = "what: &w denoiser\noutput: *w\noptimizer: &o {clip: 2.0}\n"
    assert read_config(write(tmp_path, text)).output == "denoiser"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("what: denoiser\noutput: a\noutput: b\n", "'output' is there twice"),
        ("what: denoiser\noutput: a\noptimizer:\n  clip: 1.0\n  clip: 2.0\n", "'clip' is there twice"),
        ("what: denoiser\n", "'output' is missing"),
        ("- what\n- output\n", "keys and values"),
        ("", "keys and values"),
        ("1: 2\n", "keys and values"),
        ("what: [\n", "no YAML"),
        ("what: !!python/object/apply:os.system ['true']\n", "no YAML"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, text, named):
    with pytest.raises(CloseintError, match=named):
        read_config(write(tmp_path, text))


def test_a_missing_file_and_one_that_is_no_text(tmp_path):
    with pytest.raises(CloseintError, match="Cannot read"):
        read_config(tmp_path / "none.yaml")
    (tmp_path / "run.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CloseintError, match="Cannot read"):
        read_config(tmp_path / "run.yaml")


def test_numbers_without_a_point_are_numbers(tmp_path):
    """YAML 1.1 takes 1e-4 for a text, and people write it."""
    text = "what: denoiser\noutput: a\noptimizer:\n  learning_rate: 1e-4\n  clip: 2\n"
    config = read_config(write(tmp_path, text))
    assert config.optimizer.learning_rate == 1e-4
    assert config.optimizer.clip == 2.0
    assert type(config.optimizer.clip) is float


def test_a_part_of_a_group_leaves_the_rest_as_the_run_has_it(tmp_path):
    """The run's denoiser is conditioned on keypoints; a denoiser by itself would not be."""
    plain = build(TrainingConfig, SMALLEST)
    assert build(TrainingConfig, SMALLEST | {"denoiser": {"dim": 64}}).denoiser.condition == plain.denoiser.condition
    assert plain.denoiser.condition == "keypoints"


@given(
    st.integers(1, 10**6),
    st.floats(1e-6, 1.0),
    st.lists(st.sampled_from(("hug", "handshake")), max_size=2),
    st.booleans(),
)
def test_a_configuration_written_out_is_the_same_one(steps, rate, kinds, compiled):
    values: dict[str, Any] = SMALLEST | {"steps": steps, "compile": compiled}
    values |= {"optimizer": {"learning_rate": rate}, "data": {"kinds": kinds}}
    config = build(TrainingConfig, values)
    assert build(TrainingConfig, yaml.safe_load(yaml.safe_dump(to_dict(config)))) == config


def test_every_setting_is_known_to_be_the_same_or_free_on_resuming():
    free = {"output", "validation", "compile", "graphs", "log_every", "checkpoint_every", "time_budget", "device"}
    assert {f.name for f in fields(TrainingConfig)} == SAME_ON_RESUMING | free


def test_a_setting_that_came_later_was_as_by_default(tmp_path):
    config = build(TrainingConfig, SMALLEST)
    before = to_dict(config)
    del before["recorded"], before["losses"]["contact"]
    path = tmp_path / "checkpoint.pt"
    save_state(RunState("denoiser", 3, 1.0, {}, {}, {}, {}, 0, before), path)
    state = load_state(path, config, "denoiser")
    assert state is not None
    assert state.step == 3
    with pytest.raises(CloseintError, match=r"losses\.contact = .*, which is now 9"):
        load_state(path, build(TrainingConfig, SMALLEST | {"losses": {"contact": 9.0}}), "denoiser")
    with pytest.raises(CloseintError, match="denoiser, not the prior"):
        load_state(path, config, "prior")
