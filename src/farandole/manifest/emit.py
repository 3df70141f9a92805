"""Documents as text: the same data gives the same bytes."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from farandole.errors import ConfigurationError

__all__ = ["as_json", "as_yaml"]

_OTHERS_NUMBERS = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+")
"""What YAML 1.2 takes for a number and YAML 1.1 for a text."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None
    if "\n" in value and not re.search(r"[ \t]\n|[ \t]\Z|\A\s|[^\x20-\x7e\xa0-\ud7ff\n]", value):
        style = "|"
    elif _OTHERS_NUMBERS.fullmatch(value):
        style = "'"
    elif re.search("[\x85\u2028\u2029]", value):
        style = '"'  # escaped: YAML 1.1 takes them for ends of lines, which are folded to a space
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    """Names beside each other where they fit into a line."""
    simple = len(value) < 30 and len(text := str(value)) < 100 and "{" not in text and "\\n" not in text
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=simple)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


def as_yaml(document: Any) -> str:
    """A document as YAML that means the same to readers of YAML 1.1 and 1.2.

    Raises
    ------
    ConfigurationError
        It is nested too deep.
    """
    try:
        text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=130)
    except RecursionError:
        raise _too_deep() from None
    return text


def as_json(document: Any) -> str:
    """A document as JSON with indents.

    Raises
    ------
    ConfigurationError
        It is nested too deep.
    """
    try:
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> ConfigurationError:
    return ConfigurationError("this manifest is nested too deep to be written: name the inner parts of its schemas in $defs")
