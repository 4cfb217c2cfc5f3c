# SPDX-License-Identifier: Apache-2.0
"""Official files load; hostile and damaged ones are refused before anything runs."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.official_files import model_fields, official_pickle

from closeint_core.body import restricted_pickle, smpl_files
from closeint_core.body.data import JOINT_NAMES, PARENTS, load_body
from closeint_core.errors import CloseintError
from closeint_core.halpe import HALPE_INDEX, HALPE_TO_LSP


def write_model(folder: Path, name: str, data: bytes, vertices: int = 60) -> Path:
    """A model file with the keypoint regressors that a mesh other than SMPL's needs."""
    rng = np.random.default_rng(1)
    for kind, rows in (("halpe", 26), ("lsp", 14)):
        np.save(folder / f"J_regressor_{kind}.npy", rng.dirichlet(np.ones(vertices), rows))
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("layout", ["csc", "csr", "coo"])
def test_official_pickle(tmp_path: Path, protocol: int, layout: str) -> None:
    fields = model_fields()
    assert "chumpy" not in sys.modules
    body = smpl_files.load_smpl(write_model(tmp_path, "SMPL_MALE.pkl", official_pickle(fields, protocol, layout)))
    assert body.name == "smpl-male"
    np.testing.assert_allclose(body.template, fields["v_template"], rtol=1e-6)
    np.testing.assert_allclose(body.shapedirs, fields["shapedirs"], rtol=1e-6)
    assert body.posedirs is not None
    np.testing.assert_allclose(body.posedirs, fields["posedirs"], rtol=1e-6)
    np.testing.assert_allclose(body.joint_regressor, fields["J_regressor"], rtol=1e-6)
    np.testing.assert_allclose(body.dense_weights, fields["weights"], atol=1e-7)
    np.testing.assert_array_equal(body.faces, fields["f"])
    np.testing.assert_array_equal(body.parents, PARENTS)
    np.testing.assert_array_equal(body.parts, fields["weights"].argmax(axis=1))
    np.testing.assert_allclose(body.halpe_regressor, np.load(tmp_path / "J_regressor_halpe.npy"), rtol=1e-6)
    np.testing.assert_allclose(body.lsp_regressor, np.load(tmp_path / "J_regressor_lsp.npy"), rtol=1e-6)
    assert "chumpy" not in sys.modules


def _python2(value: Any) -> bytes:
    """Opcodes for a value as Python 2's pickle wrote them (protocol 2): byte strings, copy_reg, old names."""
    if isinstance(value, str):
        data = value.encode("latin-1")
        return b"T" + struct.pack("<i", len(data)) + data
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, tuple):
        return b"(" + b"".join(map(_python2, value)) + b"t"
    if isinstance(value, dict):
        return b"}(" + b"".join(_python2(key) + _python2(entry) for key, entry in value.items()) + b"u"
    if isinstance(value, np.ndarray):
        code, order = value.dtype.str[1:], value.dtype.str[0]
        dtype = b"cnumpy\ndtype\n" + _python2((code, 0, 1)) + b"R" + _python2((3, order, None, None, None, -1, -1, 0))
        state = b"(" + _python2(1) + _python2(value.shape) + dtype + b"b" + _python2(False)
        state += _python2(value.tobytes().decode("latin-1")) + b"t"
        empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + _python2((0,)) + _python2("b") + b"tR"
        return empty + state + b"b"
    assert isinstance(value, Instance)
    made = f"ccopy_reg\n_reconstructor\n(c{value.module}\n{value.name}\nc__builtin__\nobject\nNtR".encode()
    return made + _python2(value.state) + b"b"


class Instance:
    """An object to be written as Python 2 would."""

    def __init__(self, module: str, name: str, state: dict[str, Any]) -> None:
        self.module, self.name, self.state = module, name, state


def test_python_2_pickle(tmp_path: Path) -> None:
    """The published files were written by Python 2, which no Python 3 pickler imitates fully."""
    fields = model_fields()
    import scipy.sparse

    sparse = scipy.sparse.csc_matrix(fields["J_regressor"])
    state = {
        "_shape": (24, 60),
        "data": sparse.data,
        "indices": sparse.indices,
        "indptr": sparse.indptr,
        "maxprint": 50,
    }
    fields["J_regressor"] = Instance("scipy.sparse.csc", "csc_matrix", state)
    fields["shapedirs"] = Instance("chumpy.ch", "Ch", {"x": model_fields()["shapedirs"], "_dirty_vars": None})
    body = smpl_files.load_smpl(write_model(tmp_path, "basicModel_f_lbs.pkl", b"\x80\x02" + _python2(fields) + b"."))
    plain = model_fields()
    assert body.name == "smpl-female"
    np.testing.assert_allclose(body.shapedirs, plain["shapedirs"], rtol=1e-6)
    np.testing.assert_allclose(body.joint_regressor, plain["J_regressor"], rtol=1e-6)


def test_npz_and_more_betas(tmp_path: Path) -> None:
    fields = model_fields(betas=300)
    buffer = io.BytesIO()
    np.savez(buffer, **fields)
    path = write_model(tmp_path, "SMPL_NEUTRAL.npz", buffer.getvalue())
    body = load_body("smpl-neutral", data_dir=tmp_path)
    assert body.name == "smpl-neutral"
    assert body.shapedirs.shape == (60, 3, 10)
    np.testing.assert_allclose(load_body(path).shapedirs, fields["shapedirs"][..., :10], rtol=1e-6)


def test_keypoints_of_the_real_topology(tmp_path: Path) -> None:
    """Without regressor files: SMPL's joints and its known landmark vertices."""
    fields = model_fields(vertices=6890)
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(official_pickle(fields))
    body = smpl_files.load_smpl(path)
    points = body.halpe_regressor @ body.template
    np.testing.assert_allclose(points[HALPE_INDEX["nose"]], fields["v_template"][332], rtol=1e-5)
    np.testing.assert_allclose(points[HALPE_INDEX["right_heel"]], fields["v_template"][6787], rtol=1e-5)
    joints = body.joint_template
    left_wrist = joints[JOINT_NAMES.index("left_wrist")]
    np.testing.assert_allclose(points[HALPE_INDEX["left_wrist"]], left_wrist, atol=1e-5)
    np.testing.assert_allclose(points[HALPE_INDEX["pelvis"]], joints[1:3].mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(body.halpe_regressor.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(body.lsp_regressor, body.halpe_regressor[HALPE_TO_LSP])


class Reduces:
    """Pickles as a call of ``function`` with ``arguments``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _hostile(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that would create ``marker`` (or worse), and the name that the refusal must give."""
    import builtins
    import functools
    import subprocess

    command = f"touch {marker}"
    text = str(marker)
    by_opcode = {
        "global": (f"cos\nsystem\n(S'{command}'\ntR.".encode(), "os.system"),
        "inst": (f"(S'{command}'\nios\nsystem\n.".encode(), "os.system"),
        "obj": (f"(cos\nsystem\nS'{command}'\no.".encode(), "os.system"),
        "stack_global": (
            b"\x80\x04\x8c\x02os\x8c\x06system" + b"\x93\x8c" + bytes([len(command)]) + command.encode() + b"\x85R.",
            "os.system",
        ),
        "dotted": (f"\x80\x04cnumpy\ncore.os.system\n(V{command}\ntR.".encode("latin-1"), "numpy.core.os.system"),
        "extension": (b"\x80\x02\x82\x01.", "extension"),
        "persistent": (b"\x80\x02K\x01Q.", "persistent"),
        # Found after good objects: nothing of the dictionary is handed out either.
        "late": (b"}(S'weights'\ncnumpy\nndarray\nS'x'\n" + f"cos\nsystem\n(S'{command}'\ntRu.".encode(), "os.system"),
    }
    calls = {
        "eval": (Reduces(builtins.eval, f"open({text!r}, 'w')"), "eval"),
        "exec": (Reduces(builtins.exec, f"open({text!r}, 'w')"), "exec"),
        "open": (Reduces(builtins.open, text, "w"), "open"),
        "getattr": (Reduces(builtins.getattr, "text", "__class__"), "getattr"),
        "popen": (Reduces(subprocess.Popen, ["touch", text]), "Popen"),
        "partial": (Reduces(functools.partial, os.system, command), "functools.partial"),
        "numpy.load": (Reduces(np.load, text), "load"),
        "numpy.testing": (Reduces(np.testing.assert_raises, ValueError, os.system, command), "numpy.testing"),
        "numpy.save": (Reduces(np.save, text, np.zeros(3)), "save"),
        "memmap": (Reduces(np.memmap, text, "u1", "w+", 0, (8,)), "memmap"),
    }
    pickled = {name: (pickle.dumps({"weights": call}, protocol=2), text) for name, (call, text) in calls.items()}
    return by_opcode | pickled


HOSTILE = list(_hostile(Path("marker")))


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickle_is_refused_by_name_before_it_runs(tmp_path: Path, case: str) -> None:
    marker = tmp_path / "it_ran"
    data, name = _hostile(marker)[case]
    path = write_model(tmp_path, "SMPL_MALE.pkl", data)
    with pytest.raises(CloseintError, match="refused") as refusal:
        smpl_files.load_smpl(path)
    assert name in refusal.value.message
    assert refusal.value.exit_code == 2
    assert not marker.exists()


@pytest.mark.parametrize("case", ["global", "eval", "memmap", "stack_global"])
def test_the_hostile_files_do_run_elsewhere(tmp_path: Path, case: str) -> None:
    """The cases above would prove nothing if the pickles were inert."""
    marker = tmp_path / "it_ran"
    pickle.loads(_hostile(marker)[case][0])
    assert marker.exists()


def test_stand_ins_cannot_be_altered() -> None:
    """BUILD sets attributes on whatever is on the stack; what later loads share must not change."""
    targets = ["cnumpy\nndarray\n", "cnumpy\ndtype\n", "cnumpy.core.multiarray\n_reconstruct\n", "c_codecs\nencode\n"]
    targets += ["cchumpy.ch\nCh\n", "c__builtin__\nobject\n", "cscipy.sparse.csc\ncsc_matrix\n"]
    before = {key: (dict(vars(value)) if isinstance(value, type) else value) for key, value in _table().items()}
    for target in targets:
        for state in ("}S'evil'\nI1\ns", "N}S'evil'\nI1\ns\x86"):
            with pytest.raises(ValueError, match="damaged"):
                restricted_pickle.loads(b"\x80\x02" + target.encode() + state.encode("latin-1") + b"b.")
    assert {key: (dict(vars(v)) if isinstance(v, type) else v) for key, v in _table().items()} == before


def _table() -> dict[tuple[str, str], Any]:
    return restricted_pickle._ALLOWED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a pickle"),
        (b"PK", "not a pickle"),
        (b"hello, this is a text file\n", "not a pickle"),
        (pickle.dumps([1, 2, 3]), "not a dictionary"),
        (b"\x80\x02r\xff\xff\xff\x7f.", "damaged"),  # a memo index that would allocate 16 GB
        (b"\x80\x02}X\xff\xff\xff\x7fabc.", "truncated"),  # a text of 2 GB that is not there
        (pickle.dumps({"f": np.array([1, "a"], object)}, 2), "object"),
    ],
)
def test_not_a_model(tmp_path: Path, data: bytes, reason: str) -> None:
    path = write_model(tmp_path, "SMPL_MALE.pkl", data)
    with pytest.raises(CloseintError, match=reason):
        smpl_files.load_smpl(path)


def test_array_larger_than_its_bytes(tmp_path: Path) -> None:
    """A shape is a claim: it must not make numpy allocate."""
    fields = model_fields()
    good = _python2(fields["weights"])
    lie = good.replace(_python2((60, 24)), _python2((2**30, 24)))
    assert lie != good
    with pytest.raises(CloseintError, match="does not fit its shape"):
        smpl_files.load_smpl(write_model(tmp_path, "a.pkl", b"\x80\x02}S'weights'\n" + lie + b"s."))


def test_huge_sparse_matrix(tmp_path: Path) -> None:
    empty = np.zeros(0, np.int32)
    state = {"_shape": (2**30, 2**30), "data": np.zeros(0), "row": empty, "col": empty}
    fields = {"J_regressor": Instance("scipy.sparse.coo", "coo_matrix", state)}
    with pytest.raises(CloseintError, match="sparse matrix of"):
        smpl_files.load_smpl(write_model(tmp_path, "a.pkl", b"\x80\x02" + _python2(fields) + b"."))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("v_template", None, "no v_template"),
        ("v_template", np.zeros((60, 2)), "v_template is"),
        ("v_template", np.full((60, 3), np.nan), "not finite"),
        ("shapedirs", np.zeros((60, 3, 4)), "4 components"),
        ("J_regressor", np.zeros((17, 60)), "J_regressor is"),
        ("weights", np.zeros((60, 24)), "no skinning weights"),
        ("weights", "text", "not an array of numbers"),
        ("posedirs", np.zeros((60, 3, 9)), "posedirs is"),
        ("f", np.full((10, 3), 60), "vertices that do not exist"),
        ("kintree_table", np.zeros((2, 24), np.uint32), "tree of 24 joints"),
    ],
)
@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_wrong_fields(tmp_path: Path, key: str, value: Any, reason: str, suffix: str) -> None:
    fields = model_fields()
    fields.pop(key)
    if value is not None:
        fields[key] = value
    if suffix == ".npz":
        buffer = io.BytesIO()
        np.savez(buffer, **fields)
        data = buffer.getvalue()
    else:
        data = pickle.dumps(fields, protocol=2)
    with pytest.raises(CloseintError, match=reason):
        smpl_files.load_smpl(write_model(tmp_path, f"SMPL_MALE{suffix}", data))


def test_npz_with_objects_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "it_ran"
    buffer = io.BytesIO()
    np.savez(buffer, **{**model_fields(), "weights": np.array([Reduces(os.system, f"touch {marker}")], object)})
    with pytest.raises(CloseintError, match="damaged"):
        smpl_files.load_smpl(write_model(tmp_path, "SMPL_MALE.npz", buffer.getvalue()))
    assert not marker.exists()


def test_wrong_regressor_file(tmp_path: Path) -> None:
    path = write_model(tmp_path, "SMPL_MALE.pkl", official_pickle(model_fields()))
    np.save(tmp_path / "J_regressor_halpe.npy", np.zeros((25, 60)))
    with pytest.raises(CloseintError, match="J_regressor_halpe"):
        smpl_files.load_smpl(path)


_GOOD = official_pickle(model_fields())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_pickles_are_refused_in_words(tmp_path: Path, data: st.DataObject) -> None:
    """Cut anywhere, or with bytes changed: a CloseintError or a valid body, never another exception."""
    damaged = bytearray(_GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        # Most of the file is numbers; aim at the opcodes and at the ends of the arrays as often.
        damaged[data.draw(st.integers(0, len(_GOOD) - 1) | st.integers(0, 400))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(_GOOD)))
    path = write_model(tmp_path, "SMPL_MALE.pkl", bytes(damaged[:cut]))
    try:
        body = smpl_files.load_smpl(path)
    except CloseintError:
        return
    assert body.template.shape == (60, 3)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_end_in_words(data: bytes) -> None:
    with contextlib.suppress(restricted_pickle.Refused, restricted_pickle.Unusable):
        restricted_pickle.loads(data)
