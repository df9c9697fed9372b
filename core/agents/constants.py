"""The capital constants of a Python file: read by `ast`, edited in place.

    constants = read(source)                       # {"MATRIX_LR": Constant(...), ...}
    source = edit(source, {"MATRIX_LR": 0.055})    # only the number's own characters change

A constant is a module-level `NAME = value` (or `NAME: type = value`) whose capital name is bound once, and whose value
is a bool, a string, a number, an arithmetic expression of numbers such as `2**19`, or a tuple of numbers.
"""

from __future__ import annotations

import ast
import functools
import json
import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal

from core.facts import fact

Number = int | float
Value = bool | int | float | str | tuple[Number, ...]

_CAPITAL = re.compile(r"[A-Z][A-Z0-9_]*")
_MARK = "\ufeff"  # a byte order mark: Python files may start with one, ast.parse takes none
_LINE_END = re.compile(rb"\r\n|\r|\n")  # Python's line ends; str.splitlines knows more of them
_LARGEST_BITS = 4096  # an int beyond this is no hyperparameter, and could take for ever to compute
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)

_OPERATORS: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


@fact
class Constant:
    """One constant as a source has it. `start` and `end` are byte offsets of its value in the UTF-8 source.

    items: the elements of a tuple, named `NAME[0]`, `NAME[1]`, …; otherwise empty.
    """

    name: str
    value: Value
    text: str
    start: int
    end: int
    items: tuple[Constant, ...] = ()


def read(source: str) -> dict[str, Constant]:
    """The constants of a source by name, in its order. Raises SyntaxError or ValueError if Python cannot parse it."""
    return dict(_read(source))


@functools.lru_cache(maxsize=16)
def _read(source: str) -> dict[str, Constant]:
    tree, encoded, starts = parsed(source)
    bound = Counter(_bindings(tree))
    found = {}
    for name, value in _assignments(tree):
        constant = _constant(name, value, encoded, starts) if bound[name] == 1 else None
        if constant is not None:
            found[name] = constant
    return found


def parsed(source: str) -> tuple[ast.Module, bytes, list[int]]:
    """A source's tree, its UTF-8 bytes, and where in these each of its lines begins. Raises as `read` does."""
    mark = _MARK if source.startswith(_MARK) else ""
    tree = ast.parse(source[len(mark) :])
    encoded = source.encode()
    return tree, encoded, [len(mark.encode()), *(m.end() for m in _LINE_END.finditer(encoded))]


def edit(source: str, values: Mapping[str, Value]) -> str:
    """The source with these constants at new values, each written in the style it had; all else byte for byte.

    A tuple keeps its length, and only the elements that differ are rewritten. Raises KeyError for a name that `read`
    does not find, ValueError for a tuple of another length or a number that Python source cannot write.
    """
    constants = read(source)
    spans = [span for name, value in values.items() for span in _rewrites(constants[name], value)]
    encoded = source.encode()
    for start, end, text in sorted(spans, reverse=True):
        encoded = encoded[:start] + text.encode() + encoded[end:]
    return encoded.decode()


# --- reading ---------------------------------------------------------------------------------------------------------


def _assignments(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if _CAPITAL.fullmatch(name):
                yield name, value
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value) if _CAPITAL.fullmatch(name):
                yield name, value


def _bindings(tree: ast.Module) -> Iterator[str]:
    """Names bound at module level, once for each time. `global NAME` in a function counts as one more."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, _SCOPES):
            yield from (name for inner in ast.walk(item) if isinstance(inner, ast.Global) for name in inner.names)
            continue
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store | ast.Del):
            yield item.id
        waiting.extend(ast.iter_child_nodes(item))


def _constant(name: str, value: ast.expr, encoded: bytes, starts: Sequence[int]) -> Constant | None:
    items: tuple[Constant, ...] = ()
    what: Value | None
    match value:
        case ast.Constant(value=bool() | str() as what):
            pass
        case ast.Tuple(elts=elements) if elements:
            read_items = [_constant(f"{name}[{i}]", e, encoded, starts) for i, e in enumerate(elements)]
            items = tuple(c for c in read_items if c is not None and type(c.value) in (int, float))
            if len(items) < len(elements):
                return None
            what = tuple(c.value for c in items)  # type: ignore[misc]  # numbers, by the line above
        case _:
            what = _number(value)
            if what is None:
                return None
    assert value.end_lineno is not None
    assert value.end_col_offset is not None
    start = starts[value.lineno - 1] + value.col_offset
    end = starts[value.end_lineno - 1] + value.end_col_offset
    return Constant(name, what, encoded[start:end].decode(), start, end, items)


def _number(expression: ast.expr) -> Number | None:
    """The value of a number or of an arithmetic expression of numbers; None for anything else and for the infinite."""
    match expression:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            result = number
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            inner = _number(operand)
            if inner is None:
                return None
            result = -inner if isinstance(sign, ast.USub) else inner
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _number(left), _number(right)
            if a is None or b is None:
                return None
            computed = _arithmetic(op, a, b)
            if computed is None:
                return None
            result = computed
        case _:
            return None
    small = isinstance(result, float) or result.bit_length() <= _LARGEST_BITS
    return result if small and math.isfinite(result) else None


def _arithmetic(op: ast.operator, a: Number, b: Number) -> Number | None:
    try:
        if isinstance(op, ast.LShift) and isinstance(a, int) and isinstance(b, int) and 0 <= b <= 128:
            return a << b
        if isinstance(op, ast.Pow):
            if abs(b) > 1024 or (isinstance(a, int) and a.bit_length() * abs(b) > _LARGEST_BITS):
                return None
            power = a**b
            return power if isinstance(power, int | float) else None  # a negative number's root is complex
        return _OPERATORS[type(op)](a, b) if type(op) in _OPERATORS else None
    except ArithmeticError:
        return None


# --- writing ---------------------------------------------------------------------------------------------------------


def _rewrites(constant: Constant, value: Value) -> Iterator[tuple[int, int, str]]:
    if not constant.items:
        if isinstance(value, tuple):
            raise ValueError(f"{constant.name} is not a tuple")
        if type(value) is not type(constant.value) or value != constant.value:
            yield constant.start, constant.end, _written(value, constant.text)
        return
    if not isinstance(value, tuple) or len(value) != len(constant.items):
        raise ValueError(f"{constant.name} is a tuple of {len(constant.items)}")
    for item, element in zip(constant.items, value, strict=True):
        yield from _rewrites(item, element)


def _written(value: bool | int | float | str, like: str) -> str:
    """`value` as Python source, in the style of the text `like`. It reads back as exactly `value`."""
    if isinstance(value, str):
        return json.dumps(value) if like.startswith('"') and value.isascii() and value.isprintable() else repr(value)
    if isinstance(value, bool):
        return str(value)
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written as a number")
    return (_whole if isinstance(value, int) else _fraction)(value, like)


def _whole(value: Number, like: str) -> str:
    value = int(value)
    if power := re.fullmatch(r"(\d+)(\s*\*\*\s*)\d+", like):
        exponent = _logarithm(value, int(power[1]))
        if exponent is not None:
            return f"{power[1]}{power[2]}{exponent}"
    if shift := re.fullmatch(r"(\d+)(\s*<<\s*)\d+", like):
        doublings = _logarithm(value, 2, int(shift[1]))
        if doublings is not None:
            return f"{shift[1]}{shift[2]}{doublings}"
    if product := re.fullmatch(r"\d+(\s*\*\s*(\d+))", like):
        unit = int(product[2])
        if unit and value % unit == 0:
            return f"{value // unit}{product[1]}"
    if re.fullmatch(r"[+-]?0[xX][0-9a-fA-F_]+", like):
        return hex(value)
    return f"{value:_}" if re.fullmatch(r"[+-]?[\d_]*_[\d_]*", like) else str(value)


def _logarithm(value: int, root: int, times: int = 1) -> int | None:
    """The k ≥ 0 with value = times · root**k; None if there is none."""
    k = 0
    while root > 1 and 0 < times < value:
        times, k = times * root, k + 1
    return k if times == value else None


def _fraction(value: Number, like: str) -> str:
    digits = Decimal(repr(float(value)))
    if power := re.fullmatch(r"(\d+)(\s*\*\*\s*)-\s*\d+", like):
        for k in range(1, 64):
            if float(power[1]) ** -k == value:
                return f"{power[1]}{power[2]}-{k}"
    if style := re.fullmatch(r"[+-]?\d*(\.\d*)?([eE])[+-]?\d+", like):
        mantissa, exponent = f"{digits.normalize():e}".split("e")
        point = ".0" if style[1] and "." not in mantissa else ""
        return f"{mantissa}{point}{style[2]}{int(exponent)}"
    if abs(value) >= 1e16 or (value and abs(value) < 1e-8):
        return repr(float(value))
    fixed = f"{digits:f}"
    return fixed[1:] if like.startswith(".") and fixed.startswith("0.") else fixed
