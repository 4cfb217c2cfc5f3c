# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in Blender: installs, renews and removes with the operators, with a stand-in for uv on PATH.

run_setup.py FOLDER OUT.json, where FOLDER holds a copy of the add-on with a wheel.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import stand_in
from stand_in import attempt

sys.path.insert(0, stand_in.own_arguments()[0])

import bpy  # isort: skip

import closeint_blender
from closeint_blender import preferences, session


def listing(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


class Layout:
    """Takes the place of a layout, which only a window has: what is drawn."""

    def __init__(self, drawn):
        self._drawn = drawn

    def __getattr__(self, name):
        def call(*words, **options):
            self._drawn.append([name, *map(str, words), *map(str, options.values())])
            return self

        return call


def buttons():
    """What the preferences draw below their settings."""
    drawn = []
    for part in preferences.drawn_below:
        part(Layout(drawn))
    return drawn


def main(folder, out):
    # Here, since a packaged Blender may begin with a PATH of its own.
    os.environ["PATH"] = os.pathsep.join([os.environ["CLOSEINT_TEST_TOOLS"], os.environ["PATH"]])
    facts = {"addon": closeint_blender.__file__}
    home = session.user_folder()
    closeint_blender.register()
    bpy.context.preferences.system.use_online_access = True
    ops, environment = bpy.ops.closeint, session.environment()
    facts["empty"] = listing(home)
    facts["buttons_missing"] = buttons()
    facts["removed_nothing"] = attempt(ops.remove)
    facts["left_of_nothing"] = listing(home)

    # An environment as version 0.1 left it.
    environment.python.parent.mkdir(parents=True)
    environment.python.write_text("")
    (environment.folder / "pyvenv.cfg").write_text("")
    stamp = {"version": "0.1.0", "python": "/usr/bin/python3.11", "torch": "torch==2.13.0", "tool": "uv"}
    (environment.folder / "closeint.json").write_text(json.dumps(stamp))
    facts["outdated"] = session.worker_state()
    facts["buttons_outdated"] = buttons()
    try:
        session.worker_python()
    except Exception as error:
        facts["asked_too_early"] = str(error)

    os.environ["CLOSEINT_TEST_FAIL"] = "1"
    facts["failed"] = attempt(ops.install)
    facts["after_failure"] = session.worker_state()
    session.close()
    del os.environ["CLOSEINT_TEST_FAIL"]
    # The doctor that follows an installation starts the stand-in, which is no worker, and says so.
    facts["renewed"] = attempt(ops.install)
    facts["after_renewal"] = session.worker_state()
    facts["beside"] = sorted(path.name for path in environment.folder.parent.iterdir())

    from closeint_core.worker.environment import hold

    held = hold(environment.folder)
    facts["in_use"] = attempt(ops.remove)
    facts["in_use_state"] = session.worker_state()[0]
    held.close()

    (environment.folder / "closeint.json").write_text("{")
    facts["broken"] = session.worker_state()
    for name in ("results", "thumbnails", "refine-x1"):
        (home / name).mkdir(exist_ok=True)
    (home / "results" / "mine.closeint.npz").write_text("precious")
    (home / "history.json").write_text("[]")
    facts["removed"] = attempt(ops.remove)
    facts["left"] = listing(home)
    facts["removed_all"] = attempt(ops.remove, results=True)
    facts["left_of_all"] = listing(home)
    closeint_blender.unregister()
    facts["drawn_below"] = len(preferences.drawn_below)
    Path(out).write_text(json.dumps(facts))


if __name__ == "__main__":
    stand_in.run(main, *stand_in.own_arguments()[:2])
