# SPDX-License-Identifier: Apache-2.0
"""Each platform's rules, on any platform."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from closeint_core.errors import CloseintError
from closeint_core.worker import platforms

WINDOWS_HOME = PureWindowsPath(
    r"C:\Users\Benjamin\AppData\Roaming\Blender Foundation\Blender\4.5\extensions\.user\user_default\closeint"
)
"""The extension's folder as Blender makes it."""


def test_interpreters() -> None:
    assert str(platforms.python_in(PureWindowsPath("C:/a b"), "win32")) == r"C:\a b\Scripts\python.exe"
    for platform in ("darwin", "linux"):
        assert str(platforms.python_in(PurePosixPath("/a b"), platform)) == "/a b/bin/python"
    made = platforms.python_in(Path(sys.prefix))
    assert Path(made).exists(), "venv lays this platform's environments out in another way"


def test_commands_that_may_be_a_python() -> None:
    assert platforms.python_commands("win32")[0] == ["py", "-3.11"]
    for platform in ("win32", "darwin", "linux"):
        found = platforms.python_commands(platform)
        assert found[-2:] == [["python3"], ["python"]]
        assert [["py", "-3.12"] in found, ["python3.12"] in found] == [platform == "win32", True]


def test_places_of_uv() -> None:
    found = [str(place) for place in platforms.uv_places(PureWindowsPath("C:/Users/Ü"), "win32")]
    assert found == [r"C:\Users\Ü\.local\bin\uv.exe", r"C:\Users\Ü\.cargo\bin\uv.exe"]
    assert str(platforms.uv_places(PurePosixPath("/Users/Ü"), "darwin")[0]) == "/Users/Ü/.local/bin/uv"


@pytest.mark.parametrize(
    ("platform", "machine", "libc", "wheels"),
    [
        ("win32", "AMD64", "", "win_amd64"),
        ("win32", "ARM64", "", "win_arm64"),
        ("win32", "x86", "", "win32"),
        ("darwin", "arm64", "", "macosx_arm64"),
        ("darwin", "x86_64", "", "macosx_x86_64"),
        ("linux", "x86_64", "glibc", "manylinux_x86_64"),
        ("linux", "aarch64", "glibc", "manylinux_aarch64"),
        ("linux", "x86_64", "musl", "musllinux_x86_64"),
        ("linux", "riscv64", "glibc", "manylinux_riscv64"),
    ],
)
def test_names_of_wheels(platform: str, machine: str, libc: str, wheels: str) -> None:
    assert platforms.wheel_platform(platform, machine, libc) == wheels
    # As torch 2.13 is published: torch-2.13.0-cp311-cp311-win_amd64.whl, ...-macosx_14_0_arm64.whl,
    # ...-manylinux_2_28_x86_64.whl, ...-manylinux_2_28_aarch64.whl.
    published = wheels in ("win_amd64", "macosx_arm64", "manylinux_x86_64", "manylinux_aarch64")
    if published:
        platforms.require_torch(wheels)
    else:
        with pytest.raises(CloseintError, match=r"^PyTorch is not published for [^.]+\.? ?.*Existing Python") as error:
            platforms.require_torch(wheels)
        assert error.value.exit_code == 3


def test_this_computer_has_torch() -> None:
    """The very test of the installer, on a computer where torch was installed."""
    import platform

    platforms.require_torch(platforms.wheel_platform(sys.platform, platform.machine(), "glibc"))


@pytest.mark.parametrize(
    ("wheel", "address"),
    [
        (PureWindowsPath(r"C:\Users\Ида Å\a#b [1]\closeint_core-1.0-py3-none-any.whl"),
         "file:///C:/Users/%D0%98%D0%B4%D0%B0%20%C3%85/a%23b%20%5B1%5D/closeint_core-1.0-py3-none-any.whl"),
        (PureWindowsPath(r"\\server\share\x y\closeint_core-1.0-py3-none-any.whl"),
         "file://server/share/x%20y/closeint_core-1.0-py3-none-any.whl"),
        (PurePosixPath("/Users/映画 100%/closeint_core-1.0-py3-none-any.whl"),
         "file:///Users/%E6%98%A0%E7%94%BB%20100%25/closeint_core-1.0-py3-none-any.whl"),
    ],
)  # fmt: skip
def test_requirements(wheel: PurePosixPath | PureWindowsPath, address: str) -> None:
    assert platforms.requirement(wheel, "inference") == f"closeint-core[inference] @ {address}"


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1).filter(lambda t: t not in (".", ".."))
)
def test_any_folder_comes_back_from_a_requirement(name: str) -> None:
    wheel = PurePosixPath("/home", name, "closeint_core-1.0-py3-none-any.whl")
    project, _, address = platforms.requirement(wheel, "inference").partition(" @ ")
    assert project == "closeint-core[inference]"
    assert unquote(urlsplit(address).path) == str(wheel)
    assert not set(" #?[]") & set(address)


@pytest.mark.skipif(os.name == "nt", reason="a wheel on a path of this platform")
def test_pip_understands_the_requirement(tmp_path: Path) -> None:
    import zipfile

    folder = tmp_path / "Übung #[1] мир 100%"
    folder.mkdir()
    wheel = folder / "closeint_core-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        about = "closeint_core-1.0.dist-info"
        text = "Metadata-Version: 2.1\nName: closeint-core\nVersion: 1.0\nProvides-Extra: inference\n"
        archive.writestr(f"{about}/METADATA", text)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", str(tmp_path / "out")]
    done = subprocess.run([*command, platforms.requirement(wheel, "inference")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "closeint_core-1.0.dist-info").is_dir()


# -- long paths --------------------------------------------------------------------------------------------------


def test_where_the_worker_goes() -> None:
    variables = {"LOCALAPPDATA": r"C:\Users\Benjamin\AppData\Local"}
    usual = WINDOWS_HOME / "worker"
    assert not platforms.fits(usual, "win32")
    short = platforms.worker_folder(WINDOWS_HOME, "win32", variables, False, "4.5")
    assert str(short) == r"C:\Users\Benjamin\AppData\Local\closeint\4.5\worker"
    assert platforms.fits(short, "win32")
    platforms.require_short(short, "win32", False)
    # Where long paths are switched on, where there is no such folder, and where the usual place is short enough.
    assert platforms.worker_folder(WINDOWS_HOME, "win32", variables, True, "4.5") == usual
    assert platforms.worker_folder(WINDOWS_HOME, "win32", {}, False, "4.5") == usual
    near = PureWindowsPath(r"C:\closeint")
    assert platforms.worker_folder(near, "win32", variables, False, "4.5") == near / "worker"
    for platform in ("darwin", "linux"):
        home = PurePosixPath("/" + "x" * 300)
        assert platforms.worker_folder(home, platform, variables, True, "4.5") == home / "worker"
        platforms.require_short(home, platform, False)


def test_a_folder_that_is_too_deep() -> None:
    with pytest.raises(CloseintError, match=r"is too deep for Windows: it has \d+ characters, 67 can be used") as error:
        platforms.require_short(WINDOWS_HOME / "worker", "win32", False)
    assert "CLOSEINT_BLENDER_HOME" in str(error.value)
    platforms.require_short(WINDOWS_HOME / "worker", "win32", True)
    exactly = PureWindowsPath("C:\\" + "x" * 64)
    platforms.require_short(exactly, "win32", False)
    with pytest.raises(CloseintError):
        platforms.require_short(PureWindowsPath(str(exactly) + "x"), "win32", False)


def test_nothing_in_this_environment_is_longer_than_counted_on() -> None:
    """What is installed here, under the names that Windows gives its folders."""
    packages = Path(next(path for path in sys.path if path.endswith("site-packages")))
    longest = max((path.relative_to(packages).as_posix() for path in packages.rglob("torch-*.dist-info/**/*")), key=len)
    assert len("\\Lib\\site-packages\\" + longest) <= platforms.LONGEST_INSIDE


def test_extended_paths() -> None:
    assert platforms.extended(r"C:\a b\ü", "win32") == r"\\?\C:\a b\ü"
    assert platforms.extended("C:/a/b", "win32") == r"\\?\C:\a\b"
    assert platforms.extended(r"\\server\share\a", "win32") == r"\\?\UNC\server\share\a"
    for given_as in (r"\\?\C:\a", r"\\.\pipe\x", "relative\\a"):
        assert platforms.extended(given_as, "win32") == given_as
    assert platforms.extended("/a/b", "linux") == "/a/b"


# -- variables ---------------------------------------------------------------------------------------------------


def test_variables_for_pip_and_uv() -> None:
    given_as = {
        "Path": r"C:\Windows",
        "PythonPath": "x",
        "PYTHONHOME": "y",
        "LANG": "ja_JP.SJIS",
        "UV_CACHE_DIR": "D:/uv",
    }
    found = platforms.child_environment(given_as, PureWindowsPath("C:/closeint"), "win32")
    assert found["Path"] == r"C:\Windows"
    assert not {name.upper() for name in found} & {"PYTHONPATH", "PYTHONHOME"}
    assert found["PYTHONUTF8"] == "1"
    assert found["UV_CACHE_DIR"] == "D:/uv", "what the user set stays"
    assert found["PIP_CACHE_DIR"] == r"C:\closeint\cache\pip"
    # Elsewhere a variable of another case is another variable.
    found = platforms.child_environment(given_as, PurePosixPath("/c"), "linux")
    assert found["PythonPath"] == "x"
    assert "PYTHONHOME" not in found


@pytest.mark.skipif(os.name == "nt", reason="locales by name")
@pytest.mark.parametrize("locale", ["C", "POSIX", "ja_JP.SJIS", "ru_RU.CP1251"])
def test_children_speak_utf8_in_any_code_page(locale: str, tmp_path: Path) -> None:
    variables = {**os.environ, "LC_ALL": locale, "LANG": locale}
    found = platforms.child_environment(variables, PurePosixPath(tmp_path))
    done = subprocess.run([sys.executable, "-c", "print('Übung мир 映画')"], env=found, capture_output=True, check=True)
    assert done.stdout.decode("utf-8").strip() == "Übung мир 映画"


def test_long_paths_are_the_matter_of_windows_alone() -> None:
    assert platforms.long_paths_enabled("linux")
    assert platforms.long_paths_enabled("darwin")
    if sys.platform != "win32":
        assert not platforms.long_paths_enabled("win32"), "without a registry they are off"
