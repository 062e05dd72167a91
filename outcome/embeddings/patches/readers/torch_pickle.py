"""The description of a tensor, as PyTorch writes it, read without unpickling anything.

The description is a program for pickle's stack machine. `pickletools` takes it apart into
operations without running them; here the few that describe tensors are followed, on plain values.
What would call or import anything but the functions that rebuild a tensor is refused, and these are
not called either: `Call` only says what was asked for.
"""

from __future__ import annotations

import pickletools
import warnings
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from outcome.errors import EmbeddingError

__all__ = ["Call", "Name", "StorageRef", "describe"]

CALLS = frozenset(
    {
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_parameter",
        "collections.OrderedDict",
    }
)
NAMES = CALLS | {
    f"torch.{kind}Storage"
    for kind in (
        "Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool",
    )
} | {"torch.storage.UntypedStorage", "torch.storage._UntypedStorage"}  # fmt: skip
MOST_OPERATIONS = 100_000


@dataclass(frozen=True)
class Name:
    """A name that the program refers to; nothing is imported."""

    text: str


@dataclass(frozen=True)
class StorageRef:
    """A block of numbers kept elsewhere in the file."""

    id: tuple[Any, ...]


@dataclass(frozen=True)
class Call:
    """A function that the program asks to be called; it is not."""

    function: str
    arguments: tuple[Any, ...]


class _Mark:
    pass


@dataclass
class _Machine:
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def since_mark(self) -> list[Any]:
        at = next(i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _Mark)
        items = self.stack[at + 1 :]
        del self.stack[at:]
        return items

    def take(self, n: int) -> list[Any]:
        if n and len(self.stack) < n:
            raise ValueError("the description of the tensor ends early")
        items = self.stack[len(self.stack) - n :]
        del self.stack[len(self.stack) - n :]
        return items


def describe(stream: BytesIO, name: str) -> Any:
    """Return the value that a description stands for: plain values, `Call`s and `StorageRef`s.

    Parameters
    ----------
    stream : BytesIO
        Stands at the first operation; afterwards behind the last.
    name : str
        Of the file, for messages.

    Raises
    ------
    EmbeddingError
        It refers to anything but tensors and plain containers.
    ValueError
        It is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in damaged text
            return _run(stream, name)
    except (StopIteration, RecursionError):
        raise ValueError("the description of the tensor is damaged") from None


def _run(stream: BytesIO, name: str) -> Any:
    machine = _Machine()
    for count, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if count > MOST_OPERATIONS:
            raise EmbeddingError(f"{name} holds more than a tensor")
        if operation.name == "STOP":
            return machine.take(1)[0]
        _follow(machine, operation.name, argument, name)
    raise ValueError("the description of the tensor ends early")


PLAIN = {
    *("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"),
    *("BINSTRING", "SHORT_BINSTRING", "STRING"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
PUTS = {"BINPUT", "LONG_BINPUT", "PUT"}
GETS = {"BINGET", "LONG_BINGET", "GET"}


def _follow(m: _Machine, operation: str, argument: Any, name: str) -> None:
    if operation in ("PROTO", "FRAME"):
        return
    if operation in PLAIN:
        m.stack.append(argument)
    elif operation in CONSTANTS:
        m.stack.append(CONSTANTS[operation])
    elif operation in EMPTY:
        m.stack.append(EMPTY[operation]())
    elif operation in TUPLES:
        m.stack.append(tuple(m.take(TUPLES[operation])))
    elif operation in PUTS or operation == "MEMOIZE":
        m.memo[len(m.memo) if operation == "MEMOIZE" else argument] = m.stack[-1]
    elif operation in GETS:
        m.stack.append(m.memo[argument])
    else:
        _follow_rarer(m, operation, argument, name)


def _follow_rarer(m: _Machine, operation: str, argument: Any, name: str) -> None:
    if operation == "MARK":
        m.stack.append(_Mark)
    elif operation == "TUPLE":
        m.stack.append(tuple(m.since_mark()))
    elif operation in ("GLOBAL", "STACK_GLOBAL"):
        m.stack.append(_name(m, argument, name))
    elif operation == "BINPERSID":
        (reference,) = m.take(1)
        if not isinstance(reference, tuple):
            raise ValueError("a block of numbers is not named")
        m.stack.append(StorageRef(reference))
    elif operation == "REDUCE":
        function, arguments = m.take(2)
        m.stack.append(_call(function, arguments, name))
    elif operation in ("SETITEM", "SETITEMS", "APPEND", "APPENDS"):
        _fill(m, operation)
    elif operation == "BUILD":
        m.take(1)  # attributes of a container: nothing that a tensor is made of
    else:
        raise EmbeddingError(
            f"{name} holds more than tensors ({operation}); it is not unpickled. To do: save the"
            " tensor itself"
        )


def _name(m: _Machine, argument: Any, name: str) -> Name:
    parts = m.take(2) if argument is None else str(argument).split(" ", 1)
    text = ".".join(map(str, parts))
    if text not in NAMES:
        raise EmbeddingError(
            f"{name} is a pickle that would import {text[:80]!r}; it is not run. To do: save the"
            " tensor itself"
        )
    return Name(text)


def _call(function: Any, arguments: Any, name: str) -> Any:
    if not isinstance(function, Name) or function.text not in CALLS:
        raise EmbeddingError(f"{name} is a pickle that would call a function; it is not run")
    if function.text == "collections.OrderedDict":
        return {}
    if not isinstance(arguments, tuple):
        raise ValueError("the arguments of a tensor are no tuple")
    return Call(function.text, arguments)


def _fill(m: _Machine, operation: str) -> None:
    if operation.endswith("S"):
        items = m.since_mark()
    else:
        items = m.take(2 if operation == "SETITEM" else 1)
    target = m.stack[-1]
    if operation.startswith("APPEND") and isinstance(target, list):
        target.extend(items)
    elif operation.startswith("SETITEM") and isinstance(target, dict):
        keys = items[::2]
        if not all(isinstance(k, (str, int)) for k in keys):
            raise ValueError("a container has keys of no known kind")
        target.update(zip(keys, items[1::2], strict=True))
    else:
        raise ValueError("the description of the tensor is damaged")
