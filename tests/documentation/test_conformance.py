"""docs/conformance.md: each module of the certification plans has a test that is there."""

import ast
import re

from tests.servers.auth_server import ROOT

PAGE = (ROOT / "docs/conformance.md").read_text()
ROWS = re.findall(r"^\| `(oidcc-[\w-]+)` \| ([A-Z ]+) \| (.*) \|$", PAGE, re.MULTILINE)
LENGTHS = {"B": 38, "I": 31, "H": 37, "F": 39, "C": 1, "D": 23, "RP": 11, "BC": 2, "FC": 2, "SM": 2}
"""How many modules each plan has; those that a plan repeats for several flows count once."""


def named_in(file: str) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_test_that_is_named_is_there():
    """None was renamed or removed without this page."""
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE))
    assert len(named) > 50
    assert {(file, name) for file, name in named if name not in named_in(file)} == set()


def test_every_module_has_a_test():
    """And each plan its modules, each of them once."""
    assert [module for module, _, tests in ROWS if "::" not in tests] == []
    assert len({module for module, _, _ in ROWS}) == len(ROWS)
    counted = {letter: sum(letter in plans.split() for _, plans, _ in ROWS) for letter in LENGTHS}
    assert counted == LENGTHS
