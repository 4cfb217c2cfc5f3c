# SPDX-License-Identifier: Apache-2.0
"""A restricted unpickler for files that hold numpy arrays, chumpy arrays and scipy sparse matrices.

Unpickling freely runs whatever the file names, so here every global that a file may name is replaced by an inert
stand-in of this module, which only records data; any other is refused by name. Not one function of numpy or scipy is
called with arguments from the file, except ``dtype``, ``frombuffer`` and ``reshape`` with checked ones.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

_MAX_OPCODES = 2_000_000  # the official files have a few thousand
_MAX_DENSE = 5_000_000  # elements of a sparse matrix made dense; SMPL's joint regressor has 165,360
_MAX_MADE = 256 << 20  # bytes of all arrays that are made from parts; SMPL's have 6 MB
_MAX_EXTENT = 1 << 40


class Refused(pickle.UnpicklingError):
    """A pickle names a global outside of the list; the message is that name."""


class Unusable(ValueError):
    """The file is damaged or is not what is expected; the message says what."""


class _Inert:
    """A stand-in that takes no state: BUILD must not be able to set attributes on what this module shares."""

    __slots__ = ()

    def __setstate__(self, state: object) -> None:
        raise Unusable("a damaged pickle")


class _Function(_Inert):
    """A callable stand-in (an instance without attributes, so that a pickle cannot alter it)."""

    __slots__ = ("_call",)
    _call: Callable[..., object]

    def __init__(self, call: Callable[..., object]) -> None:
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise Unusable("a damaged pickle")


class _Dtype:
    """numpy.dtype: numbers only, no objects and no records."""

    __slots__ = ("dtype",)

    def __init__(self, spec: object = None, *_flags: object) -> None:
        text = spec.decode("latin-1") if isinstance(spec, bytes) else spec
        # A short plain code such as f8 or <u4: longer texts are a little language of numpy's own.
        if not isinstance(text, str) or len(text) > 4 or text.lstrip("<>=|")[:1] not in tuple("biufcSU"):
            shown = repr(text[:40]) if isinstance(text, str) else "unknown to it"
            raise Unusable(f"it holds an array of type {shown}")
        try:
            self.dtype = np.dtype(text)
        except TypeError:
            raise Unusable(f"it holds an array of type {text!r}") from None

    def __setstate__(self, state: object) -> None:
        # (version, byte order, subarray, names, fields, item size, alignment, flags, ...)
        if not isinstance(state, tuple) or len(state) < 5 or any(part is not None for part in state[2:5]):
            raise Unusable("it holds an array of records")
        order = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
        if not isinstance(order, str) or order not in ("<", ">", "=", "|"):
            raise Unusable("a damaged pickle")
        if self.dtype.kind in "SU" and len(state) > 5 and isinstance(state[5], int) and 0 < state[5] < 1 << 20:
            size = state[5] // (4 if self.dtype.kind == "U" else 1)
            self.dtype = np.dtype(f"{self.dtype.kind}{size}")
        self.dtype = self.dtype.newbyteorder(order)  # type: ignore[arg-type]


class _Array:
    """numpy.ndarray; ``value`` is set by BUILD."""

    __slots__ = ("value",)

    def __init__(self, *_arguments: object) -> None:
        self.value = np.zeros(0, np.float32)

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise Unusable("a damaged pickle")
        _version, shape, dtype, fortran, data = state
        self.value = _array_from(data, dtype, shape, "F" if fortran else "C")


def _array_from(data: object, dtype: object, shape: object, order: Any = "C") -> np.ndarray:
    """An array over bytes that are in the file: its size can never exceed the file's."""
    if not isinstance(dtype, _Dtype):
        raise Unusable("a damaged pickle")
    if isinstance(data, str):  # Python 2 strings arrive as latin-1 text
        try:
            data = data.encode("latin-1")
        except UnicodeEncodeError:
            raise Unusable("a damaged pickle") from None
    if not isinstance(data, bytes | bytearray | memoryview | pickle.PickleBuffer):
        raise Unusable("it holds an array of objects")
    if not isinstance(shape, tuple) or len(shape) > 8:
        raise Unusable("a damaged pickle")
    if not all(isinstance(n, int) and 0 <= n <= _MAX_EXTENT for n in shape) or order not in ("C", "F"):
        raise Unusable("a damaged pickle")
    count = 1
    for extent in shape:
        count *= extent
    if count * dtype.dtype.itemsize != memoryview(data).nbytes:
        raise Unusable("an array's size does not fit its shape")
    if dtype.dtype.itemsize == 0 or count == 0:
        return np.zeros(tuple(min(n, 1) for n in shape) if count else shape, dtype.dtype)
    return np.frombuffer(memoryview(data), dtype.dtype).reshape(shape, order=order)


def _scalar(dtype: object = None, data: object = b"") -> object:
    return _array_from(data, dtype, ())[()]


def _reconstruct(kind: object = None, *_arguments: object) -> _Array:
    if kind is not _Array:
        raise Unusable("a damaged pickle")
    return _Array()


def _from_buffer(data: object = b"", dtype: object = None, shape: object = (), order: object = "C") -> _Array:
    array = _Array()
    array.value = _array_from(data, dtype, shape, order)
    return array


def _encode(text: object = "", encoding: object = "latin1", *_rest: object) -> bytes:
    """_codecs.encode, by which Python 3 writes bytes into protocol 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Unusable("a damaged pickle")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        raise Unusable("a damaged pickle") from None


class _Object(_Inert):
    """``object``, as the base class that copy_reg names."""

    __slots__ = ()


class _State:
    """Base of the stand-ins that only keep their state dictionary."""

    __slots__ = ("state",)

    def __init__(self, *_arguments: object) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: object) -> None:
        if isinstance(state, tuple) and len(state) == 2 and state[0] is None:
            state = state[1]
        if not isinstance(state, dict):
            raise Unusable("a damaged pickle")
        self.state = state


class _Chumpy(_State):
    """chumpy.ch.Ch: its value is ``x``."""

    __slots__ = ()


class _ChumpySelect(_State):
    """chumpy.reordering.Select: elements ``idxs`` of ``a``."""

    __slots__ = ()


class _Sparse(_State):
    """A scipy sparse matrix."""

    __slots__ = ("layout",)
    layout: str


class _Csc(_Sparse):
    __slots__ = ()
    layout = "csc"


class _Csr(_Sparse):
    __slots__ = ()
    layout = "csr"


class _Coo(_Sparse):
    __slots__ = ()
    layout = "coo"


def _reconstructor(kind: object = None, _base: object = None, _state: object = None) -> object:
    """copy_reg._reconstructor: an empty object of one of the classes above."""
    if not isinstance(kind, type) or not issubclass(kind, _State):
        raise Unusable("a damaged pickle")
    return kind()


def _allowed() -> dict[tuple[str, str], Any]:
    table: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _Array,
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _Function(_encode),
        ("chumpy.ch", "Ch"): _Chumpy,
        ("chumpy", "Ch"): _Chumpy,
        ("chumpy.reordering", "Select"): _ChumpySelect,
    }
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray", "_reconstruct"] = _Function(_reconstruct)
        table[f"{core}.multiarray", "scalar"] = _Function(_scalar)
        table[f"{core}.numeric", "_frombuffer"] = _Function(_from_buffer)
    for module, builtins in (("copy_reg", "__builtin__"), ("copyreg", "builtins")):
        table[module, "_reconstructor"] = _Function(_reconstructor)
        table[builtins, "object"] = _Object
    for layout, kind in (("csc", _Csc), ("csr", _Csr), ("coo", _Coo)):
        for module in (f"scipy.sparse.{layout}", f"scipy.sparse._{layout}"):
            table[module, f"{layout}_matrix"] = kind
            table[module, f"{layout}_array"] = kind
    return table


_ALLOWED = _allowed()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _ALLOWED.get((module, name))
        if found is None:
            raise Refused(f"{module}.{name}"[:200])
        return found

    def persistent_load(self, pid: object) -> Any:
        raise Refused("a persistent object")


class _Stack:
    """Follows a pickle's stack without building anything: which values may be keys of a dictionary.

    Python asks a key for its hash, which for tuples in tuples in tuples takes for ever, however small the file. Keys
    here are texts and numbers; any other is refused.
    """

    _PLAIN = frozenset(
        ("int", "long", "int_or_bool", "bool", "str", "bytes", "bytes_or_str", "unicode", "float", "None")
    )

    def __init__(self) -> None:
        self.values: list[bool | None] = []  # None is a mark
        self.memo: dict[int, bool] = {}

    def follow(self, name: str, argument: Any, opcode: pickletools.OpcodeInfo) -> None:
        """One opcode.

        Raises:
            Unusable: a key that is neither a text nor a number, or a stack that does not fit.
        """
        values = self.values
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            index = len(self.memo) if name == "MEMOIZE" else int(argument)
            # Pickles number what they keep one by one; the unpickler takes memory for the largest number.
            if not 0 <= index <= len(self.memo) + 1 or not values or values[-1] is None:
                raise Unusable("it is not a pickle, or a damaged one")
            self.memo[index] = values[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            if argument not in self.memo:
                raise Unusable("it is not a pickle, or a damaged one")
            values.append(self.memo[argument])
        elif name == "DUP":
            values.append(bool(values[-1]))
        elif name == "MARK":
            values.append(None)
        elif name not in ("PROTO", "FRAME", "STOP"):
            taken = self._take(opcode)
            if name in ("SETITEM", "SETITEMS", "DICT"):
                if name == "SETITEM":
                    taken = taken[-2:]
                if len(taken) % 2 or not all(taken[::2]):
                    raise Unusable("it has a dictionary with keys that are neither texts nor numbers")
            elif name in ("ADDITEMS", "FROZENSET") and not all(taken):
                raise Unusable("it has a set of what is neither texts nor numbers")
            if name in ("SETITEMS", "APPENDS", "ADDITEMS"):
                values.pop()  # what was below the mark, which is put back
            values.extend(kind.name in self._PLAIN for kind in opcode.stack_after)

    def _take(self, opcode: pickletools.OpcodeInfo) -> list[bool]:
        """What an opcode takes off, above the mark if it takes down to one."""
        before = opcode.stack_before
        taken: list[bool] = []
        if pickletools.markobject in before or (before and before[-1] is pickletools.stackslice):
            while (top := self.values.pop()) is not None:
                taken.append(top)
            if opcode.name == "OBJ" and taken:
                return taken[::-1]
        else:
            for _ in before:
                top = self.values.pop()
                if top is None and opcode.name not in ("POP", "POP_MARK"):
                    raise Unusable("it is not a pickle, or a damaged one")
                taken.append(bool(top))
        return taken[::-1]


def _survey(data: bytes, max_parts: int) -> int:
    """Walk the opcodes without executing one: refuse by name before anything is built. Returns their number.

    Also bounds what a tiny file could make the unpickler allocate or do.
    """
    opcodes, stack = 0, _Stack()
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            opcodes += 1
            name = opcode.name
            if opcodes > max_parts:
                raise Unusable("it has too many parts")
            if name in ("GLOBAL", "INST"):
                module, _, attribute = str(argument).partition(" ")
                if (module, attribute) not in _ALLOWED:
                    raise Refused(f"{module}.{attribute}"[:200])
            elif name in ("EXT1", "EXT2", "EXT4"):
                raise Refused("an extension code")
            elif name in ("PERSID", "BINPERSID"):
                raise Refused("a persistent object")
            elif name in ("NEXT_BUFFER", "READONLY_BUFFER"):
                raise Unusable("a damaged pickle")
            stack.follow(name, argument, opcode)
    except (Refused, Unusable):
        raise
    except Exception as error:
        # genops raises whatever the malformed argument provokes (ValueError, UnicodeDecodeError, ...).
        raise Unusable("it is not a pickle, or a truncated one") from error
    return opcodes


def loads(data: bytes, *, max_parts: int = _MAX_OPCODES, deep: bool = False) -> Any:
    """Unpickle with stand-ins only; chumpy and sparse objects in a top dictionary arrive as plain arrays.

    Args:
        max_parts: refuse pickles with more opcodes. deep: look for arrays in nested lists and dictionaries as well.

    Raises:
        Refused: the pickle names another global.
        Unusable: damaged.
    """
    opcodes = _survey(data, max_parts)
    try:
        value = _Unpickler(io.BytesIO(data), encoding="latin-1").load()
        # What is made of a pickle is of its own size, unless lists that hold one another multiply.
        unwrap = _Unwrapping(4 * opcodes + 1000)
        return unwrap.everything(value) if deep else unwrap.plain(value)
    except (Refused, Unusable):
        raise
    except Exception as error:
        # A malformed pickle makes the unpickler raise nearly anything (IndexError, TypeError, ...); none is a bug here.
        raise Unusable("a damaged pickle") from error


class _Unwrapping:
    """Replaces stand-ins by numpy arrays.

    Args:
        most: values that may be visited.
    """

    def __init__(self, most: int) -> None:
        self.left, self.bytes_left = most, _MAX_MADE

    def _visit(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Unusable("its parts hold one another too often")

    def _made(self, array: np.ndarray) -> np.ndarray:
        self.bytes_left -= array.nbytes
        if self.bytes_left < 0:
            raise Unusable("its arrays are larger than it")
        return array

    def plain(self, value: Any, depth: int = 0) -> Any:
        """In a value and (for dictionaries) one level below."""
        self._visit()
        if isinstance(value, _Array):
            return value.value
        if isinstance(value, _Chumpy):
            return self.plain(value.state.get("x"), depth + 1) if depth < 8 else None
        if isinstance(value, _ChumpySelect):
            return self._made(self._select(value.state, depth))
        if isinstance(value, _Sparse):
            return self._made(self._dense(value))
        if isinstance(value, dict) and depth < 1:
            return {str(key): self.plain(entry, depth + 1) for key, entry in value.items()}
        return value

    def everything(self, value: Any, depth: int = 0) -> Any:
        """Everywhere in nested lists, tuples and dictionaries."""
        self._visit()
        if depth > 12:
            raise Unusable("it is nested too deeply")
        if isinstance(value, dict):
            return {str(key): self.everything(entry, depth + 1) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [self.everything(entry, depth + 1) for entry in value]
        return self.plain(value, 1)

    def _select(self, state: dict[str, Any], depth: int) -> np.ndarray:
        if depth > 8:
            raise Unusable("a damaged pickle")
        source, indices = self.plain(state.get("a"), depth + 1), self.plain(state.get("idxs"), depth + 1)
        shape = state.get("preferred_shape")
        if not isinstance(source, np.ndarray) or not isinstance(indices, np.ndarray) or indices.dtype.kind not in "iu":
            raise Unusable("a damaged pickle")
        try:
            chosen = source.ravel()[indices.ravel()]
            return chosen.reshape(tuple(int(n) for n in shape)) if shape is not None else chosen
        except (IndexError, ValueError, TypeError):
            raise Unusable("a damaged pickle") from None

    def _dense(self, matrix: _Sparse) -> np.ndarray:
        state = matrix.state
        shape = state.get("_shape", state.get("shape"))
        if not isinstance(shape, tuple) or len(shape) != 2 or not all(isinstance(n, int) and n >= 0 for n in shape):
            raise Unusable("a sparse matrix without a shape")
        rows, columns = shape
        if rows * columns > _MAX_DENSE:
            raise Unusable(f"a sparse matrix of {rows} x {columns}")

        def vector(*keys: str, kinds: str = "iu") -> np.ndarray:
            for key in keys:
                value = self.plain(state.get(key), 1)
                if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in kinds:
                    return value
            raise Unusable(f"a sparse matrix without {keys[0]}")

        data = vector("data", kinds="iufb")
        if matrix.layout == "coo":
            coords = state.get("coords")
            if isinstance(coords, tuple) and len(coords) == 2:
                state = {**state, "row": coords[0], "col": coords[1]}
            major, minor = vector("row"), vector("col")
        else:
            pointers, inner = vector("indptr").astype(np.int64), vector("indices")
            outer = columns if matrix.layout == "csc" else rows
            if (
                len(pointers) != outer + 1
                or pointers[0] != 0
                or pointers[-1] != len(data)
                or np.any(np.diff(pointers) < 0)
            ):
                raise Unusable("a sparse matrix with damaged pointers")
            lines = np.repeat(np.arange(outer), np.diff(pointers))
            major, minor = (inner, lines) if matrix.layout == "csc" else (lines, inner)
        if not len(major) == len(minor) == len(data):
            raise Unusable("a sparse matrix with lists of different lengths")
        if len(data) and (major.min() < 0 or minor.min() < 0 or major.max() >= rows or minor.max() >= columns):
            raise Unusable("a sparse matrix with an index outside of it")
        dense = np.zeros((rows, columns), np.float64)
        np.add.at(dense, (major, minor), data)
        return dense
