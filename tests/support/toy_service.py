# SPDX-License-Identifier: Apache-2.0
"""A real service with toy commands, as a process of its own."""

import ctypes
import os
import subprocess
import sys
import time

from closeint_core.errors import CloseintError
from closeint_core.worker.service import Service, guarded_streams


def count(request, progress):
    total = request.get("to", 10)
    for done in range(total):
        progress.update("counting", done, total)
        time.sleep(request.get("pause", 0.01))
    progress.warn("that was all")
    return {"path": "counted", "to": total}


def noise(_request, _progress):
    print("print")
    sys.stdout.write("write\n")
    os.write(1, b"os.write\n")
    ctypes.CDLL(None).puts(b"from C")
    subprocess.run(["echo", "from a child"], check=False)
    return {"path": sys.stdin.read() + "quiet"}


def refuse(_request, _progress):
    raise CloseintError("No.", "Ask nicely.", exit_code=3)


def stumble(_request, _progress):
    return {"path": {}["missing"]}


def leave(_request, _progress):
    sys.exit(5)


def odd(_request, _progress):
    return {"quality": float("nan")}


HANDLERS = {"odd": odd, "count": count, "noise": noise, "refuse": refuse, "stumble": stumble, "leave": leave}

with guarded_streams() as (source, sink):
    os.write(1, b"noise before the hello\n")
    status = Service(HANDLERS, source, sink).run(lambda: {"version": "toy", "device": "none"})
os._exit(status)
