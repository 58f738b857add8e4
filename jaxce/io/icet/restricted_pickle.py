"""Plain values from a pickle, without unpickling it.

The instructions of the pickle are followed here, one by one. No name of the file is ever imported or called: the few
that NumPy's arrays and plain containers need are known to this reader, and stand for functions of this file.
"""

import math
import pickletools
import re
import reprlib
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

_PLAIN_DTYPE = re.compile(r"[biufcU]\d{1,6}")
_BYTES = (bytes, bytearray)
_LARGEST = 2**25
# Longest range that stands for a list of indices.
_LONGEST_RANGE = 10**6

# Libraries whose records occur in files that are otherwise plain: numbers of YAML files, and how good a fit was.
_RECORDS = ("ruamel.yaml.", "trainstation.", "icet.")

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_CONTAINERS: dict[str, Callable[..., Any]] = {
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set, "EMPTY_TUPLE": tuple,
}  # fmt: skip
_LITERALS = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip


class _Name(NamedTuple):
    """A name that the pickle asks for. It stays a name."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class _Dtype:
    """A NumPy dtype in the making: its byte order comes after it."""

    def __init__(self, code: Any):
        if not isinstance(code, str) or not _PLAIN_DTYPE.fullmatch(code):
            raise _Refused(f"it holds an array of the type {code!r}: only numbers and texts are read, never objects")
        self.code, self.order = code, "<"

    def set_state(self, state: Any) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise _Refused(f"it holds an array with the byte order {state[1]!r}")
        self.order = state[1]

    def array(self, content: Any, shape: Any, order: Any) -> np.ndarray:
        """The array of this type with the content, which may be of any size but its own."""
        dtype = np.dtype(self.order + self.code)
        if len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape) or not isinstance(content, _BYTES):
            raise _Refused(f"it holds an array of the shape {reprlib.repr(shape)}")
        if math.prod(shape) * dtype.itemsize != len(content) or dtype.itemsize == 0:
            raise _Refused(f"it holds an array of the shape {shape} with {len(content)} bytes")
        return np.frombuffer(content, dtype).reshape(shape, order="F" if order == "F" else "C").copy(order="C")


class _Array:
    """An array in the making: `value` comes after it."""

    value: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        self.value = dtype.array(content, shape, "F" if is_fortran else "C")


class _Refused(ValueError):
    pass


def read_pickle(content: bytes, source: str) -> Any:
    """The value that a pickle stands for: numbers, strings, lists, tuples, sets, dicts, and `np.ndarray` of numbers.

    Scalars of NumPy and numbers of YAML readers become Python's; an ordered dict becomes a dict. Of records of icet's
    fits nothing is kept but their place, which holds None.

    Args:
        content: the bytes of the pickle.
        source: what to call it in errors.

    Raises:
        ValueError: if it is cut off, asks for anything else (the error names it), or is larger than 32 MiB.
    """
    if len(content) > _LARGEST:
        raise ValueError(f"{source} is a pickle of {len(content)} bytes, which is more than is read.")
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            machine.follow(opcode.name, argument)
    except _Refused as error:
        raise ValueError(f"{source} is refused: {error}. Nothing of it was run.") from error
    # Whatever a broken pickle leads to: wrong counts, wrong types, names before they exist.
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{source} is damaged or cut off: {type(error).__name__}: {error}") from error
    return machine.result


class _Machine:
    """The stack of a pickle, and what its instructions do to it."""

    def __init__(self):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.result: Any = None

    def follow(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self.stack.append(argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _CONTAINERS:
            self.stack.append(_CONTAINERS[name]())
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[len(self.memo) if argument is None else argument] = self.stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            self.stack.append(_known_name(*(argument.split(" ", 1) if argument else self.pop(2))))
        elif name == "STOP":
            self.result = _finished(self.stack.pop())
        elif name not in ("PROTO", "FRAME"):
            self.build(name)

    def build(self, name: str) -> None:
        """The instructions that take values from the stack."""
        match name:
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.stack.append(tuple(map(_finished, self.pop(int(name[-1])))))
            case "TUPLE" | "LIST" | "FROZENSET":
                made = {"TUPLE": tuple, "LIST": list, "FROZENSET": frozenset}[name]
                items = [_finished(item) for item in self.pop_marked()]
                self.stack.append(made(map(_key, items) if name == "FROZENSET" else items))
            case "APPEND" | "APPENDS":
                items = self.pop(1) if name == "APPEND" else self.pop_marked()
                self.top(list).extend(_finished(item) for item in items)
            case "SETITEM" | "SETITEMS":
                items = self.pop(2) if name == "SETITEM" else self.pop_marked()
                self.top(dict).update(_pairs(items))
            case "DICT":
                self.stack.append(_pairs(self.pop_marked()))
            case "ADDITEMS":
                items = self.pop_marked()
                self.top(set).update(_key(_finished(item)) for item in items)
            case "REDUCE" | "NEWOBJ":
                called, arguments = self.pop(2)
                self.stack.append(_made(called, arguments))
            case "BUILD":
                state = self.stack.pop()
                # What else has a state is a record, of which the state is not kept.
                if isinstance(self.stack[-1], _Array | _Dtype):
                    self.stack[-1].set_state(state)
            case _:
                raise _Refused(f"it has the instruction {name}, which no file of numbers needs")

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise TypeError(f"expected a {kind.__name__}, found a {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def pop(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("the stack is empty")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def pop_marked(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items


def _finished(value: Any) -> Any:
    """The value itself, in place of the object in which it was put together."""
    if isinstance(value, _Array):
        if value.value is None:
            raise TypeError("an array without content")
        return value.value
    return value


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return {_key(k): _finished(v) for k, v in zip(items[::2], items[1::2], strict=True)}


def _key(value: Any) -> Hashable:
    """Nested tuples can be of a size that is never hashed through, so they are no keys."""
    if not isinstance(value, str | bytes | int | float | complex | None):
        raise _Refused(f"it has a {type(value).__name__} as the key of a dict or in a set")
    return value


def _known_name(module: str, name: str) -> _Name:
    # Protocols before 3 use the names of Python 2.
    current = module.replace("numpy.core.", "numpy._core.").replace("__builtin__", "builtins")
    wanted = _Name(current, "range" if name == "xrange" else name)
    if str(wanted) not in _CALLS and wanted not in _TYPES and not module.startswith(_RECORDS):
        raise _Refused(
            f"it asks for {module}.{name}. Only plain containers and NumPy's arrays and numbers are read; if this is "
            "your own file, write it again without what needs that name (often an entry of `metadata`)"
        )
    return wanted


def _made(called: Any, arguments: tuple[Any, ...]) -> Any:
    """What calling a known name would give."""
    if not isinstance(called, _Name):
        raise TypeError(f"a {type(called).__name__} is called")
    if called.module.startswith(_RECORDS):
        return _plain_record(called.name, arguments)
    return _CALLS[str(called)](*arguments)


def _plain_record(name: str, arguments: tuple[Any, ...]) -> Any:
    """The number, text, list or dict that a record of another library holds; None for any other record."""
    if name.startswith("Commented"):
        return {} if name.endswith("Map") else []
    if arguments and isinstance(arguments[0], str | int | float):
        return arguments[0]
    return None


def _empty_array(kind: Any, shape: Any, _: Any) -> _Array:
    if kind != _NDARRAY or shape != (0,):
        raise TypeError("an array that does not start empty")
    return _Array()


def _scalar(dtype: Any, content: Any) -> Any:
    return dtype.array(content, (), "C").item()


def _encoded(text: Any = "", encoding: Any = "latin1") -> bytes:
    """Bytes, which protocols before 3 write as text."""
    # `bytes(10**15)` would be a call for memory.
    if isinstance(text, _BYTES):
        return bytes(text)
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise _Refused(f"it makes bytes of a {type(text).__name__} with the encoding {reprlib.repr(encoding)}")
    return text.encode("latin1")


def _range(*limits: Any) -> list[int]:
    indices = range(*limits)
    if not -_LONGEST_RANGE <= indices.start <= indices.stop <= _LONGEST_RANGE:
        raise _Refused(f"it holds {reprlib.repr(indices)}")
    return list(indices)


_NDARRAY = _Name("numpy", "ndarray")
# Names that are only arguments.
_TYPES = (_NDARRAY, _Name("builtins", "list"))
_CALLS: dict[str, Callable[..., Any]] = {
    "numpy._core.multiarray._reconstruct": _empty_array,
    "numpy._core.multiarray.scalar": _scalar,
    "numpy._core.numeric._frombuffer": lambda content, dtype, shape, order: dtype.array(content, shape, order),
    "numpy.dtype": lambda code, *_: _Dtype(code),
    "_codecs.encode": _encoded,
    "builtins.range": _range,
    "builtins.set": lambda items=(): set(map(_key, items)),
    "builtins.frozenset": lambda items=(): frozenset(map(_key, items)),
    "builtins.complex": lambda real, imag: complex(float(real), float(imag)),
    "builtins.bytes": _encoded,
    "builtins.bytearray": _encoded,
    "collections.OrderedDict": lambda *_: {},
    "collections.defaultdict": lambda *_: {},
}
