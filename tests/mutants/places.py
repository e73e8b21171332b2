"""What can be changed: Cosmic Ray's changes of the kinds in OPERATORS, at places where one can change behaviour.

A comparison moved by one or turned round, `and` for `or`, a number more or less, a condition negated, a bit operation
swapped, a loop left out. Some things are not changed, as no behaviour that anybody was promised hangs on them:

- annotations, names of types (`Event = A | B`), and what is there for the type checker only: nobody uses them;
- the words of an exception: who meets them reads the code, or has its reason word;
- how a class is made of fields (`kw_only=True` of a decorator, `init=False` of a field; defaults are changed): it is
  about what mistakes of ours Python notices, and most changes would fail all tests at once and embellish the figure;
- `strict=` of `zip`, for the same reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = (
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("BitOr_BitAnd", "BitAnd_BitOr", "BitXor_BitOr", "Add_Sub")),
    *(f"ReplaceBinaryOperator_{pair}" for pair in ("Sub_Add", "Mul_Div", "Div_Mul", "LShift_RShift", "RShift_LShift")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
    *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt")),
    "ReplaceUnaryOperator_Delete_Not",
    "ReplaceUnaryOperator_Delete_Invert",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "NumberReplacer",
    "ZeroIterationForLoop",
)
OPTIONS = frozenset(("eq", "init", "kw_only", "repr", "strict"))
"""Of `define`, `frozen` and `field` of `wire.record`, and of `zip`."""
BUILDERS = frozenset(("define", "frozen", "field", "zip"))

Place = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One change: the `occurrence`th place in a module where an operator can do something."""

    module: str
    operator: str
    occurrence: int
    line: int

    def __str__(self) -> str:
        return f"{self.module}:{self.line}: {self.operator}"

    def source(self) -> str:
        """The module with the change."""
        text, operator = (ROOT / self.module).read_text(), get_operator(f"core/{self.operator}")()
        changed = mutate_code(text, operator, self.occurrence)
        assert isinstance(changed, str), f"{self} is none"
        return changed


def all_mutants(rooms: Iterable[str]) -> Iterator[Mutant]:
    """Every change that may be tried in some folders or files."""
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")) or [ROOT / room]:
            text = path.read_text()
            silent = list(silent_places(ast.parse(text)))
            nodes = list(ast_nodes(get_ast(text)))
            for name in OPERATORS:
                operator = get_operator(f"core/{name}")()
                places = [place for node in nodes for place in operator.mutation_positions(node)]
                for occurrence, (start, end) in enumerate(places):
                    if not any(a <= start and end <= b for a, b in silent):
                        yield Mutant(str(path.relative_to(ROOT)), name, occurrence, start[0])


def silent_places(tree: ast.Module) -> Iterator[tuple[Place, Place]]:
    """The places that are not changed: (first, last)."""
    for node in ast.walk(tree):
        for silent in silent_parts(node):
            yield (silent.lineno, silent.col_offset), (silent.end_lineno or 0, silent.end_col_offset or 0)


def silent_parts(node: ast.AST) -> Iterator[Any]:
    """The parts of a node that are not changed."""
    match node:
        case ast.FunctionDef(args=arguments, returns=returns):
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg)
            yield from (one.annotation for one in every if one is not None and one.annotation is not None)
            if returns is not None:
                yield returns
        case ast.AnnAssign(annotation=annotation):
            yield annotation
        case ast.Assign(value=ast.BinOp(op=ast.BitOr()) as value) if is_type(value):
            yield value
        case ast.Raise(exc=ast.Call(args=words)):
            yield from (word for word in words if isinstance(word, ast.JoinedStr))
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            yield node
        case ast.Call(func=ast.Name(id=name), keywords=keywords) if name in BUILDERS:
            yield from (keyword for keyword in keywords if keyword.arg in OPTIONS)


def is_type(node: ast.expr) -> bool:
    """Whether an expression is a union of types: names of classes, `None`, and `|` only."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return is_type(left) and is_type(right)
        case ast.Name(id=name) | ast.Subscript(value=ast.Name(id=name)):
            return name[0].isupper() and not name.isupper()
        case ast.Constant(value=None):
            return True
    return False


@cache
def statements(module: str) -> dict[int, tuple[int, ...]]:
    """By line of a module: the lines of the innermost statement there, without those of its body."""
    found: dict[int, tuple[int, ...]] = {}
    for node in ast.walk(ast.parse((ROOT / module).read_text())):  # outer ones come before inner ones
        if isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            body = getattr(node, "body", None)
            first = node.pattern if isinstance(node, ast.match_case) else node
            start = first.lineno
            last = max(start, body[0].lineno - 1) if body else first.end_lineno or start
            lines = tuple(range(start, last + 1))
            found.update(dict.fromkeys(lines, lines))
    return found
