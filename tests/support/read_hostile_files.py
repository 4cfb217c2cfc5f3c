# SPDX-License-Identifier: Apache-2.0
"""Reads many files, each by its reader, in a process with little memory; prints a JSON line for each.

    python tests/support/read_hostile_files.py MANIFEST

The manifest lists (reader, path). What a reader did is ``read``, ``refused`` or a traceback.
"""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 5.0
BYTES = 1 << 30
_WATCHED = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "os.mkdir", "subprocess.Popen", "shutil.rmtree")
_events: list[str] = []


def readers(folder: Path) -> dict[str, Callable[[Path], Any]]:
    """What reads each kind of file; the other files that a reader needs lie in ``folder``."""
    from closeint_core.body.smpl_files import load_smpl
    from closeint_core.clip import InteractionClip
    from closeint_core.corrections import Corrections
    from closeint_core.denoiser import hmr2
    from closeint_core.denoiser.checkpoint import load_denoiser
    from closeint_core.denoiser.prior import load_prior
    from closeint_core.evaluation.bench import read_record
    from closeint_core.exchange.load import import_files
    from closeint_core.perception.store import load_observations
    from closeint_core.training import readers as training
    from closeint_core.training.checkpointing import load_state
    from closeint_core.training.config import TrainingConfig, read_config
    from closeint_core.training.logs import read_log
    from closeint_core.training.readers.deepmimic import read_deepmimic
    from closeint_core.worker.protocol import decode

    def placed(name: str, read: Callable[[Path], Any]) -> Callable[[Path], Any]:
        """Reads a file that must be called ``name``, below ``folder``."""
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)

        def run(path: Path) -> Any:
            shutil.copyfile(path, target)
            return read(target)

        return run

    return {
        "clip": InteractionClip.load,
        "amass": lambda path: import_files([path]),
        "amass_motion": training.read_amass,
        "result": placed("result/params/000000/0000.pkl", lambda path: import_files([path.parents[2]], body="default")),
        "camera": placed(
            "camera/camparams/000000/camparams.txt",
            lambda path: import_files([path.parents[2]], body="closeint-default/1"),
        ),
        "interhuman": placed("pair.pkl", training.read_interhuman),
        "interhuman_npz": placed("pair.npz", training.read_interhuman),
        "annotations": placed(
            "data/Hi4D/annot/test.pkl", lambda path: training.read_annotations(path.parents[2], "test")
        ),
        "smpl": placed("smpl/SMPL_NEUTRAL.pkl", load_smpl),
        "smpl_npz": placed("smpl/SMPL_NEUTRAL.npz", load_smpl),
        "regressor": placed(
            "regressor/J_regressor_halpe.npy", lambda path: load_smpl(path.with_name("SMPL_NEUTRAL.pkl"))
        ),
        "means": hmr2._means,
        "denoiser": placed("denoiser.pkl", load_denoiser),
        "denoiser_own": placed("denoiser.safetensors", load_denoiser),
        "prior": placed("prior.safetensors", load_prior),
        "hmr2": lambda path: hmr2.load_hmr2(path, 2, 2),
        "state": lambda path: load_state(path, TrainingConfig("denoiser", "out"), "denoiser"),
        "observations": load_observations,
        "corrections": Corrections.load,
        "deepmimic": read_deepmimic,
        "record": read_record,
        "log": read_log,
        "message": lambda path: decode(path.read_bytes()),
        "config": read_config,
        "published": read_config,
        "bvh": training.read_bvh,
        "asf": lambda path: training.read_asf_amc(path, folder / "good.amc"),
        "amc": lambda path: training.read_asf_amc(folder / "good.asf", path),
    }


def main(manifest: Path) -> None:
    """Read everything that a manifest lists."""
    import torch

    from closeint_core.errors import CloseintError

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table = readers(manifest.parent / "given")
    plan = json.loads(manifest.read_text())
    for kind, path in plan["good"]:  # libraries take memory of their own when they are used first
        table[kind](Path(path))
    sys.addaudithook(lambda event, _: _events.append(event) if event.startswith(_WATCHED) else None)
    base = _status("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (base + BYTES, resource.RLIM_INFINITY))
    signal.signal(signal.SIGALRM, _too_long)
    before = _status("VmHWM")
    for kind, path in plan["files"]:
        _events.clear()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            table[kind](Path(path))
            outcome = "read"
        except CloseintError as error:
            clean = error.message.endswith(".") and len(error.message) < 1500 and error.exit_code in (2, 3)
            outcome = "refused" if clean else f"not a sentence: {error.exit_code} {error.message[:300]!r}"
        except BaseException:
            outcome = traceback.format_exc()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        print(json.dumps([kind, path, outcome, [e for e in _events if e != "os.mkdir"]]), flush=True)
    print(json.dumps({"grown": _status("VmHWM") - before}))


def _too_long(*_: object) -> None:
    raise TimeoutError(f"longer than {SECONDS} s")


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
