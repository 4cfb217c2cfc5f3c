# SPDX-License-Identifier: Apache-2.0
"""The worker's environment: its states, its plan, and installations with a stand-in for uv and pip."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from closeint_core.errors import Cancelled, CloseintError
from closeint_core.worker import environment as module
from closeint_core.worker import platforms
from closeint_core.worker.client import WorkerClient
from closeint_core.worker.environment import (
    Environment,
    FoundPython,
    Stamp,
    find_python,
    hold,
    plan,
    probe_python,
)

posix = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")
BASE = FoundPython(Path("/opt/python"), (3, 11, 4), True)


def test_states(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "worker")
    assert environment.state("1.0") == "missing"
    environment.folder.mkdir()
    assert environment.state("1.0") == "broken"
    environment.write_stamp(Stamp("1.0", "3.11", "torch", "pip"))
    assert environment.state("1.0") == "broken", "its Python is gone"
    environment.python.parent.mkdir()
    environment.python.write_text("")
    assert environment.state("1.0") == "ready"
    assert environment.state("1.1") == "outdated"
    (environment.folder / "closeint.json").write_text('{"version": 1')
    assert environment.state("1.0") == "broken"


def test_only_environments_are_removed(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "worker")
    environment.remove()
    environment.folder.mkdir()
    (environment.folder / "thesis.txt").write_text("precious")
    with pytest.raises(CloseintError, match="not an environment"):
        environment.remove()
    (environment.folder / "pyvenv.cfg").write_text("")
    environment.remove()
    assert not environment.folder.exists()


def test_this_python_is_found() -> None:
    found = probe_python([sys.executable])
    assert found is not None
    assert found.version[:2] == sys.version_info[:2]
    best, seen = find_python()
    assert best in seen
    assert find_python(Path(sys.executable))[0] is not None


@posix
def test_pythons_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(CloseintError, match="not a Python that runs"):
        find_python(tmp_path / "none")
    old = script(tmp_path / "old", "echo '[[3, 8, 1], true, \"/old\"]'")
    with pytest.raises(CloseintError, match=r"is Python 3\.8\.1; 3\.10 or later"):
        find_python(old)
    bare = script(tmp_path / "bare", "echo '[[3, 12, 1], false, \"/bare\"]'")
    with pytest.raises(CloseintError, match="cannot make environments"):
        find_python(bare)
    assert probe_python([str(script(tmp_path / "noise", "echo hello"))]) is None


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("uv", [None, "/bin/uv"])
@pytest.mark.parametrize("base", [None, BASE])
def test_plan(system: str, gpu: bool, uv: str | None, base: FoundPython | None) -> None:
    kind = platforms.path_class(system)
    folder = kind("C:/Users/Ида Ångström/worker" if system == "win32" else "/home/Ида Ångström/worker")
    wheel = folder.parent / "closeint_core-9.9-py3-none-any.whl"
    if uv is None and base is None:
        with pytest.raises(CloseintError, match=r"No Python 3\.10 or later"):
            plan(folder, wheel, base, uv, gpu, system)
        return
    steps = plan(folder, wheel, base, uv, gpu, system)
    assert sum(step.share for step in steps) == pytest.approx(1.0)
    assert "venv" in steps[0].command
    assert str(folder) in steps[0].command, "a path with spaces is one argument"
    asked = platforms.requirement(wheel, "inference")
    core = next(number for number, step in enumerate(steps) if step.command[-1] == asked)
    interpreter = str(platforms.python_in(folder, system))
    assert all(interpreter in step.command or step is steps[0] for step in steps)
    # The GPU build of ONNX Runtime goes over the plain one, so after it; without it people are found on the CPU.
    after = steps[core + 1 :]
    assert [step.command[-1] for step in after] == (["onnxruntime-gpu"] if gpu and system != "darwin" else [])
    for step in after:
        assert step.optional
        assert "--no-deps" in step.command
        assert {"--reinstall", "--force-reinstall"} & set(step.command)
    torch = next(step for step in steps if step.command[-1] == module.TORCH)
    backend = "--torch-backend" in torch.command
    # The registry's plain torch is for CUDA on Linux and for the CPU on Windows.
    assert backend == (system != "darwin" and (uv is not None or not (system == "linux" and gpu)))
    if backend:
        assert torch.command[torch.command.index("--torch-backend") + 1] == ("auto" if gpu else "cpu")
        assert torch.fallback
    assert steps.index(torch) < core


# -- installations with stand-ins --------------------------------------------------------------------------------


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


UV = """
case "$1" in
  venv)
    for folder; do :; done
    mkdir -p "$folder/bin"; touch "$folder/pyvenv.cfg"; cp "$CLOSEINT_TEST_PYTHON" "$folder/bin/python";;
  pip)
    for package; do :; done
    echo "Collecting $package"
    case "$package" in torch*) {torch};; *) {core};; esac;;
esac
"""
PYTHON = """
case "$*" in
  *"-m pip install"*) echo "pip too: $*"; {pip};;
  *) {imports};;
esac
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkerClient]:
    folder = tmp_path / "bin"
    folder.mkdir()
    variables = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    variables |= {"CLOSEINT_TEST_PYTHON": str(folder / "fake-python"), "PYTHONPATH": os.pathsep.join(sys.path)}
    client = WorkerClient(
        [sys.executable, "-m", "closeint_core.worker.install"],
        tmp_path / "logs" / "install.log",
        environment=variables,
        cancel_timeout=3.0,
    )
    yield client
    client.close()


def stand_in(
    tmp_path: Path, *, torch: str = "true", core: str = "true", pip: str = "false", imports: str = "echo 9.9"
) -> dict[str, str]:
    """Write uv and a Python that do as told; the request's parameters."""
    script(tmp_path / "bin" / "uv", UV.format(torch=torch, core=core))
    script(tmp_path / "bin" / "fake-python", PYTHON.format(pip=pip, imports=imports))
    wheel = tmp_path / "closeint_core-9.9-py3-none-any.whl"
    wheel.write_text("")
    return {"folder": str(tmp_path / "Übung мир 映画 #1" / "worker"), "wheel": str(wheel)}


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def made_by(version: str, folder: Path) -> Environment:
    """An environment as version 0.1 and later leave it."""
    environment = Environment(folder)
    environment.python.parent.mkdir(parents=True)
    script(environment.python, "echo old")
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\n")
    stamp = {"version": version, "python": "/usr/bin/python3.11", "torch": "torch==2.13.0", "tool": "uv"}
    (folder / "closeint.json").write_text(json.dumps(stamp))
    return environment


@posix
def test_install_and_remove(client: WorkerClient, tmp_path: Path) -> None:
    request = stand_in(tmp_path, core="sleep 0.3")
    stages: list[str] = []
    result = client.wait(client.submit("install", **request), lambda job: stages.append(job.stage))
    environment = Environment(Path(request["folder"]))
    assert environment.state("9.9") == "ready"
    assert (result["version"], result["tool"], result["path"]) == ("9.9", "uv", str(environment.python))
    titles = [stage.partition("\n")[0] for stage in stages]
    assert "Installing closeint and its libraries" in titles
    assert any("Collecting" in stage for stage in stages), "the output is live"
    # again: repair
    client.wait(client.submit("install", **request))
    client.wait(client.submit("remove", folder=request["folder"]))
    assert environment.state("9.9") == "missing"


@posix
def test_fallback(client: WorkerClient, tmp_path: Path) -> None:
    request = stand_in(tmp_path, torch="exit 1", pip="true")
    assert client.wait(client.submit("install", **request))["version"] == "9.9"
    assert "pip too" in client.log.read_text()


@posix
@pytest.mark.parametrize(
    ("what", "match"),
    [
        ({"core": "echo 'ERROR: No space left on device'; exit 1"}, "the disk is full"),
        ({"core": "echo 'Failed to establish a new connection'; exit 1"}, "cannot be reached"),
        (
            {"core": "echo 'Max retries exceeded: certificate verify failed'; exit 1"},
            "certificate of the packages' site is not trusted",
        ),
        ({"core": "echo 'error: it rains'; exit 1"}, "it rains"),
        ({"imports": "echo 'ImportError: libtorch' >&2; exit 1"}, "does not work: ImportError: libtorch"),
    ],
)
def test_failures_leave_nothing(client: WorkerClient, tmp_path: Path, what: dict[str, str], match: str) -> None:
    request = stand_in(tmp_path, **what)
    with pytest.raises(CloseintError, match=match):
        client.wait(client.submit("install", **request))
    assert not Path(request["folder"]).exists()


# -- renewing and removing ---------------------------------------------------------------------------------------


@posix
def test_an_environment_of_0_1_is_renewed(client: WorkerClient, tmp_path: Path) -> None:
    request = stand_in(tmp_path)
    environment = made_by("0.1.0", Path(request["folder"]))
    assert environment.state("9.9") == "outdated"
    result = client.wait(client.submit("install", **request))
    assert (result["version"], result["earlier"]) == ("9.9", "0.1.0")
    assert environment.state("9.9") == "ready"
    assert [path.name for path in environment.folder.parent.iterdir()] == ["worker"], "the earlier one was left"


@posix
@pytest.mark.parametrize(
    "what", [{"core": "exit 1"}, {"imports": "exit 1"}, {"core": "kill -9 $PPID"}], ids=["step", "import", "killed"]
)
def test_the_earlier_environment_stays_until_the_new_one_works(
    client: WorkerClient, tmp_path: Path, what: dict[str, str]
) -> None:
    request = stand_in(tmp_path, **what)
    environment = made_by("0.1.0", Path(request["folder"]))
    before = listing(environment.folder)
    job = client.submit("install", **request)
    with pytest.raises(CloseintError):
        client.wait(job)
    if "kill" in str(what):  # nobody could clear up; the next installation does
        assert environment.earlier.exists()
        environment.recover()
    else:
        assert job.warnings == ["The worker of before is kept."]
    assert listing(environment.folder) == before
    assert environment.state("0.1.0") == "ready"
    assert not environment.earlier.exists()
    stand_in(tmp_path)
    assert client.wait(client.submit("install", **request))["earlier"] == "0.1.0"


@posix
def test_a_broken_environment_is_not_kept(client: WorkerClient, tmp_path: Path) -> None:
    request = stand_in(tmp_path, core="exit 1")
    environment = made_by("0.1.0", Path(request["folder"]))
    environment.python.unlink()
    assert environment.state("9.9") == "broken"
    with pytest.raises(CloseintError, match="failed"):
        client.wait(client.submit("install", **request))
    assert not environment.folder.exists()
    stand_in(tmp_path)
    assert client.wait(client.submit("install", **request))["earlier"] == ""


@posix
def test_recovery_keeps_what_is_complete(tmp_path: Path) -> None:
    environment = made_by("9.9", tmp_path / "worker")
    made_by("0.1.0", tmp_path / "other").folder.rename(environment.earlier)
    environment.recover()
    assert environment.state("9.9") == "ready"
    assert listing(tmp_path) == [f"worker{end}" for end in ("", "/bin", "/bin/python", "/closeint.json", "/pyvenv.cfg")]
    # The folder of somebody else is not touched, whatever is beside it.
    environment.folder.rename(environment.earlier)
    environment.folder.mkdir()
    (environment.folder / "thesis.txt").write_text("precious")
    with pytest.raises(CloseintError, match="not an environment"):
        environment.recover()
    assert (environment.folder / "thesis.txt").exists()


@posix
@pytest.mark.parametrize("state", ["ready", "broken", "half removed"])
def test_nothing_is_left_after_removing(client: WorkerClient, tmp_path: Path, state: str) -> None:
    home = tmp_path / "user"
    home.mkdir()
    (home / "kept.txt").write_text("not of the worker")
    before = listing(home)
    environment = made_by("0.1.0", home / "worker")
    if state == "broken":
        (environment.folder / "closeint.json").write_text('{"vers')
        environment.python.unlink()
    elif state == "half removed":
        shutil.copytree(environment.folder, home / ".worker-0a1b2c3d")
        shutil.copytree(environment.folder, environment.earlier)
    for name in ("cache/uv/a", "cache/pip/b", "python/cpython-3.11/bin", "thumbnails"):
        (home / name).mkdir(parents=True)
    (home / "doctor.json").write_text("{}")
    client.wait(client.submit("remove", folder=str(environment.folder), also=["thumbnails", "doctor.json", "gone"]))
    assert listing(home) == before


@posix
def test_an_environment_in_use_stays_whole(client: WorkerClient, tmp_path: Path) -> None:
    request = stand_in(tmp_path)
    environment = made_by("0.1.0", Path(request["folder"]))
    held = hold(environment.folder)
    assert held is not None
    before = listing(environment.folder)
    for command in ("remove", "install"):
        with pytest.raises(CloseintError, match=r"The worker in .* is in use\. Close other Blenders"):
            client.wait(client.submit(command, **request))
        assert listing(environment.folder) == before
        assert environment.state("0.1.0") == "ready"
    held.close()  # type: ignore[attr-defined]
    client.wait(client.submit("remove", folder=request["folder"]))
    assert not environment.folder.exists()


@posix
def test_a_worker_holds_its_environment(tmp_path: Path) -> None:
    """A real worker, in an environment whose Python is this one."""
    folder = tmp_path / "worker"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    environment = Environment(folder)
    environment.write_stamp(Stamp("0.1.0", "", "", ""))
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # Its models are not needed, and would take seconds: the installer's service stands for the worker's.
    code = (
        "import sys; from closeint_core.worker import __main__ as worker, server; "
        "server.HANDLERS.clear(); sys.exit(worker.main())"
    )
    process = subprocess.Popen([str(environment.python), "-c", code], env=variables, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert b"hello" in process.stdout.readline()
    with pytest.raises(CloseintError, match="is in use"):
        environment.remove()
    process.stdin.close()
    process.wait()
    process.stdout.close()
    environment.remove()
    assert not folder.exists()


@posix
def test_a_disk_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = made_by("0.1.0", tmp_path / "worker")
    before = listing(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as disk:
        disk.setattr(os, "replace", refuse)
        for change in (environment.set_aside, environment.remove):
            with pytest.raises(CloseintError, match=r"cannot be \w+ \(Read-only file system\)\. The disk is read"):
                change()
    assert listing(tmp_path) == before


@posix
def test_a_folder_that_takes_no_file(client: WorkerClient, tmp_path: Path) -> None:
    request = stand_in(tmp_path)
    Path(request["folder"]).parent.write_text("a file where the folder should be")
    with pytest.raises(CloseintError, match=r"is a file, not a folder\. Make it writable, or name another folder"):
        client.wait(client.submit("install", **request))


@posix
def test_pip_and_uv_keep_their_things_with_ours(client: WorkerClient, tmp_path: Path) -> None:
    request = stand_in(tmp_path, core='mkdir -p "$UV_CACHE_DIR" "$PIP_CACHE_DIR"; env > "$UV_PYTHON_INSTALL_DIR.txt"')
    client.wait(client.submit("install", **request))
    home = Path(request["folder"]).parent
    assert sorted(path.name for path in home.iterdir()) == ["python.txt", "worker"], "the cache stays"
    variables = dict(line.partition("=")[::2] for line in (home / "python.txt").read_text().splitlines())
    assert variables["UV_CACHE_DIR"] == str(home / "cache" / "uv")
    assert variables["PYTHONUTF8"] == "1"
    assert "PYTHONPATH" not in variables


@posix
def test_missing_wheel(client: WorkerClient, tmp_path: Path) -> None:
    request = stand_in(tmp_path) | {"wheel": str(tmp_path / "gone.whl")}
    with pytest.raises(CloseintError, match=r"wheel .* is missing"):
        client.wait(client.submit("install", **request))


@posix
@pytest.mark.parametrize("how", ["cancel", "closed"])
def test_stopping_ends_what_was_started(client: WorkerClient, tmp_path: Path, how: str) -> None:
    request = stand_in(tmp_path, core=f"echo $$ > {tmp_path}/pid; sleep 600")
    job = client.submit("install", **request)
    pid_file = tmp_path / "pid"
    end = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text().strip()):
        client.poll()
        assert time.monotonic() < end
        assert not job.ended, job.error
        time.sleep(0.02)
    if how == "cancel":
        client.cancel(job)
        with pytest.raises(Cancelled):
            client.wait(job)
        assert not Path(request["folder"]).exists()
    else:
        client.close(grace=3.0)
    pid = int(pid_file.read_text())
    end = time.monotonic() + 3
    while _alive(pid):
        assert time.monotonic() < end, "what the installer started outlives it"
        time.sleep(0.02)
    if how == "closed":
        assert Environment(Path(request["folder"])).state("9.9") in ("missing", "broken")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie waits for its parent; it runs no more.
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z")


@posix
@pytest.mark.slow
@pytest.mark.skipif("CLOSEINT_TEST_INSTALL" not in os.environ, reason="downloads a gigabyte; set CLOSEINT_TEST_INSTALL")
def test_install_with_the_real_uv_from_path(tmp_path: Path) -> None:
    """The whole way, with nothing standing in: uv on PATH, our wheel, torch, and a worker that answers out of it."""
    tools = tmp_path / "tools"
    got = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tools), "uv>=0.5"]
    subprocess.run(got, check=True)
    scripts = Path(__file__).resolve().parents[2] / "scripts"
    build = f"import sys; sys.path.insert(0, {str(scripts)!r}); import build_extension as b; from pathlib import Path; "
    subprocess.run([sys.executable, "-c", f"{build}print(b.build_wheel(Path({str(tmp_path)!r})))"], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    variables = {**os.environ, "PATH": f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    variables["PYTHONPATH"] = os.pathsep.join(sys.path)
    command = [sys.executable, "-m", "closeint_core.worker.install"]
    client = WorkerClient(command, tmp_path / "install.log", environment=variables, silence_timeout=1800.0)
    environment = Environment(tmp_path / "user" / "worker")
    stages: list[str] = []
    try:
        job = client.submit("install", folder=str(environment.folder), wheel=str(wheel))
        result = client.wait(job, lambda j: stages.append(j.stage))
    finally:
        client.close()
    log = client.log.read_text(errors="replace")
    print("\n".join(line for line in log.splitlines() if line.startswith(("$", "closeint:"))))
    print(f"installed in {result['seconds']} s")
    assert result["tool"] == "uv"
    assert f"$ {tools / 'bin' / 'uv'} venv" in log
    assert f"$ {tools / 'bin' / 'uv'} pip install" in log
    assert environment.state(result["version"]) == "ready"
    assert any("\n" in stage for stage in stages), "the output is live"
    worker = WorkerClient([str(environment.python), "-s", "-m", "closeint_core.worker"], tmp_path / "worker.log",
                          environment={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})  # fmt: skip
    try:
        report = worker.wait(worker.submit("doctor"))["report"]
    finally:
        worker.close()
    assert report["ok"], report["problem"]


def test_stamp_is_plain_json(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    environment.write_stamp(Stamp("1", "2", "3", "4"))
    assert json.loads((tmp_path / "closeint.json").read_text())["version"] == "1"
    assert environment.stamp() == Stamp("1", "2", "3", "4")
