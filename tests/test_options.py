# SPDX-License-Identifier: Apache-2.0
"""The table of options: what it makes of texts, and that the command, the worker and the panel take it as it is."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.options import BY_NAME, OPTIONS, request_of, settings_of, settings_of_request
from closeint_core.settings import PeopleAt, Settings, check_settings

WRONG = [
    *[("people", text) for text in ("0,0", "-1", "x", "0,1,2", "")],
    *[("focal", text) for text in ("-3", "0", "nan", "inf", "wide")],
    ("model", "magic"),
    ("body", ""),
    ("quality", "best"),
    ("device", "gpu"),
    *[("frames", text) for text in ("7", "9:2", "5:5", "-3:2", "a:b")],
    *[("fps", text) for text in ("-1", "0", "nan", "inf", "fast")],
]
"""What is typed and cannot be."""
TYPED_OR_SENT = [
    ("people", [0, 0], "0,0"), ("people", [-1], "-1"), ("people", [0, 1, 2], "0,1,2"), ("people", ["x"], "x"),
    ("focal", -3, "-3"), ("focal", 0, "0"), ("focal", math.nan, "nan"), ("focal", math.inf, "inf"),
    ("fps", -1, "-1"), ("fps", 0, "0"), ("fps", math.nan, "nan"), ("fps", math.inf, "inf"),
    ("frames", [9, 2], "9:2"), ("frames", [5, 5], "5:5"), ("frames", [-3, 2], "-3:2"), ("frames", ["x", 3], "x:3"),
    ("frames", 7, "7"), ("body", "", ""),
]  # fmt: skip
"""What a request carries and cannot, with the text that says the same on a command line."""
SENT = [
    ("people", []), ("people", [1.5]), ("people", [True, False]), ("people", 3), ("focal", True), ("fps", [25]),
    ("fps", {}), ("frames", [1]), ("frames", [0.5, 2]), ("model", 3), ("quality", ["best"]), ("device", {"gpu": 0}),
    ("body", 5), ("data", 5), ("refine", "no"), ("refine", 0), ("eyes", 1), ("fps", 10**400),
]  # fmt: skip
"""What only a request can carry."""


def test_no_torch_is_needed() -> None:
    code = "import sys; from closeint_core.options import OPTIONS; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_option_is_a_field_and_its_default_the_field_s() -> None:
    plain = Settings()
    names = {field.name for field in fields(Settings)}
    for option in OPTIONS:
        assert option.name in names
        if option.default is not None:
            assert option.read(option.default) == getattr(plain, option.name)
        elif option.metavar:
            assert getattr(plain, option.name) is None
        numbers = [choice.number for choice in option.choices]
        assert len(set(numbers)) == len(numbers)
    assert settings_of({}) == plain


@pytest.mark.parametrize(("name", "text"), WRONG)
def test_a_wrong_value_is_the_same_sentence_everywhere(name: str, text: str) -> None:
    typer = pytest.importorskip("typer.testing")
    from closeint_core.cli import app

    with pytest.raises(CloseintError) as said:
        settings_of({name: text})
    assert said.value.exit_code == 2
    assert repr(text) in said.value.message
    typed = [f"{BY_NAME[name].flag}={text}"]
    ran = typer.CliRunner().invoke(
        app, ["reconstruct", __file__, "-o", str(Path(__file__).with_suffix(".npz")), *typed]
    )
    assert isinstance(ran.exception, CloseintError)
    assert str(ran.exception) == str(said.value)
    with pytest.raises(CloseintError) as asked:
        settings_of_request({name: text})
    assert str(asked.value) == str(said.value)


@pytest.mark.parametrize(("name", "value", "text"), TYPED_OR_SENT)
def test_a_worker_refuses_it_in_the_same_words(name: str, value: object, text: str) -> None:
    with pytest.raises(CloseintError) as typed:
        settings_of({name: text})
    with pytest.raises(CloseintError) as sent:
        settings_of_request({name: value})
    assert str(sent.value) == str(typed.value)
    assert repr(text) in sent.value.message
    assert sent.value.exit_code == typed.value.exit_code == 2


@pytest.mark.parametrize(("name", "value"), SENT)
def test_a_worker_refuses_other_kinds(name: str, value: object) -> None:
    with pytest.raises(CloseintError) as said:
        settings_of_request({name: value})
    assert said.value.exit_code == 2
    assert said.value.fix


BOX = [0.0, 1.0, 2.0, 3.5]


@pytest.mark.parametrize(
    "people",
    [
        {"frame": 3},
        {"frame": -1, "boxes": [BOX]},
        {"frame": "3", "boxes": [BOX]},
        {"frame": 3, "boxes": []},
        {"frame": 3, "boxes": [BOX, BOX, BOX]},
        {"frame": 3, "boxes": [BOX[:3]]},
        {"frame": 3, "boxes": [[*BOX[:3], float("nan")]]},
        {"frame": 3, "boxes": [[2.0, 1.0, 0.0, 3.5]]},
        {"frame": 3, "boxes": 7},
        {"frame": 3, "boxes": ["abcd"]},
    ],
)
def test_people_pointed_at_must_be_boxes_in_a_frame(people: object) -> None:
    with pytest.raises(CloseintError, match="neither auto nor one or two"):
        settings_of_request({"people": people})


def test_numbers_of_numpy_and_lists_are_taken_from_python() -> None:
    np = pytest.importorskip("numpy")
    check_settings(Settings(focal=np.float32(900), fps=np.float64(25), frames=[0, np.int64(5)], people=[0, 1]))
    with pytest.raises(CloseintError, match="frame rate"):
        check_settings(Settings(fps=np.float32("nan")))


def test_the_command_says_what_the_table_says() -> None:
    click = pytest.importorskip("typer.main")
    from closeint_core.cli import app

    known = {parameter.name: parameter for parameter in click.get_command(app).commands["reconstruct"].params}
    for option in OPTIONS:
        parameter = known["data" if option.name == "data" else option.name]
        assert set(option.flags()) <= {*parameter.opts, *parameter.secondary_opts}
        assert parameter.help == option.help
        if option.default is not None:
            assert parameter.default == option.default


@given(
    people=st.none() | st.lists(st.integers(0, 9), min_size=1, max_size=2, unique=True).map(tuple),
    frames=st.none() | st.tuples(st.none() | st.integers(0, 99), st.none() | st.integers(100, 200)),
    focal=st.none() | st.floats(1, 1e5), fps=st.none() | st.floats(1, 240), refine=st.booleans(),
    quality=st.sampled_from(["draft", "standard", "high"]),
)  # fmt: skip
def test_a_request_says_what_the_settings_say(people, frames, focal, fps, refine, quality) -> None:
    settings = Settings(people=people, frames=frames, focal=focal, fps=fps, refine=refine, quality=quality)
    assert settings_of_request(json.loads(json.dumps(request_of(settings)))) == settings


def test_people_pointed_at_travel_as_well() -> None:
    settings = Settings(people=PeopleAt(7, ((0.0, 1.0, 2.0, 3.5), (4.0, 5.0, 6.0, 7.0))))
    assert settings_of_request(json.loads(json.dumps(request_of(settings)))) == settings
