"""YAML for study files: safe, predictable, and limited in size.

Words stay text (`yes`, `no`, `on`, `off` and `12:30`, as in YAML 1.2, and `00123`), because they
are codes and ids here. Duplicate keys are refused, and so are files that grow strongly when their
aliases are expanded.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

__all__ = ["dump_yaml", "load_yaml", "read_yaml"]

LARGEST = 1 << 19
MOST_NODES = 20_000

_FLOAT = (
    r"[-+]?(?:[0-9]{1,30}\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?"
    r"|[-+]?[0-9]{1,30}[eE][-+]?[0-9]{1,4}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_RESOLVERS = {
    "bool": ("true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]{0,30})|0x[0-9a-fA-F]{1,16}", "-+0123456789"),
    "float": (_FLOAT, "-+0123456789."),
}


class _Loader(yaml.SafeLoader):
    """Safe YAML with the words of YAML 1.2."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if not self.check_event(yaml.AliasEvent):
            seen = getattr(self, "_nodes", 0) + 1
            self._nodes = seen
            if seen > MOST_NODES:
                raise yaml.YAMLError(f"it has more than {MOST_NODES:,} entries")
        return super().compose_node(parent, index)


_REPLACED = {f"tag:yaml.org,2002:{kind}" for kind in _RESOLVERS}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, found) for tag, found in known if tag not in _REPLACED]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind, (_pattern, _first) in _RESOLVERS.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


class _Dumper(yaml.SafeDumper):
    """Writes text that this reader and readers of YAML 1.1 read as the same text."""


_Dumper.yaml_implicit_resolvers = {
    first: [*known, *_Loader.yaml_implicit_resolvers.get(first, [])]
    for first, known in {
        **{key: [] for key in _Loader.yaml_implicit_resolvers},
        **yaml.SafeDumper.yaml_implicit_resolvers,
    }.items()
}


def dump_yaml(value: Any, *, inline: bool = False) -> str:
    """Write a value; `inline` puts it on one line, without a line end."""
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=inline,
        width=1 << 30 if inline else 100,
    )
    return text.removesuffix("\n").removesuffix("\n...") if inline else text


def load_yaml(text: str) -> Any:
    """Return the content of a YAML text.

    Raises
    ------
    yaml.YAMLError, ValueError, RecursionError
        The text is invalid, has a duplicate key, or expands to far more than its size.
    """
    if len(text) > LARGEST:
        raise yaml.YAMLError(f"it is larger than {LARGEST:,} characters")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _size(node, {}, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file; it may begin with a byte order mark.

    Raises
    ------
    OSError, UnicodeError
        It cannot be read.
    yaml.YAMLError, ValueError, RecursionError
        See `load_yaml`.
    """
    if path.stat().st_size > 4 * LARGEST:
        raise yaml.YAMLError(f"it is larger than {LARGEST:,} characters")
    return load_yaml(path.read_text(encoding="utf-8-sig"))


def _size(node: yaml.Node, known: dict[int, int], open_: set[int]) -> int:
    """Count the entries of a node with expanded aliases; refuse duplicate keys."""
    if id(node) in known:
        return known[id(node)]
    if id(node) in open_:
        raise yaml.YAMLError(f"it contains itself (line {node.start_mark.line + 1})")
    open_.add(id(node))
    total = 1
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        parts = [part for pair in node.value for part in pair]
    else:
        parts = node.value if isinstance(node, yaml.SequenceNode) else []
    for part in parts:
        total += _size(part, known, open_)
        if total > MOST_NODES:
            raise yaml.YAMLError(f"its aliases expand to more than {MOST_NODES:,} entries")
    open_.discard(id(node))
    known[id(node)] = total
    return total


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"the key {key.value!r} is given twice (line {line})")
            seen.add((key.tag, key.value))
