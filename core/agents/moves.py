"""Structural moves: small changes of a Python source that are no numbers, found and made by pattern.

    found = sites(source)                           # {"activation": Site(form="relu²", options={"gelu": …}), …}
    source = moved(source, {"activation": "gelu"})  # only the matched expression's own characters change

A family (`moves_known`) is one place of a program and the forms it can have; a form is one pattern a part of it, Python
in which names that begin with two underscores stand for any expression. A family is offered where exactly one of its
forms is found, each part exactly once; so every move is undone by moving back, and no move is offered where it does
not fit. What is around the matched text, comments and formatting included, stays byte for byte.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping, Sequence

from core.agents.constants import parsed
from core.agents.moves_known import FAMILIES, Family, Form
from core.facts import fact

_VARIABLE = re.compile(r"__[a-z]+")
_WHOLE = (ast.Name, ast.Attribute, ast.Call, ast.Subscript, ast.Constant)  # bind tighter than any operator
_UNSPOKEN = ("ctx", "type_comment", "kind")  # what of a node is not what it says
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@fact
class Site:
    """A family found in a source. form: the one it has; options: those it can have instead."""

    key: str
    form: str
    importance: float
    options: Mapping[str, Form]


def sites(source: str) -> dict[str, Site]:
    """The places of this source that can be moved, by key. Raises SyntaxError or ValueError if it does not parse."""
    return {key: found.site for key, found in _found(source).items()}


def moved(source: str, forms: Mapping[str, str]) -> str:
    """The source with these places in these forms. Raises KeyError for a place or form that `sites` does not name."""
    for key, name in forms.items():
        found = _found(source)[key]
        if name != found.site.form:
            source = _written(source, found, found.site.options[name])
    return source


# --- finding ---------------------------------------------------------------------------------------------------------

_Span = tuple[int, int]


@fact
class _Found:
    """spans: of each part, byte offsets. bound: the text of each variable, and whether it binds tighter than any
    operator."""

    site: Site
    spans: tuple[_Span, ...]
    bound: Mapping[str, tuple[str, bool]]


@fact
class _Node:
    node: ast.AST
    around: str


@functools.lru_cache(maxsize=16)
def _found(source: str) -> Mapping[str, _Found]:
    tree, encoded, starts = parsed(source)
    nodes: dict[type[ast.AST], list[_Node]] = {}
    for item in _nodes(tree, ""):
        nodes.setdefault(type(item.node), []).append(item)
    names = set(_module_names(tree))
    found: dict[str, _Found] = {}
    for family in FAMILIES:
        if family.key not in found and names.issuperset(family.requires):
            place = _place(family, nodes, names, encoded, starts)
            if place is not None:
                found[family.key] = place
    return found


def _nodes(node: ast.AST, around: str) -> Iterator[_Node]:
    """All nodes that have a place in the text; not those within f-strings, where Python 3.11 tells wrong places."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr):
            continue
        if isinstance(child, ast.expr | ast.stmt):
            yield _Node(child, around)
        yield from _nodes(child, f"{around}.{child.name}" if isinstance(child, _DEFINITIONS) else around)


def _module_names(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        match statement:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((alias.asname or alias.name).partition(".")[0] for alias in names)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def _place(
    family: Family,
    nodes: Mapping[type[ast.AST], Sequence[_Node]],
    names: set[str],
    encoded: bytes,
    starts: Sequence[int],
) -> _Found | None:
    """The family in this source; None where it is not there, or not clearly so.

    Of two forms that fit, the one around the other counts (relu² has relu in it), or else the more special one, which
    a family names first.
    """
    matches = []
    for form in family.forms:
        bound: dict[str, ast.expr] = {}
        places: list[_Span] = []
        for pattern in map(_pattern, form.texts):
            candidates = [n for n in nodes.get(type(pattern), ()) if re.search(family.inside, n.around)]
            hits = [(n.node, b) for n in candidates if (b := _binding(pattern, n.node, bound)) is not None]
            if len(hits) != 1:
                break
            places.append(_span(hits[0][0], starts))
            bound = hits[0][1]
        else:
            matches.append((form, tuple(places), bound))
    matches = [m for m in matches if all(_within(other[1][0], m[1][0]) for other in matches)]
    if not matches:
        return None
    form, spans, bound = matches[0]
    texts = {name: _text_of(expression, encoded, starts) for name, expression in bound.items()}
    known = names | _names(form)
    options = {
        f.name: f for f in family.forms if f is not form and _names(f) <= known and _variables(f) <= bound.keys()
    }
    return _Found(Site(family.key, form.name, family.importance, options), spans, texts) if options else None


def _within(inner: _Span, outer: _Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


@functools.cache
def _pattern(text: str) -> ast.AST:
    statement = ast.parse(text).body[0]
    return statement.value if isinstance(statement, ast.Expr) else statement


def _binding(pattern: ast.AST, node: ast.AST, bound: Mapping[str, ast.expr]) -> dict[str, ast.expr] | None:
    """What the pattern's variables stand for in this node, those `bound` before included; None if it does not fit."""
    now = dict(bound)
    return now if _fits(pattern, node, now) else None


def _fits(pattern: object, node: object, bound: dict[str, ast.expr]) -> bool:
    if isinstance(pattern, ast.Name) and _VARIABLE.fullmatch(pattern.id):
        if not isinstance(node, ast.expr) or isinstance(node, ast.Starred | ast.GeneratorExp | ast.NamedExpr):
            return False
        before = bound.setdefault(pattern.id, node)
        return before is node or ast.dump(before) == ast.dump(node)
    if isinstance(pattern, ast.AST):
        return type(pattern) is type(node) and all(
            _fits(getattr(pattern, field, None), getattr(node, field, None), bound)
            for field in pattern._fields
            if field not in _UNSPOKEN
        )
    if isinstance(pattern, list):
        if not isinstance(node, list) or len(node) != len(pattern):
            return False
        return all(_fits(p, n, bound) for p, n in zip(pattern, node, strict=True))
    return type(pattern) is type(node) and pattern == node


def _span(node: ast.AST, starts: Sequence[int]) -> _Span:
    assert isinstance(node, ast.expr | ast.stmt)
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


def _text_of(expression: ast.expr, encoded: bytes, starts: Sequence[int]) -> tuple[str, bool]:
    start, end = _span(expression, starts)
    return encoded[start:end].decode(), isinstance(expression, _WHOLE)


@functools.cache
def _variables(form: Form) -> set[str]:
    return {name for text in form.texts for name in _VARIABLE.findall(text)}


@functools.cache
def _names(form: Form) -> set[str]:
    """The names that a form needs the module to have; its own locals and what Python brings are not among them."""
    trees = [node for text in form.texts for node in ast.walk(ast.parse(text))]
    stored = {n.id for n in trees if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    loaded = {n.id for n in trees if isinstance(n, ast.Name) and not _VARIABLE.fullmatch(n.id)}
    return loaded - stored - {"self", "min", "max", "range"}


# --- writing ---------------------------------------------------------------------------------------------------------


def _written(source: str, found: _Found, form: Form) -> str:
    encoded = source.encode()
    for (start, end), text in sorted(zip(found.spans, form.texts, strict=True), reverse=True):
        encoded = encoded[:start] + _filled(text, found.bound).encode() + encoded[end:]
    return encoded.decode()


def _filled(text: str, bound: Mapping[str, tuple[str, bool]]) -> str:
    """The pattern with its variables' texts, in brackets where an operator beside them would pull them apart."""

    def put(match: re.Match[str]) -> str:
        said, whole = bound[match[0]]
        argument = text[: match.start()].endswith(("(", ", ")) and text[match.end() :].startswith((")", ","))
        return said if whole or argument else f"({said})"

    return _VARIABLE.sub(put, text)
