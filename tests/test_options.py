# SPDX-License-Identifier: Apache-2.0
"""The table of options: what it makes of texts, and that the command, the worker and the panel take it as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.options import BY_NAME, OPTIONS, request_of, settings_of, settings_of_request
from closeint_core.settings import PeopleAt, Settings

WRONG = {
    "people": "0,0",
    "focal": "-3",
    "model": "magic",
    "quality": "best",
    "device": "gpu",
    "frames": "7",
    "fps": "0",
}


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


@pytest.mark.parametrize(("name", "text"), WRONG.items())
def test_a_wrong_value_is_the_same_sentence_everywhere(name: str, text: str) -> None:
    typer = pytest.importorskip("typer.testing")
    from closeint_core.cli import app

    with pytest.raises(CloseintError) as said:
        settings_of({name: text})
    assert said.value.exit_code == 2
    assert repr(text) in said.value.message
    typed = [BY_NAME[name].flag, text]
    ran = typer.CliRunner().invoke(
        app, ["reconstruct", __file__, "-o", str(Path(__file__).with_suffix(".npz")), *typed]
    )
    assert isinstance(ran.exception, CloseintError)
    assert ran.exception.message == said.value.message


@pytest.mark.parametrize("name", ["model", "quality", "device"])
def test_the_worker_refuses_the_same(name: str) -> None:
    with pytest.raises(CloseintError) as typed:
        settings_of({name: WRONG[name]})
    with pytest.raises(CloseintError) as asked:
        settings_of_request({name: WRONG[name]})
    assert asked.value.message == typed.value.message


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
