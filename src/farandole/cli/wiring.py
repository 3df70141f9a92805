"""Small, careful edits of Python source: an import more, an argument more. What is not understood is left alone."""

from __future__ import annotations

import ast

__all__ = ["names_at_top", "with_argument", "with_import", "written"]


def with_argument(source: str, variable: str, argument: str, width: int) -> str | None:
    """The source with one positional argument more in the call `variable = Choreography(...)`.

    Gives None where that is not to be seen at the top of the module, or takes `*services`, so that a line more would be a guess.
    """
    call = _call(source, variable)
    if call is None or not call.args or any(isinstance(arg, ast.Starred) for arg in call.args):
        return None
    lines = _Lines(source)
    last = call.args[-1]
    start, end = lines.at(call.lineno, call.col_offset), lines.at(call.end_lineno or 0, call.end_col_offset or 0)
    after = lines.at(last.end_lineno or 0, last.end_col_offset or 0)
    statement = source[lines.at(call.lineno, 0) : start]
    if "#" in source[start:end]:  # perhaps a comment: only an argument more, in the style of the last one
        before = source[: lines.at(last.lineno, last.col_offset)].rpartition("\n")[2]
        gap = f",\n{before}" if before and not before.strip() else ", "
        return source[:after] + gap + argument + source[after:]
    whole = source[:after] + f", {argument}" + source[after:]
    edited = _call(whole, variable)
    assert edited is not None
    parts = [ast.get_source_segment(whole, arg) or "" for arg in edited.args]
    parts += [
        f"{word.arg}={ast.get_source_segment(whole, word.value)}"
        if word.arg
        else f"**{ast.get_source_segment(whole, word.value)}"
        for word in edited.keywords
    ]
    exploded = source[:end].rstrip(")").rstrip().endswith(",")
    if any("\n" in part for part in parts):
        return whole
    function = ast.get_source_segment(source, call.func) or ""
    text = written(f"{statement}{function}(", parts, ")", width, exploded=exploded)
    return source[: start - len(statement)] + text + source[end:]


def with_import(source: str, module: str, name: str) -> str:
    """The source with `from module import name`, beside the imports that it has, in the order of the alphabet."""
    line = f"from {module} import {name}\n"
    body = ast.parse(source).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in imports:
        if (
            isinstance(node, ast.ImportFrom)
            and _module(node) == module
            and any(alias.name == name and alias.asname is None for alias in node.names)
        ):
            return source
    lines = _Lines(source)
    near = [node for node in imports if isinstance(node, ast.ImportFrom) and _family(_module(node)) == _family(module)]
    for node in near:
        if _module(node) > module:
            at = lines.at(node.lineno, 0)
            return source[:at] + line + source[at:]
    last = (near or imports)[-1:]
    if last:
        at = lines.after(last[0].end_lineno or 0)
        # Another family of imports stands apart.
        gap = "" if near else "\n"
        return source[:at] + gap + line + source[at:]
    at = lines.after(body[0].end_lineno or 0) if body and _is_text(body[0]) else 0
    return source[:at] + ("\n" if at else "") + line + ("" if at else "\n") + source[at:]


def names_at_top(source: str) -> set[str]:
    """The names that a module binds at its top: imports, assignments, functions and classes."""
    found: set[str] = set()
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        else:
            found.update(inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store))
    return found


def written(before: str, parts: list[str], after: str, width: int, *, exploded: bool = False) -> str:
    """A list in brackets as formatters write it: on one line if it fits, or else with a line for each part.

    Parameters
    ----------
    before, after:
        What stands around it, with the brackets; `before` begins its line.
    exploded:
        Whether it is to have a line for each part in any case.
    """
    line = f"{before}{', '.join(parts)}{after}"
    if not exploded and max(map(len, line.split("\n"))) <= width:
        return line
    indent = before[: len(before) - len(before.lstrip(" "))]
    return f"{before}\n" + "".join(f"{indent}    {part},\n" for part in parts) + f"{indent}{after}"


class _Lines:
    """Where the lines of a source begin; ast counts columns in bytes."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def at(self, line: int, column: int) -> int:
        text = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(text)

    def after(self, line: int) -> int:
        return self._starts[line]


def _call(source: str, variable: str) -> ast.Call | None:
    """The one `variable = Choreography(...)` at the top of a module."""
    found: list[ast.Call] = []
    for node in ast.parse(source).body:
        target: ast.expr | None = None
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target = node.targets[0]
        elif isinstance(node, ast.AnnAssign):
            target = node.target
        if isinstance(target, ast.Name) and target.id == variable and isinstance(node, ast.Assign | ast.AnnAssign):
            if not isinstance(node.value, ast.Call) or not _is_choreography(node.value.func):
                return None
            found.append(node.value)
    return found[0] if len(found) == 1 else None


def _is_choreography(function: ast.expr) -> bool:
    return (isinstance(function, ast.Name) and function.id == "Choreography") or (
        isinstance(function, ast.Attribute) and function.attr == "Choreography"
    )


def _module(node: ast.ImportFrom) -> str:
    return "." * node.level + (node.module or "")


def _family(module: str) -> str:
    """Imports of one family stand together: relative ones, or those of one package."""
    return "." if module.startswith(".") else module.partition(".")[0]


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
