# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in a Blender: what can go wrong while the real worker reconstructs, and whether the scene stays as it was.

trouble_inside.py VIDEO WORKER_PYTHON SMALL_DISK OUT.json CASE...

CASE is kill@STAGE, deleted, full or plain; the results go to OUT.json in their order. With "die" the case announces
the worker's process on stdout and waits to be killed itself.
"""

import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import bpy  # noqa: E402
from ending import own_arguments, run  # noqa: E402

import closeint_blender  # noqa: E402
from closeint_blender import session  # noqa: E402
from closeint_blender.preferences import preferences  # noqa: E402
from closeint_core.settings import MODELS  # noqa: E402

FEW = {"frames": "30:36", "quality": "draft", "model": "fit" if "fit" in MODELS else MODELS[0]}


def alive(pid):
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def when(stage, deed):
    """Do something once the running job is in a stage; looks from a thread, since the operator blocks."""

    def look():
        while True:
            worker = session.state.worker
            jobs = worker.jobs if worker is not None else []
            if jobs and worker.pid is not None and (stage == "start" or jobs[0].stage == stage):
                deed(worker.pid)
                return
            time.sleep(0.01)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    return thread


def fill(folder):
    with open(os.path.join(folder, "filler"), "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass


def attempt(case, video, small):
    kind, _, stage = case.partition("@")
    before = sorted(ob.name for ob in bpy.data.objects)
    history = len(session.history().entries)
    film = os.path.join(os.path.dirname(small), f"{kind}{stage}.mp4".replace(" ", ""))
    shutil.copy(video, film)
    output = os.path.join(small if kind == "full" else os.path.dirname(small), f"{kind}{stage}.closeint.npz")
    pids = []

    def deed(pid):
        pids.append(pid)
        if kind == "kill":
            os.kill(pid, signal.SIGKILL)
        elif kind == "deleted":
            os.unlink(film)
        elif kind == "full":
            fill(small)
        elif kind == "die":
            print("WORKER", pid, flush=True)

    if kind == "kill" and stage == "start":
        session.close_worker()
    thread = when(stage or "finding people", deed) if kind != "plain" else None
    said = ""
    try:
        bpy.ops.closeint.reconstruct("EXEC_DEFAULT", True, video=film, output=output, **FEW)
    except RuntimeError as error:
        said = str(error)
    if thread is not None:
        thread.join(5)
    end = time.monotonic() + 3
    while kind == "kill" and alive(pids[0]) and time.monotonic() < end:
        time.sleep(0.05)
    return {
        "case": case,
        "said": said,
        "panel": session.state.said["reconstruct"].text,
        "unchanged": sorted(ob.name for ob in bpy.data.objects) == before,
        "written": os.path.exists(output),
        "remembered": len(session.history().entries) - history,
        "orphan": kind == "kill" and alive(pids[0]),
        "log": str(session.state.worker.log) if session.state.worker else "",
        "left": sorted(os.listdir(small)),
    }


def main(video, python, small, out, *cases):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    closeint_blender.register()
    preferences().python = python
    results = [attempt(case, video, small) for case in cases]
    pid = session.state.worker.pid
    closeint_blender.unregister()
    Path(out).write_text(json.dumps({"results": results, "worker_ended": not alive(pid)}))


if __name__ == "__main__":
    run(main, *own_arguments())
