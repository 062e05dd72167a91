"""Write study_file.md, the reference of the study file, from the models that validate it.

`python notebooks/make_reference.py` writes it to this folder; a test checks that it is current.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
import types
import typing
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from outcome.study import Study

HERE = Path(__file__).parent
HEAD = """\
# The study file, key by key

Generated from the code that reads it (`python notebooks/make_reference.py`); do not edit.

A study is one YAML file. Relative paths start at its folder. Unknown keys are errors. `outcome
check` reports all problems together and prints how the file was understood. `yes`, `no`, `on` and
`off` are words here, not true and false, because they are common codes. Any key can be changed for
one run: `--set training.epochs=10`.
"""
BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """Return the text under each field, those of the parents included."""
    found: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if not (isinstance(parent, type) and issubclass(parent, BaseModel)) or parent is BaseModel:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0]
        assert isinstance(body, ast.ClassDef)
        for line, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                found[line.target.id] = " ".join(after.value.value.split())
    return found


def kind(annotation: Any) -> str:
    """Name a type in the words of a study file."""
    origin, inside = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return kind(inside[0]) + bounds(inside[1:])
    if origin is Literal:
        return ", ".join(f"`{v}`" for v in inside)
    if origin in (typing.Union, types.UnionType):
        parts = [kind(a) for a in inside if a is not types.NoneType]
        return " or ".join(dict.fromkeys(parts))
    if origin in (tuple, list):
        each = [kind(a) for a in inside if a is not Ellipsis]
        return f"list of {each[0]}" if Ellipsis in inside else f"[{', '.join(each)}]"
    if origin is dict:
        return f"mapping of {kind(inside[0])} to {kind(inside[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    names = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    return names.get(annotation, "path" if annotation is Path else "any")


def bounds(metadata: typing.Iterable[Any]) -> str:
    """Name the limits of a number."""
    said = []
    for entry in metadata:
        parts = entry.metadata if isinstance(entry, FieldInfo) else [entry]
        for part in parts:
            said += [f"{w} {getattr(part, b):g}" for b, w in BOUNDS.items() if hasattr(part, b)]
    return f" ({', '.join(said)})" if said else ""


def default(field: FieldInfo) -> str:
    """Name the default value."""
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "see its section"
    if value is None or value is PydanticUndefined or value in ((), {}, ""):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return "`[" + ", ".join(str(getattr(v, "name", v)) for v in value) + "]`"
    return f"`{value}`"


def models(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that a type names, in order."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for a in typing.get_args(annotation) for m in models(a)]


def section(model: type[BaseModel], title: str) -> str:
    """Write one table of keys."""
    about = inspect.getdoc(model) or ""
    about = "" if about.startswith("!!!") else about.split("\n\nExamples")[0]
    docs = docstrings(model)
    lines = [f"## {title}", "", about, "", "| key | value | default | |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if field.annotation in (None, types.NoneType):
            continue
        what = kind(field.annotation) + bounds(field.metadata)
        cells = (f"`{field.alias or name}`", what, default(field), docs.get(name, ""))
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines)


def reference() -> str:
    """Write the whole page."""
    todo, done = [Study], []
    while todo:
        model = todo.pop(0)
        if model not in done:
            done.append(model)
            todo += [m for f in model.model_fields.values() for m in models(f.annotation)]
    parts = [section(m, m.__name__ if m is not Study else "Study: the top level") for m in done]
    return HEAD + "\n" + "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (HERE / "study_file.md").write_text(reference(), encoding="utf-8")
