# SPDX-License-Identifier: Apache-2.0
"""Speaks the worker's protocol without doing the work: the clip in CLOSEINT_TEST_CLIP is every result.

The video's name says what happens: "bad" is refused, "crash" ends the process, "slow" goes on until cancelled. Every
request is kept in CLOSEINT_TEST_REQUESTS.
"""

import json
import os
import select
import shutil
import sys


def send(**message):
    os.write(1, (json.dumps(message) + "\n").encode())


def reconstruct(identity, request):
    name = os.path.basename(request["input"])
    for done in range(3):
        send(id=identity, type="progress", stage="fitting", done=done, total=3, fraction=done / 3, eta_s=1.0)
    if "bad" in name:
        send(id=identity, type="error", message=f"{name} is bad.", fix="Take another.", detail="", exit_code=2)
        return
    if "missing" in name:
        send(id=identity, type="error", message="A model is missing.", fix="Get it.", detail="", exit_code=3)
        return
    if "crash" in name:
        os._exit(9)
    while "slow" in name:
        if select.select([0], [], [], 0.05)[0]:
            sys.stdin.readline()
            send(id=identity, type="cancelled")
            return
        send(id=identity, type="progress", stage="fitting", done=1, total=3, fraction=0.4, eta_s=60.0)
    send(id=identity, type="warning", message="The light was poor.")
    os.makedirs(os.path.dirname(request["output"]), exist_ok=True)
    shutil.copy(os.environ["CLOSEINT_TEST_CLIP"], request["output"])
    send(id=identity, type="result", path=request["output"], people=2, frames=5, fps=25.0)


print("a library says hello", flush=True)
send(type="hello", protocol=1, version="test", device="none")
while line := sys.stdin.readline():
    request = json.loads(line)
    with open(os.environ["CLOSEINT_TEST_REQUESTS"], "a", encoding="utf-8") as file:
        file.write(line)
    identity, command = request.get("id"), request["command"]
    if command == "reconstruct":
        reconstruct(identity, request)
    elif command == "detect":
        boxes = [[10.0, 10.0, 50.0, 90.0], [60.0, 12.0, 99.0, 95.0], [120.0, 5.0, 150.0, 80.0]]
        found = [{"box": box, "score": 0.6} for box in boxes]
        send(id=identity, type="result", path=request["output"], frame=request.get("frame") or 4, frame_count=9,
             image_size=[160, 100], people=found, suggested=[0, 2])  # fmt: skip
    elif command == "doctor":
        rows = [{"name": "Python", "ok": True, "needed": True, "detail": "3.11"}]
        report = {"closeint": "test", "ok": True, "problem": "", "fix": "", "sections": {"Program": rows}}
        send(id=identity, type="result", report=report)
