# SPDX-License-Identifier: Apache-2.0
"""Makes files like SMPL's official ones, with stand-ins for chumpy that exist only while pickling."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import scipy.sparse

from closeint_core.body.data import PARENTS, BodyData


@contextmanager
def fake_chumpy() -> Iterator[tuple[type, type]]:
    """chumpy.ch.Ch and chumpy.reordering.Select, importable by name until the block ends."""

    def module(name: str) -> types.ModuleType:
        made = types.ModuleType(name)
        sys.modules[name] = made
        return made

    package, ch, reordering = module("chumpy"), module("chumpy.ch"), module("chumpy.reordering")
    package.ch, package.reordering = ch, reordering  # type: ignore[attr-defined]
    kind = type("Ch", (), {"__module__": "chumpy.ch"})
    select = type("Select", (), {"__module__": "chumpy.reordering"})
    ch.Ch, reordering.Select = kind, select  # type: ignore[attr-defined]
    try:
        yield kind, select
    finally:
        for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
            del sys.modules[name]


def model_fields(seed: int = 0, vertices: int = 60, betas: int = 10) -> dict[str, Any]:
    """A small random body in the official layout, everything a plain array."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((vertices, 24))
    for row in weights:
        row[rng.choice(24, 4, replace=False)] = rng.dirichlet(np.ones(4))
    regressor = rng.random((24, vertices)) * (rng.random((24, vertices)) < 0.2)
    regressor[:, 0] += 0.1
    kinematic = np.array([np.array(PARENTS, np.int64) % 2**32, np.arange(24)], np.uint32)
    return {
        "v_template": rng.normal(size=(vertices, 3)),
        "shapedirs": 0.02 * rng.normal(size=(vertices, 3, betas)),
        "posedirs": 0.01 * rng.normal(size=(vertices, 3, 207)),
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "weights": weights,
        "kintree_table": kinematic,
        "f": rng.integers(0, vertices, (80, 3)).astype(np.uint32),
        "bs_type": "lrotmin",
        "bs_style": "lbs",
    }


def official_pickle(fields: dict[str, Any], protocol: int = 2, layout: str = "csc") -> bytes:
    """As the owner publishes it: a sparse joint regressor and chumpy shapes."""
    with fake_chumpy() as (kind, select):
        shapes = kind()
        shapes.__dict__.update(x=np.array(fields["shapedirs"]), _dirty_vars=None, _status="new")
        template = select()
        template.__dict__.update(
            a=np.array(fields["v_template"]),
            idxs=np.arange(np.size(fields["v_template"])),
            preferred_shape=np.shape(fields["v_template"]),
        )
        holder = {
            **fields,
            "shapedirs": shapes,
            "v_template": template,
            "J_regressor": scipy.sparse.csc_matrix(fields["J_regressor"]).asformat(layout),
            "weights": np.asfortranarray(fields["weights"]),
        }
        return pickle.dumps(holder, protocol=protocol)


def smpl_fields(body: BodyData) -> dict[str, Any]:
    """A loaded body in the official layout."""
    posedirs = body.posedirs if body.posedirs is not None else np.zeros((body.num_vertices, 3, 207), np.float32)
    kinematic = np.array([np.array(body.parents, np.int64) % 2**32, np.arange(24)], np.uint32)
    return {
        "v_template": body.template,
        "shapedirs": body.shapedirs,
        "posedirs": posedirs,
        "J_regressor": body.joint_regressor,
        "weights": body.dense_weights,
        "kintree_table": kinematic,
        "f": body.faces.astype(np.uint32),
    }
