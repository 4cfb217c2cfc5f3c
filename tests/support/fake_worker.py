# SPDX-License-Identifier: Apache-2.0
"""A worker that misbehaves on demand: ``python fake_worker.py BEHAVIOUR``; a request's ``play`` says what it does."""

import json
import os
import signal
import sys
import time

BEHAVIOUR = sys.argv[1] if len(sys.argv) > 1 else "good"


def send(**message):
    os.write(1, (json.dumps(message) + "\n").encode())


def play(request):
    identity, what = request["id"], request.get("play", "result")
    if what == "ignore-everything":
        send(id=identity, type="progress", stage="native call", done=0, total=1)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        time.sleep(600)
    send(id=identity, type="progress", stage="finding people", done=1, total=4, fraction=0.1, eta_s=3.5)
    if what == "silent":
        time.sleep(600)
    if what == "crash":
        print("about to crash", file=sys.stderr, flush=True)
        os._exit(7)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "error":
        send(id=identity, type="error", message="The video is bad.", fix="Take another.", detail="", exit_code=2)
        return
    if what == "bug":
        send(id=identity, type="error", message="Odd.", fix=None, detail="Traceback ...", exit_code=2)
        return
    if what == "garbage":
        os.write(1, b'WARNING: some library says hello\n\xff\xfe\x00 bytes\n[1, 2]\n{}\n{"type": "nonsense"}\n')
        os.write(1, b'{"type": "progress", "id": "other"}\n{"type": "result", "id": 999}\n\n')
        os.write(1, b'{"id": %d, "type": "progress", "stage": 3}\n' % identity)
        send(id=identity, type="warning", message="careful")
    if what == "flood":
        os.write(1, b"x" * 60000)
        for _ in range(40):
            os.write(1, b"x" * 60000)
        os.write(1, b"\n")
    if what == "split":
        line = json.dumps({"id": identity, "type": "progress", "stage": "fitting ünï", "done": 2, "total": 4}).encode()
        for byte in (line + b"\n")[:40], (line + b"\n")[40:]:
            os.write(1, byte)
            time.sleep(0.05)
    if what == "until-cancelled":
        for done in range(2000):
            send(id=identity, type="progress", stage="fitting", done=done, total=2000, fraction=done / 2000, eta_s=9)
            if cancelled(identity):
                send(id=identity, type="cancelled")
                return
            time.sleep(0.02)
    send(id=identity, type="result", path=request.get("output", "nowhere"), pid=os.getpid())


waiting = b""


def cancelled(identity):
    """Whether a cancel of this request has arrived; reads without waiting."""
    global waiting
    os.set_blocking(0, False)
    try:
        waiting += os.read(0, 65536)
    except BlockingIOError:
        return False
    finally:
        os.set_blocking(0, True)
    lines = [json.loads(line) for line in waiting.split(b"\n") if line.strip()]
    return any(line["command"] == "cancel" and line.get("id") == identity for line in lines)


if BEHAVIOUR == "dies-at-start":
    print("ModuleNotFoundError: No module named 'closeint_core'", file=sys.stderr)
    sys.exit(1)
if BEHAVIOUR == "never-ready":
    time.sleep(600)
send(type="hello", protocol=99 if BEHAVIOUR == "other-version" else 1, version="0.0", device="none")
if BEHAVIOUR == "closes-stdout":
    os.close(1)
    time.sleep(600)
for text in sys.stdin.buffer:
    request = json.loads(text)
    if request["command"] != "cancel":
        play(request)
