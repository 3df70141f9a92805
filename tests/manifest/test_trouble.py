"""Documents that nobody should have written are findings with their place; never a traceback, never a byte from outside the folder."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from farandole.checks import Finding
from farandole.errors import ConfigurationError
from farandole.manifest import as_json, as_yaml, read_folder
from farandole.manifest.tree import RULES

HEAD = "asyncapi: 3.0.0\ninfo: {title: x, version: '1'}\n"


def found(folder: Path, text: str | bytes, name: str = "a.yaml") -> Finding:
    """The one thing that is wrong with a document in a folder."""
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    _, findings = read_folder(folder)
    assert len(findings) == 1, findings
    assert findings[0].rule in RULES
    return findings[0]


DEEP = 100_000
BOMB = "asyncapi: 3.0.0\na0: &a0 [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)

UNREADABLE = [
    (b"asyncapi: 3.0.0\ninfo: \xff\n", "manifest-unreadable", 2, "byte 22 is not UTF-8"),
    ("asyncapi: 3.0.0\nx: " + "a" * 4_000_001, "manifest-unreadable", None, "more than the 4,000,000 that are read"),
    ("asyncapi: 3.0.0\nx: " + "[" * DEEP, "manifest-unreadable", 2, "nested deeper than 200 levels"),
    ("asyncapi: 3.0.0\nx: " + "{a: " * DEEP, "manifest-unreadable", 2, "nested deeper than 200 levels"),
    ("asyncapi: 3.0.0\nx:\n" + "".join(" " * i + "- \n" for i in range(300)), "manifest-unreadable", None, "nested deeper"),
    (BOMB, "manifest-unreadable", 7, "holds more than 1,000,000 values, those counted that its aliases"),
    ("asyncapi: 3.0.0\na: &a [*a]\n", "manifest-syntax", 2, "the alias *a stands for nothing that is complete"),
    ("asyncapi: 3.0.0\na: *b\n", "manifest-syntax", 2, "the alias *b"),
    ("asyncapi: 3.0.0\na: [1\nb: 2\n", "manifest-syntax", 3, "no YAML"),
    ("asyncapi: 3.0.0\na: \x00\n", "manifest-syntax", 2, "no YAML"),
    ("asyncapi: 3.0.0\na: 1\na: 2\n", "manifest-duplicate-key", 3, "the key 'a' stands twice, first in line 2"),
    ("asyncapi: 3.0.0\n[a, b]: 1\n", "manifest-syntax", 2, "a key is no text"),
    ("asyncapi: 3.0.0\na: !!python/object/apply:os.system [x]\n---\n", "manifest-syntax", None, "a second document"),
    ("asyncapi: 3.0.0\na: !!python/name:os.system ''\n", "manifest-syntax", 2, "the tag tag:yaml.org,2002:python/name:os.system"),
    ("asyncapi: 3.0.0\na: " + "9" * 5000, "manifest-syntax", 2, "a number of 5000 digits"),
    ("asyncapi: 3.0.0\n<<: 1\n", "manifest-syntax", 2, "<< takes an object"),
    ("asyncapi: 3.0.0\n---\nasyncapi: 3.0.0\n", "manifest-syntax", 2, "a second document"),
]


@pytest.mark.parametrize(("text", "rule", "line", "what"), UNREADABLE, ids=[str(i) for i in range(len(UNREADABLE))])
def test_what_cannot_be_read_is_found_with_its_line(
    text: str | bytes, rule: str, line: int | None, what: str, tmp_path: Path
) -> None:
    finding = found(tmp_path, text)
    assert finding.rule == rule
    assert what in finding.what
    assert finding.place.file == str(tmp_path / "a.yaml")
    assert line is None or finding.place.line == line


JSON = [
    ('{"asyncapi": "3.0.0", "x": ' + "[" * DEEP, "manifest-unreadable", "nested deeper than 200 levels"),
    ('{"asyncapi": "3.0.0",\n"x": 1, "x": 2}', "manifest-duplicate-key", "the key 'x' stands twice"),
    ('{"asyncapi": "3.0.0",\n}', "manifest-syntax", "no JSON: '}' is not expected here"),
    ('{"asyncapi": "3.0.0"\n ', "manifest-syntax", "no JSON: the end of the file is not expected here"),
    ('{"asyncapi": "3.0.0",\n"x": NaN}', "manifest-syntax", "no JSON: 'N' is not expected here"),
    ('{"asyncapi": "3.0.0",\n"x": 1e999}', "manifest-syntax", "a number that is too large"),
    ('{"asyncapi": "3.0.0",\n"x": "\\ud800"}', "manifest-syntax", "half of a character"),
    ('{"asyncapi": "3.0.0",\n"x": "a\nb"}', "manifest-syntax", "no JSON: invalid control character at"),
    ('{"asyncapi": "3.0.0"}\nx', "manifest-syntax", "no JSON: 'x' is not expected here"),
    ('{"asyncapi": "3.0.0",\n1: 2}', "manifest-syntax", "no JSON: '1' is not expected here"),
    ('{"asyncapi": "3.0.0",\n"x": [1 2]}', "manifest-syntax", "no JSON: '2' is not expected here"),
]


@pytest.mark.parametrize(("text", "rule", "what"), JSON, ids=[str(i) for i in range(len(JSON))])
def test_json_is_read_as_strictly(text: str, rule: str, what: str, tmp_path: Path) -> None:
    finding = found(tmp_path, text, "a.json")
    assert (finding.rule, finding.place.line) == (rule, 1 if "deeper" in what else 2)
    assert what in finding.what


OPERATION = HEAD + "channels: {c: {messages: {m: %s}}}\noperations: {o: {action: send, channel: {$ref: '#/channels/c'}}}\n"
REFERENCES = [
    ("{$ref: '#/components/messages/m'}", "leads nowhere: {file} has no /components"),
    ("{$ref: 'https://example.org/m.yaml'}", "leads out of the folder"),
    ("{$ref: 'file:///etc/passwd'}", "leads out of the folder"),
    ("{$ref: '//example.org/x'}", "leads out of the folder"),
    ("{$ref: '/etc/passwd'}", "leads out of the folder"),
    ("{$ref: '../secret.yaml'}", "leads out of the folder"),
    ("{$ref: '%2e%2e/secret.yaml'}", "leads out of the folder"),
    ("{$ref: 'link.yaml'}", "leads out of the folder"),
    ("{$ref: 'linked/secret.yaml'}", "leads out of the folder"),
    ("{$ref: 'nothing.yaml'}", "there is no such file"),
    ("{$ref: 'loop.yaml'}", "there is no such file"),
    ("{$ref: 'a.yaml\\0'}", "there is no such file"),
    ("{$ref: '#m'}", "has no JSON pointer behind #"),
    ("{$ref: '#/channels/c/messages/m'}", "leads in a circle"),
    ("{payload: {$ref: '#/nowhere'}}", "leads nowhere"),
    ("{payload: {properties: {a: {$ref: 'https://example.org/x'}}}}", "leads out of the folder"),
    ("{payload: {properties: {a: {$ref: '#/channels/c/address/x'}}}}", "leads nowhere"),
]


@pytest.mark.parametrize(("message", "what"), REFERENCES, ids=[message for message, _ in REFERENCES])
def test_a_reference_leads_to_something_inside_of_the_folder(message: str, what: str, tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (tmp_path / "secret.yaml").write_text("payload: {title: secret}")
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (folder / "loop.yaml").symlink_to(folder / "loop.yaml")
    (folder / "linked").symlink_to(tmp_path)
    (folder / "a.yaml").write_text(OPERATION.replace("%s", message))
    graph, findings = read_folder(folder)
    findings = [finding for finding in findings if finding.place.file == str(folder / "a.yaml")]
    assert {finding.rule for finding in findings} == {"manifest-reference"}
    assert what.replace("{file}", str(folder / "a.yaml")) in findings[0].what
    assert findings[0].place.line == 3
    assert findings[0].place.pointer.startswith("/channels/c/messages/m")
    assert "secret" not in repr(graph)


def test_references_that_go_round_inside_of_a_schema_are_fine(tmp_path: Path) -> None:
    schemas = "components: {schemas: {a: {properties: {next: {$ref: '#/components/schemas/b'}}}, b: {$ref: '#/components/schemas/a'}}}\n"
    text = OPERATION.replace("%s", "{payload: {$ref: '#/components/schemas/a'}}") + schemas
    (tmp_path / "a.yaml").write_text(text)
    graph, findings = read_folder(tmp_path)
    assert findings == []
    assert graph.messages[0].schema == {
        "properties": {"next": {"$ref": "#/$defs/b"}},
        "$defs": {"b": {"$ref": "#"}},
    }


def test_payloads_that_refer_to_each_other_and_hold_nothing_are_found(tmp_path: Path) -> None:
    schemas = "components: {schemas: {a: {$ref: '#/components/schemas/b'}, b: {$ref: '#/components/schemas/a'}}}\n"
    finding = found(tmp_path, OPERATION.replace("%s", "{payload: {$ref: '#/components/schemas/a'}}") + schemas)
    assert finding.rule == "manifest-reference"
    assert "leads in a circle" in finding.what


def test_a_reference_to_another_file_of_the_folder_comes_along(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "types.json").write_text(
        '{"sku": {"type": "string"}, "line": {"properties": {"sku": {"$ref": "#/sku"}}}}'
    )
    (tmp_path / "a.yaml").write_text(
        OPERATION.replace(
            "%s", "{payload: {properties: {line: {$ref: 'sub/types.json#/line'}, sku: {$ref: './sub/types.json#/sku'}}}}"
        )
    )
    graph, findings = read_folder(tmp_path)
    assert findings == []
    assert graph.messages[0].schema == {
        "properties": {"line": {"$ref": "#/$defs/line"}, "sku": {"$ref": "#/$defs/sku"}},
        "$defs": {"line": {"properties": {"sku": {"$ref": "#/$defs/sku"}}}, "sku": {"type": "string"}},
    }


STRUCTURE = [
    ("asyncapi: 3.0.0\n", "manifest-structure", "", "no info with a title"),
    ("asyncapi: 4.0.0\n", "manifest-version", "/asyncapi", "AsyncAPI 4.0.0 is not understood"),
    ("asyncapi: {a: 1}\n", "manifest-structure", "/asyncapi", "expected a text as asyncapi"),
    (HEAD + "channels: 7\n", "manifest-structure", "/channels", "expected an object as channels"),
    (
        HEAD + "operations: {o: {action: shout}}\n",
        "manifest-structure",
        "/operations/o/action",
        "expected the action send or receive",
    ),
    (HEAD + "operations: {o: {action: send}}\n", "manifest-structure", "/operations/o", "the operation o has no channel"),
    (OPERATION.replace("%s", "7"), "manifest-structure", "/channels/c/messages/m", "expected a message"),
    (OPERATION.replace("%s", "{payload: [1]}"), "manifest-structure", "/channels/c/messages/m/payload", "expected a schema"),
    (OPERATION.replace("%s", "{payload: x}"), "manifest-structure", "/channels/c/messages/m/payload", "expected a schema"),
    (OPERATION.replace("%s", "{name: [x]}"), "manifest-structure", "/channels/c/messages/m/name", "expected a text as name"),
    (
        OPERATION.replace("%s", "{x-farandole-message: {version: [1]}}"),
        "manifest-structure",
        "/channels/c/messages/m/x-farandole-message/version",
        "Expected array of length 2",
    ),
    (
        HEAD.replace("'1'", "'1', x-farandole-service: {window: long}"),
        "manifest-structure",
        "/info/x-farandole-service/window",
        "Expected float, got str",
    ),
    (
        HEAD + "x-farandole-choreography: {workflows: [{name: x}]}\n",
        "manifest-structure",
        "/x-farandole-choreography/workflows/0",
        "missing required field starts",
    ),
    (
        HEAD.replace("'1'", "'1', x-farandole-service: {}")
        + "channels: {c: {}}\noperations: {o: {action: receive, channel: {$ref: '#/channels/c'}}}\n",
        "manifest-structure",
        "/operations/o",
        "the operation o receives, and nobody says what it causes",
    ),
    (
        HEAD + "channels: {c: {}}\noperations: {o: {action: receive, channel: {$ref: '#/channels/c'}, x-farandole-reaction: "
        "{effects: {outside: twice}}}}\n",
        "manifest-structure",
        "/operations/o/x-farandole-reaction/effects/outside",
        "Invalid enum value 'twice'",
    ),
]


@pytest.mark.parametrize(
    ("text", "rule", "pointer", "what"), STRUCTURE, ids=[pointer or str(i) for i, (_, _, pointer, _) in enumerate(STRUCTURE)]
)
def test_what_is_not_as_asyncapi_says_is_found_with_its_pointer(
    text: str, rule: str, pointer: str, what: str, tmp_path: Path
) -> None:
    finding = found(tmp_path, text)
    assert (finding.rule, finding.place.pointer) == (rule, pointer)
    assert what in finding.what
    assert finding.place.line is not None


def test_what_is_wrong_in_one_place_leaves_the_rest_readable(tmp_path: Path) -> None:
    text = HEAD + (
        "channels: {c: {messages: {good: {payload: {type: object}}, bad: {$ref: '#/x'}}}, d: {messages: {fine: {}}}}\n"
        "operations:\n  d: {action: send, channel: {$ref: '#/channels/d'}}\n  e: {action: shout}\n"
    )
    (tmp_path / "a.yaml").write_text(text)
    (tmp_path / "b.yaml").write_text("asyncapi: [")
    graph, findings = read_folder(tmp_path)
    assert [message.type for message in graph.messages] == ["fine"]
    assert sorted(finding.rule for finding in findings) == ["manifest-reference", "manifest-structure", "manifest-syntax"]


def test_other_files_of_a_folder_are_left_alone(tmp_path: Path) -> None:
    for name in ("values.yaml", "x.json", ".hidden.yaml", "notes.txt"):
        (tmp_path / name).write_text("{{ .Values.asyncapi }}: [" if name[0] != "." else "asyncapi: [")
    for folder in ("node_modules", ".git"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yaml").write_text("asyncapi: [")
    (tmp_path / "good.yml").write_text(HEAD)
    os.mkfifo(tmp_path / "pipe.yaml")
    graph, findings = read_folder(tmp_path)
    assert findings == []
    assert [service.id for service in graph.services] == ["x"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent", "there is no file or folder"),
        ("empty", "there is no AsyncAPI document"),
        ("other.yaml", "is no AsyncAPI document"),
    ],
)
def test_a_path_with_nothing_to_read_is_an_error(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.yaml").write_text("openapi: 3.0.0\n")
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        read_folder(tmp_path / name)


def test_a_file_that_may_not_be_read_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD)
    (tmp_path / "a.yaml").chmod(0)
    if os.access(tmp_path / "a.yaml", os.R_OK):
        pytest.skip("this user may read everything")
    _, (finding,) = read_folder(tmp_path)
    assert "cannot be read: Permission denied" in finding.what


def test_a_link_to_itself_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "a.yaml")
    _, (finding,) = read_folder(tmp_path)
    assert (finding.rule, finding.place.file) == ("manifest-unreadable", str(tmp_path / "a.yaml"))


def test_a_file_alone_refers_to_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("payload: {type: object}\n")
    (tmp_path / "a.yaml").write_text(OPERATION.replace("%s", "{$ref: 'm.yaml'}"))
    graph, findings = read_folder(tmp_path / "a.yaml")
    assert findings == []
    assert graph.messages[0].schema == {"type": "object"}


@pytest.mark.parametrize("write", [as_yaml, as_json])
def test_what_is_too_deep_to_be_written_is_told(write: Any) -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(ConfigurationError, match="nested too deep to be written"):
        write(deep)
