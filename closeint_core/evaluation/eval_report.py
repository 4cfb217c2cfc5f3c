# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: one HTML file with everything in it, and the numbers as JSON."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from closeint_core.evaluation.annotated import METRICS, Evaluation, WindowResult, worst_windows
from closeint_core.files import atomic_path
from closeint_core.preview.preview import person_colours
from closeint_core.preview.rasterizer import Camera, render
from closeint_core.provenance import GENERATOR

WORST = 6
_PICTURE_HEIGHT = 300

PUBLISHED: dict[str, dict[str, Mapping[str, float]]] = {
    "Hi4D": {
        "BUDDI": {"mpjpe": 96.8, "pa_mpjpe": 70.6, "mpvpe": 116.0, "interaction": 102.6},
        "GroupRec": {"mpjpe": 82.4, "pa_mpjpe": 51.6, "mpvpe": 88.6, "interaction": 98.8},
        "CloseInt (CVPR 2024)": {"mpjpe": 63.1, "pa_mpjpe": 47.5, "mpvpe": 76.4, "interaction": 81.4},
        "CloseApp (CVPR 2025)": {"mpjpe": 59.1, "pa_mpjpe": 44.3, "mpvpe": 72.0, "interaction": 80.2, "a_pd": 0.81},
    },
    "3DPW": {
        "BUDDI": {"mpjpe": 83.6, "pa_mpjpe": 53.6},
        "GroupRec": {"mpjpe": 73.3, "pa_mpjpe": 48.7},
        "CloseInt (CVPR 2024)": {"mpjpe": 70.6, "pa_mpjpe": 51.4},
        "CloseApp (CVPR 2025)": {"mpjpe": 64.5, "pa_mpjpe": 45.6},
    },
}
"""What the papers report, by data set and method, mm. None of it was measured here."""

_PROTOCOLS = {
    "default": "Means over valid person-frames only. The acceleration needs three valid frames in a row of one window.",
    "reference": "As published: frames that are not valid score 0 and stay in the mean of every metric but the "
    "interaction error (which skips them), MPVPE and A-PD (which ignore validity); a sequence's windows are joined "
    "before the acceleration is taken, its first and last frame count 0; a single person is scored together with "
    "the time-reversed copy that the network sees as the partner, interaction error and A-PD included.",
}
_DEPTHS = (
    "A-PD is exact here, by winding number and distance to the surface; the published code samples a grid of 32 "
    "points a side with a wrong box scale, so its A-PD is not the same quantity."
)
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: .5em 0 1em; } td, th { padding: .25em .8em; border-bottom: 1px solid #ddd; }
td { text-align: right; } td:first-child, th:first-child { text-align: left; } .note { color: #666; }
section.published { background: #f5f3ee; padding: .5em 1em; } figure { margin: 1em 0; } figcaption { color: #444; }
img { max-width: 100%; } svg text { font: 11px system-ui, sans-serif; fill: #444; } .ours { font-weight: bold; }
"""


def write_report(found: Evaluation, folder: Path) -> tuple[Path, Path]:
    """Write ``eval.json`` and ``eval.html``; returns their paths.

    Raises:
        CloseintError: the folder cannot be written to.
    """
    numbers, page = folder / "eval.json", folder / "eval.html"
    windows = [
        {
            "sequence": window.sequence,
            "start": window.start,
            "image": window.image,
            **{metric: _plain(window.mean(metric)) for metric in METRICS},
        }
        for window in found.windows
    ]
    with atomic_path(numbers) as temporary:
        temporary.write_text(json.dumps({**found.summary, "by_window": windows}, indent=1), encoding="utf-8")
    with atomic_path(page) as temporary:
        temporary.write_text(as_html(found), encoding="utf-8")
    return numbers, page


def as_html(found: Evaluation) -> str:
    """The page: nothing in it refers to anything outside it."""
    summary = found.summary
    name = str(summary["data"])
    checkpoint = summary["checkpoint"]
    facts = [
        f"{summary['sequences']} sequences, {summary['windows']} windows of 16 frames, "
        f"{summary['person_frames']} person-frames",
        f"checkpoint {html.escape(checkpoint['file'])}, SHA-256 {checkpoint['sha256'][:16]}, "
        f"prediction on the body {html.escape(str(summary['body']))}, noise of seed {summary['seed']}",
        f"closeint {summary['closeint']}",
        *(f"warning: {html.escape(warning)}" for warning in summary["warnings"]),
    ]
    parts = [
        f"<h1>{html.escape(name)}: protocol {summary['protocol']}</h1>",
        "<ul>" + "".join(f"<li>{fact}</li>" for fact in facts) + "</ul>",
        "<h2>Measured here</h2>",
        _table(["", *METRICS.values()], [["this checkpoint", *_cells(summary["metrics"])]]),
        f'<p class="note">Millimetres (acceleration: mm/frame&sup2;). {_PROTOCOLS[summary["protocol"]]} {_DEPTHS}</p>',
        _published(name),
        "<h2>How the errors are spread</h2>",
        *(
            f"<figure>{histogram(values)}<figcaption>{METRICS[metric]}, mm</figcaption></figure>"
            for metric in ("mpjpe", "interaction", "a_pd")
            if len(values := _values(found.windows, metric))
        ),
        "<h2>By sequence</h2>",
        _table(
            ["sequence", *METRICS.values()], [[index, *_cells(row)] for index, row in summary["by_sequence"].items()]
        ),
        "<h2>Worst windows</h2>",
        *(
            _case(found, window, metric)
            for metric in ("mpjpe", "interaction")
            for window in worst_windows(found.windows, WORST // 2, metric)
        ),
    ]
    head = f'<meta charset="utf-8">{GENERATOR}<title>closeint eval: {html.escape(name)}</title><style>{_STYLE}</style>'
    return f"<!doctype html><html><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _published(name: str) -> str:
    rows = PUBLISHED.get(name)
    if rows is None:
        return f'<section class="published"><h2>Published</h2><p>Nothing for {html.escape(name)}.</p></section>'
    note = "From the papers, by their own protocol; none of it was measured here. Compare with --protocol reference."
    table = _table(["", *METRICS.values()], [[method, *_cells(row)] for method, row in rows.items()])
    return f'<section class="published"><h2>Published</h2>{table}<p class="note">{note}</p></section>'


def histogram(values: np.ndarray, bins: int = 40, size: tuple[int, int] = (640, 170)) -> str:
    """Values as an SVG histogram, the mean marked; the top percent is gathered in the last bar."""
    width, height = size
    top = max(float(np.percentile(values, 99)), 1e-6)
    counts, _ = np.histogram(np.minimum(values, top), bins=bins, range=(0, top))
    step = width / bins
    bars = "".join(
        f'<rect x="{i * step:.1f}" y="{height - h:.1f}" width="{step - 1:.1f}" height="{h:.1f}" fill="#4a7fb5"/>'
        for i, h in enumerate((height - 20) * counts / max(int(counts.max()), 1))
    )
    mean = float(values.mean())
    x = width * min(mean / top, 1.0)
    ticks = "".join(
        f'<text x="{width * share:.0f}" y="{height + 14}" text-anchor="middle">{top * share:.3g}</text>'
        for share in (0, 0.25, 0.5, 0.75, 1)
    )
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{height}" stroke="#c33"/>'
    label = f'<text x="{x + 4:.1f}" y="14">mean {mean:.3g}</text>'
    view = f'viewBox="-20 0 {width + 40} {height + 20}" width="{width + 40}" height="{height + 20}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {view}>{bars}{line}{label}{ticks}</svg>'


def _case(found: Evaluation, window: WindowResult, metric: str) -> str:
    picture = case_picture(found, window)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])
    encoded = base64.b64encode(data.tobytes()).decode() if done else ""
    figures = ", ".join(
        f"{METRICS[key]} {value:.1f}" for key in ("mpjpe", "interaction") if (value := window.mean(key)) is not None
    )
    text = (
        f"{METRICS[metric]}: sequence {window.sequence}, frames {window.start} to {window.start + 15} ({figures} mm). "
        "Truth and prediction from the camera, then both from the side."
    )
    image = f'<img alt="" src="data:image/jpeg;base64,{encoded}">'
    return f"<figure>{image}<figcaption>{html.escape(text)}</figcaption></figure>"


def case_picture(found: Evaluation, window: WindowResult) -> np.ndarray:
    """RGB uint8 strip of a window's middle frame: footage if it is there, truth and prediction, then from the side."""
    width, height = window.image_size
    scale = _PICTURE_HEIGHT / height
    size = (max(1, round(width * scale)), _PICTURE_HEIGHT)
    K = np.array([[window.focal, 0, width / 2], [0, window.focal, height / 2], [0, 0, 1.0]])
    camera = Camera(K, np.eye(3), np.zeros(3)).scaled(scale)
    true_bodies = [found.true_bodies[gender] for gender in found.genders[window.sequence]]
    sides = [side_view(vertices, size[1]) for vertices in (window.truth, window.predicted)]
    footage = _footage(found.root / window.image, size)
    tiles = [] if footage is None else [footage]
    for view in (camera, None):
        for number, (vertices, bodies) in enumerate(
            ((window.truth, true_bodies), (window.predicted, [found.body] * window.people))
        ):
            under = footage if view is not None and footage is not None else None
            shown = size if view is not None else (size[1], size[1])
            tiles.append(_draw(vertices, bodies, view or sides[number], shown, under))
    return np.concatenate(tiles, axis=1)


def side_view(vertices: np.ndarray, height: int) -> Camera:
    """A camera at a right angle to the real one that shows people (P, V, 3), given in the real camera's axes."""
    points = vertices.reshape(-1, 3).astype(np.float64)
    centre = (points.min(0) + points.max(0)) / 2
    # It stands on the real camera's right and looks back across its view.
    rotation = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
    reach = float(np.abs(points - centre)[:, 1:].max()) * 1.15 + 1e-3
    distance = 4.0 + float(np.abs(points - centre)[:, 0].max())
    focal = distance * height / 2 / reach
    K = np.array([[focal, 0, height / 2], [0, focal, height / 2], [0, 0, 1.0]])
    return Camera(K, rotation, np.array([0.0, 0.0, distance]) - rotation @ centre)


def _draw(
    vertices: np.ndarray, bodies: Sequence[Any], camera: Camera, size: tuple[int, int], under: np.ndarray | None
) -> np.ndarray:
    faces, colours, offset = [], [], 0
    for person, body in enumerate(bodies):
        faces.append(body.faces.astype(np.int64) + offset)
        colours.append(person_colours(body, person))
        offset += body.num_vertices
    mesh = vertices.reshape(-1, 3).astype(np.float64)
    drawn, depth = render(mesh, np.concatenate(faces), np.concatenate(colours), camera, size)
    ground = np.full((size[1], size[0], 3), 0.93) if under is None else under / 255.0
    cover = np.isfinite(depth)[..., None] * (1.0 if under is None else 0.8)
    picture: np.ndarray = (255 * (ground * (1 - cover) + drawn * cover)).astype(np.uint8)
    return picture


def _footage(path: Path, size: tuple[int, int]) -> np.ndarray | None:
    image = cv2.imread(str(path)) if path.is_file() else None
    if image is None:
        return None
    return np.asarray(cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB))


def _values(windows: Sequence[WindowResult], metric: str) -> np.ndarray:
    return np.concatenate([window.values[metric] for window in windows])


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [f"{row[metric]:.2f}" if row.get(metric) is not None else "-" for metric in METRICS]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _plain(value: float | None) -> float | None:
    return None if value is None else float(value)
