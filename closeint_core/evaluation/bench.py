# SPDX-License-Identifier: Apache-2.0
"""``closeint bench``: the project's own benchmark on interactions that no training has seen.

Each answer is one small JSON file, written when it is there: a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import closeint_core
from closeint_core.body.data import BodyData
from closeint_core.body.load import load_body
from closeint_core.body.torch_body import TorchBody
from closeint_core.camera import intrinsics
from closeint_core.clip import SUFFIX, InteractionClip
from closeint_core.errors import CloseintError
from closeint_core.evaluation.bench_cases import HIDDEN_WINDOW, Case, case_name, simulated_case
from closeint_core.evaluation.bench_methods import LEARNED, Answers, Question, check_methods
from closeint_core.evaluation.bench_metrics import score
from closeint_core.evaluation.bench_summary import Record, as_text, summarise
from closeint_core.files import atomic_path, check_folder, mark_folder
from closeint_core.foreign_files import read_json
from closeint_core.perception import store
from closeint_core.perception.observations import Observations
from closeint_core.progress import Progress
from closeint_core.provenance import is_ours
from closeint_core.reconstruction.learned import WEIGHTS

HIDDEN_METHODS = ("a", "b", "d")


@dataclass(frozen=True)
class BenchOptions:
    """What a run asks.

    Attributes:
        methods: of ``METHODS``. count: simulated clips, and as many of the hidden test. frames: of a simulated clip.
        jobs: clips at a time, each on one thread. seed: other clips.
        rendered: folder of films with their truth; None runs the simulated cases instead.
        keep: write every answer's clip beside its record.
        checkpoint: a denoiser in place of the bundled one.
    """

    methods: tuple[str, ...]
    count: int = 24
    frames: int = 32
    jobs: int = 1
    seed: int = 0
    rendered: Path | None = None
    keep: bool = False
    checkpoint: Path | None = None


@dataclass(frozen=True)
class Job:
    """One case that is to be solved by some methods; made anew in the process that solves it."""

    name: str
    methods: tuple[str, ...]
    folder: Path
    keep: bool = False
    index: int = 0
    frames: int = 0
    seed: int = 0
    video: Path | None = None
    checkpoint: Path | None = None
    network: str = ""

    def case(self, data: BodyData) -> Case:
        """The question with its truth."""
        if self.video is not None:
            return rendered_case(self.name, self.video)
        return simulated_case(self.index, self.frames, self.seed, data, hidden=self.name.startswith("hidden"))

    def path(self, method: str) -> Path:
        """Where the record of a method is kept; another network's answers are other answers."""
        network = f"-{self.network}" if method in LEARNED else ""
        return self.folder / f"{self.name}.{method}{network}.json"

    def unanswered(self) -> list[str]:
        """Methods without an answer; what failed is tried again."""
        return [
            method
            for method in self.methods
            if not self.path(method).exists() or "error" in read_record(self.path(method))
        ]


def run_bench(options: BenchOptions, out: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Answer what has not been answered yet, and sum everything up in ``bench.json`` and ``bench.md``.

    Returns:
        The summary (see ``bench_summary.summarise``) with the run's options and records.

    Raises:
        CloseintError: unknown methods, a missing model (exit code 3), no films, or a folder of another run.
        Cancelled: the progress object asked to stop; what was answered stays.
    """
    progress = progress or Progress()
    check_methods(options.methods, options.checkpoint)
    check_folder(out, "bench", signs=("bench.json",) if is_ours(out / "bench.json", "json") else ())
    records = out / "records"
    jobs = make_jobs(options, records)
    mark_folder(out, "bench")
    records.mkdir(exist_ok=True)
    waiting = [job for job in jobs if job.unanswered()]
    total = sum(len(job.methods) for job in jobs)
    done = len(jobs) - len(waiting)
    progress.update("benchmark", done, len(jobs))
    for finished in _solve_all(waiting, options.jobs):
        done += 1
        for problem in finished:
            progress.warn(problem)
        progress.update("benchmark", done, len(jobs))
    found = [read_record(job.path(method)) for job in jobs for method in job.methods if job.path(method).exists()]
    result = {
        "closeint": closeint_core.__version__,
        "options": {k: str(v) if isinstance(v, Path) else v for k, v in asdict(options).items()},
        "answers": f"{len(found)} of {total}",
        **summarise(found, options.seed),
        "records": found,
    }
    with atomic_path(out / "bench.json") as temporary:
        temporary.write_text(json.dumps(result, indent=1), encoding="utf-8")
    with atomic_path(out / "bench.md") as temporary:
        temporary.write_text(as_text(result) + "\n", encoding="utf-8")
    return result


def make_jobs(options: BenchOptions, records: Path) -> list[Job]:
    """Every case of a run.

    Raises:
        CloseintError: no frames or clips are asked for, or the folder holds no films.
    """
    common: dict[str, Any] = {"folder": records, "keep": options.keep, "checkpoint": options.checkpoint}
    if set(options.methods) & LEARNED:
        common["network"] = hashlib.sha256((options.checkpoint or WEIGHTS).read_bytes()).hexdigest()[:8]
    if options.rendered is not None:
        return [Job(name, options.methods, video=video, **common) for name, video in find_films(options.rendered)]
    if options.count < 1 or options.frames < 3:
        raise CloseintError("A run needs at least one clip of three frames.", "Give a larger --count or --frames.")
    jobs = []
    hidden = tuple(method for method in options.methods if method in HIDDEN_METHODS)
    for index in range(options.count):
        name = case_name(index, options.frames, options.seed, False)
        jobs.append(Job(name, options.methods, index=index, frames=options.frames, seed=options.seed, **common))
        if hidden:
            name = case_name(index, HIDDEN_WINDOW, options.seed, True)
            jobs.append(Job(name, hidden, index=index, frames=HIDDEN_WINDOW, seed=options.seed, **common))
    return jobs


def find_films(folder: Path) -> list[tuple[str, Path]]:
    """Names and videos of the films in a folder whose truth lies beside them; what was seen of a film may stand for it.

    Raises:
        CloseintError: there are none.
    """
    names = {path.stem for path in folder.glob("*.mp4")}
    names |= {path.name[: -len(store.SUFFIX)] for path in folder.glob(f"*{store.SUFFIX}")}
    films = [folder / f"{name}.mp4" for name in sorted(names) if truth_path(folder / f"{name}.mp4").is_file()]
    if not films:
        raise CloseintError(
            f"The folder {folder} holds no film NAME.mp4 with its truth NAME{SUFFIX}.",
            "Render them with scripts/build_bench_footage.py.",
        )
    return [(f"rendered-{path.stem}", path) for path in films]


def truth_path(video: Path) -> Path:
    """The clip of the true motion of a film."""
    return video.with_name(video.stem + SUFFIX)


def observed(video: Path) -> Observations:
    """What perception sees in a film, kept beside it: repeated runs need not look again, nor have the film.

    Raises:
        CloseintError: the film cannot be read, or what was kept is damaged.
    """

    def look() -> Observations:
        from closeint_core.perception.pipeline import perceive
        from closeint_core.video.source import open_source

        return perceive(open_source(video), device="cpu")

    return store.kept(video.with_name(video.stem + store.SUFFIX), video, look)


def rendered_case(name: str, video: Path) -> Case:
    """A film as the project's perception sees it, its people in the truth's order, its lens unknown.

    Raises:
        CloseintError: the film cannot be read, or two people were not found in it.
    """
    truth = InteractionClip.load(truth_path(video))
    observations = observed(video)
    people, frames = observations.visible.shape
    if people != truth.people:
        raise CloseintError(f"{video.name}: only one person was found.", "Nothing can be compared.")
    if frames != truth.frames:
        raise CloseintError(f"{video.name} has {frames} frames, its truth {truth.frames}.", "Render it again.")
    return Case(
        name,
        str(truth.metadata.get("kind", "")),
        truth,
        in_order_of(observations, truth),
        torch.as_tensor(intrinsics(observations.image_size)),
        np.ones((2, truth.frames), bool),
    )


def in_order_of(observations: Observations, truth: InteractionClip) -> Observations:
    """Observations with their people in the truth's order: as a whole clip, nearest in the picture."""
    off = np.linalg.norm(observations.keypoints2d[:, None, ..., :2] - truth.keypoints2d[None, ..., :2], axis=-1)
    cost = np.nanmedian(off.reshape(2, 2, -1), axis=-1)
    if np.nan_to_num(cost[0, 0] + cost[1, 1], nan=np.inf) <= np.nan_to_num(cost[0, 1] + cost[1, 0], nan=np.inf):
        return observations
    names = ("keypoints2d", "landmarks3d", "landmarks3d_confidence", "visible", "boxes")
    turned = {name: getattr(observations, name)[::-1].copy() for name in names}
    return replace(observations, people=observations.people[::-1], **turned)


def _solve_all(jobs: list[Job], processes: int) -> Iterator[list[str]]:
    """Problems of each job as it is done."""
    if processes <= 1 or len(jobs) <= 1:
        yield from map(solve_job, jobs)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    with _single_threaded(), multiprocessing.get_context("spawn").Pool(processes, _start_process) as pool:
        yield from pool.imap_unordered(solve_job, jobs)


class _single_threaded:
    """Processes started within use one thread each, their libraries too."""

    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in self.names}
        os.environ.update(dict.fromkeys(self.names, "1"))

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_process() -> None:
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _bench_body() -> BodyData:
    return load_body("default")


def solve_job(job: Job) -> list[str]:
    """Answer one case by every method that has not answered yet; returns what went wrong, a sentence each."""
    data = _bench_body()
    problems: list[str] = []
    missing = job.unanswered()
    try:
        case = job.case(data)
    except CloseintError as error:
        for method in missing:
            _write(job.path(method), {"case": job.name, "method": method, "error": str(error)})
        return [str(error)]
    answers = Answers(Question(TorchBody(data), case.observations, case.camera, job.checkpoint))
    for method in missing:
        record: dict[str, Any] = {"case": job.name, "kind": case.kind, "method": method, "frames": case.truth.frames}
        try:
            clip = answers.clip(method)
            record |= {
                "seconds": round(answers.seconds[method], 2),
                "scores": score(clip, case.truth, case.scored, data),
            }
            if job.keep:
                clip.save(job.path(method).with_name(f"{job.name}.{method}{SUFFIX}"))
        except CloseintError as error:
            record["error"] = str(error)
        except Exception:  # a bug in one answer must not cost the others; it is told in full
            record["error"] = traceback.format_exc()
        if "error" in record:
            problems.append(f"{job.name}, method {method}: {record['error']}")
        _write(job.path(method), record)
    return problems


def read_record(path: Path) -> Record:
    """One answer's record.

    Raises:
        CloseintError: the file is damaged.
    """
    try:
        record = read_json(path, "a record of the comparison")
    except CloseintError as error:
        raise CloseintError(f"The record cannot be read: {error.message}", "Remove it and run again.") from None
    if not isinstance(record, dict):
        raise CloseintError(f"The record {path} cannot be read: it is no object.", "Remove it and run again.")
    return record


def _write(path: Path, record: Mapping[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")
