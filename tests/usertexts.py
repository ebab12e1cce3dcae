"""The texts that people read, as they stand in source files: the strings of Python code."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path


def strings(file: Path) -> Iterator[tuple[int, str]]:
    """Each string of the code that has white space inside, with its line; no docstring.

    One without white space is a name or a key.
    """
    tree = ast.parse(file.read_text())
    docstrings = {id(one) for one in _docstrings(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in docstrings:
            text = node.value
            if isinstance(text, str) and " " in text.strip():
                yield node.lineno, text


def _docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    """Strings that stand for themselves: of modules, classes, functions and after attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
