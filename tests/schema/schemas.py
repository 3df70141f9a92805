"""Schemas of all kinds, and data that is valid for them, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 2.5]), st.sampled_from(["", "a", "ab"]))


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "number"]))}
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["minimum", "exclusiveMinimum"]))] = draw(st.integers(-3, 0))
    if draw(st.booleans()):
        schema[draw(st.sampled_from(["maximum", "exclusiveMaximum"]))] = draw(st.integers(2, 5))
    if draw(st.integers(0, 4)) == 0:
        schema["multipleOf"] = draw(st.sampled_from([1, 2]))
    return schema


@st.composite
def strings(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if draw(st.booleans()):
        schema["minLength"] = draw(st.integers(0, 2))
    if draw(st.booleans()):
        schema["maxLength"] = draw(st.integers(2, 4))
    if draw(st.integers(0, 4)) == 0:
        schema["pattern"] = draw(st.sampled_from(["^[ab]*$", "^a*$"]))
    return schema


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "array"}
    if draw(st.booleans()):
        schema["items"] = draw(inner)
    if draw(st.integers(0, 3)) == 0:
        schema["prefixItems"] = draw(st.lists(inner, min_size=1, max_size=2))
    if draw(st.booleans()):
        schema["minItems"] = draw(st.integers(0, 2))
    if draw(st.booleans()):
        schema["maxItems"] = draw(st.integers(2, 3))
    if draw(st.integers(0, 5)) == 0:
        schema["uniqueItems"] = True
    return schema


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(NAMES, inner, max_size=3))
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    schema["required"] = sorted(draw(st.sets(NAMES, max_size=2)))
    rest = draw(st.integers(0, 3))
    if rest == 0:
        schema["additionalProperties"] = False
    elif rest == 1:
        schema["additionalProperties"] = draw(inner)
    if draw(st.integers(0, 5)) == 0:
        schema["maxProperties"] = draw(st.integers(1, 3))
    return schema


def unions(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda members: {"anyOf": members}, st.lists(inner, min_size=1, max_size=3))


def both(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda members: {"allOf": members}, st.lists(inner, min_size=1, max_size=2))


LEAVES: st.SearchStrategy[Any] = st.one_of(
    numbers(),
    strings(),
    st.just({"type": "boolean"}),
    st.just({"type": ["string", "null"]}),
    st.builds(lambda values: {"enum": values}, st.lists(SCALARS, min_size=1, max_size=3, unique_by=repr)),
    st.builds(lambda value: {"const": value}, st.one_of(SCALARS, st.just({"a": 1}), st.just([1, "a"]))),
    st.just({"$ref": "#/$defs/A"}),
    st.just({"$ref": "#/$defs/B"}),
    st.just({}),
    st.just(True),
)


def _wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(arrays(inner), objects(inner), unions(inner), both(inner))


INNER = st.recursive(LEAVES, _wider, max_leaves=6)


@st.composite
def schemas(draw: st.DrawFn) -> dict[str, Any]:
    """A schema with definitions that may refer to each other and to themselves."""
    root = draw(st.one_of(objects(INNER), unions(INNER), arrays(INNER)))
    return {**root, "$defs": {"A": draw(objects(INNER)), "B": draw(INNER)}}


@st.composite
def changed(draw: st.DrawFn, schema: dict[str, Any]) -> dict[str, Any]:
    """A schema with one or two places changed a little: as one that is developed."""
    for _ in range(draw(st.integers(1, 2))):
        defs = schema["$defs"]
        if draw(st.integers(0, 2)):
            root = {word: value for word, value in schema.items() if word != "$defs"}
            root = _changed_once(draw, root)
            schema = {**(root if isinstance(root, dict) else {}), "$defs": defs}
        else:
            name = draw(st.sampled_from("AB"))
            schema = {**schema, "$defs": {**defs, name: _changed_once(draw, defs[name])}}
    return schema


def _changed_once(draw: st.DrawFn, node: Any) -> Any:
    if isinstance(node, dict) and node and draw(st.integers(0, 2)):
        word = draw(st.sampled_from(sorted(node)))
        if word in ("type", "const", "$ref", "pattern") or not isinstance(node[word], (dict, list)):
            return {key: value for key, value in node.items() if key != word or word in ("type", "$ref")}
        if word in ("enum", "required"):
            return {**node, word: node[word][:-1]} if len(node[word]) > 1 or word == "required" else node
        return {**node, word: _changed_once(draw, node[word])}
    if isinstance(node, list) and node:
        index = draw(st.integers(0, len(node) - 1))
        return [*node[:index], _changed_once(draw, node[index]), *node[index + 1 :]]
    return draw(LEAVES) if isinstance(node, dict) and "type" in node and "$defs" not in node else node


def data(schema: Any, root: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Data that is likely valid for a schema: nothing that it does not name."""
    if schema is True or schema == {} or depth > 5:
        return st.one_of(SCALARS, st.just([]), st.just({}))
    if schema is False:
        return st.nothing()
    if "$ref" in schema:
        target = root if schema["$ref"] == "#" else root["$defs"][schema["$ref"].rpartition("/")[2]]
        return st.deferred(lambda: data(target, root, depth + 1))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    for word in ("anyOf", "allOf"):
        if word in schema:
            return st.one_of([data(member, root, depth + 1) for member in schema[word]])
    return _of_type(schema, root, depth)


def _of_type(schema: Any, root: Any, depth: int) -> st.SearchStrategy[Any]:
    tp = schema.get("type", "object" if "properties" in schema else None)
    if tp in ("integer", "number"):
        return st.one_of(st.integers(-5, 6), st.just(0.5)) if tp == "number" else st.integers(-5, 6)
    if tp == "object":
        known = {name: data(inner, root, depth + 1) for name, inner in schema.get("properties", {}).items()}
        needed = {name for name in schema.get("required", ()) if name in known}
        fixed = st.fixed_dictionaries(
            {name: known[name] for name in needed}, optional={name: known[name] for name in known if name not in needed}
        )
        rest = schema.get("additionalProperties")
        if not isinstance(rest, dict):
            return fixed
        more = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), data(rest, root, depth + 1), max_size=2)
        return st.builds(lambda others, own: {**others, **own}, more, fixed)
    if tp == "array":
        items = data(schema.get("items", True), root, depth + 1)
        prefix = st.tuples(*(data(inner, root, depth + 1) for inner in schema.get("prefixItems", ())))
        return st.builds(lambda first, more: [*first, *more], prefix, st.lists(items, max_size=3))
    simple = {"string": st.text("abc", max_size=4), "boolean": st.booleans(), "null": st.none()}
    if isinstance(tp, list):
        return st.one_of([simple[each] for each in tp])
    return simple.get(tp, SCALARS)
