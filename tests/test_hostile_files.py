# SPDX-License-Identifier: Apache-2.0
"""Broken and hostile files through every reader: a sentence or a result, nothing run, little memory, no waiting."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.hostile_files import AMC, ASF, good_files, mutations
from support.official_files import model_fields, official_pickle

ROOT = Path(__file__).resolve().parents[1]
READER = ROOT / "tests" / "support" / "read_hostile_files.py"
if sys.platform != "linux":
    pytest.skip("memory is limited and measured as Linux does it", allow_module_level=True)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[list], dict[str, int], Path]:
    """(reader, file, outcome, events) of every mutation, read in one child process; and how its memory grew."""
    import numpy as np

    folder = tmp_path_factory.mktemp("hostile")
    given = folder / "given"
    for name in ("smpl", "regressor"):
        (given / name).mkdir(parents=True)
    (given / "good.asf").write_text(ASF)
    (given / "good.amc").write_text(AMC)
    (given / "regressor" / "SMPL_NEUTRAL.pkl").write_bytes(official_pickle(model_fields()))
    np.save(given / "smpl" / "J_regressor_halpe.npy", np.full((26, 60), 1 / 60))
    good = good_files(folder / "made")
    for name, target in (("result", "camera/params/000000/0000.pkl"),):
        (given / target).parent.mkdir(parents=True)
        (given / target).write_bytes(good[name])
    plan: dict[str, list[tuple[str, str]]] = {"good": [], "files": []}
    for seed, (kind, content) in enumerate(good.items()):
        others = [data for name, data in good.items() if name != kind]
        (folder / kind).mkdir()
        for number, (what, data) in enumerate(mutations(kind, content, others, seed)):
            plain = "".join(c if c.isalnum() else "_" for c in what)[:60]
            path = folder / kind / f"{number:03d}_{plain}{'.yaml' if kind in ('config', 'published') else ''}"
            path.write_bytes(data)
            plan["files"].append((kind, str(path)))
            if what == "nothing":
                plan["good"].append((kind, str(path)))
    (folder / "plan.json").write_text(json.dumps(plan))
    canary = folder / "canary"
    done = subprocess.run(
        [sys.executable, str(READER), str(folder / "plan.json")],
        capture_output=True, text=True, cwd=folder, timeout=600, check=False,
        env={**os.environ, "CLOSEINT_CANARY": str(canary), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(plan["files"]) + 1
    return lines[:-1], lines[-1], canary


def test_every_file_ends_in_a_result_or_a_sentence(outcomes) -> None:
    lines, _, _ = outcomes
    assert len(lines) >= 200
    wrong = [
        f"{Path(path).name} ({kind}): {outcome}"
        for kind, path, outcome, _ in lines
        if outcome not in ("read", "refused")
    ]
    assert not wrong, f"{len(wrong)} of {len(lines)}:\n" + "\n".join(wrong[:20])
    by_kind = {kind: [outcome for other, _, outcome, _ in lines if other == kind] for kind, *_ in lines}
    for kind, found in by_kind.items():
        assert found[0] == "read", kind  # the good file
        assert len(found) >= 15, kind
        if kind != "message":  # a line that is no message is left out
            assert found.count("refused") >= 8, kind


def test_nothing_was_run(outcomes) -> None:
    lines, _, canary = outcomes
    assert not [line for line in lines if line[3]]
    assert not canary.exists()
    assert not (canary.parent / "canary").exists()


def test_memory_stays_below_a_gigabyte(outcomes) -> None:
    assert outcomes[1]["grown"] < 1 << 30
