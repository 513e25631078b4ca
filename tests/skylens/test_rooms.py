"""Imports point one way (DESIGN.md, section 1): the tiers know ``skylens``, never each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TIERS = ("web_openstack", "app_aws", "autoscaler")
STARTERS = ("skylens.cli", "skylens.local")
MODULES = sorted(path for room in (*TIERS, "skylens") for path in (ROOT / room).rglob("*.py"))


def dotted(path):
    """``skylens/cli/status.py`` as ``skylens.cli.status``."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(tree, package):
    """(module, whether only when a function runs) of each import; relative ones made absolute."""
    lazy = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ".".join(package.split(".")[: -node.level + 1 or None]) if node.level else ""
            base = ".".join(filter(None, [above, node.module]))
            yield base, id(node) in lazy
            yield from ((f"{base}.{alias.name}", id(node) in lazy) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value, id(node) in lazy


def faults(source, module, *, is_package=False):
    """What in a module breaks the rule, a sentence each."""
    room = module.partition(".")[0]
    package = module if is_package else module.rpartition(".")[0]
    starter = module.startswith(STARTERS)
    for name, lazily in imports(ast.parse(source), package):
        other = name.partition(".")[0]
        if other not in TIERS or other == room:
            continue
        if not starter:
            yield f"{module} imports {name}"
        elif not lazily:
            yield f"{module} imports {name} when it is itself imported, not when it runs"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: dotted(path.relative_to(ROOT)))
def test_no_module_imports_another_tier(path):
    module = dotted(path.relative_to(ROOT))
    assert list(faults(path.read_text(), module, is_package=path.name == "__init__.py")) == []


def test_every_room_was_looked_at():
    assert {path.relative_to(ROOT).parts[0] for path in MODULES} == {*TIERS, "skylens"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("web_openstack.door", "import app_aws.worker"),
        ("web_openstack.door", "from autoscaler import loop"),
        ("web_openstack.door", "def f():\n    from autoscaler import loop"),
        ("web_openstack.door", "if TYPE_CHECKING:\n    from autoscaler import loop"),
        ("autoscaler.loop", "import importlib\nimportlib.import_module('app_aws.worker')"),
        ("app_aws.worker", "import skylens, web_openstack as w"),
        ("skylens.store", "def f():\n    import app_aws"),
        ("skylens.cli.up", "import app_aws.main"),
        ("skylens.client", "from web_openstack import page"),
    ],
)
def test_a_forbidden_import_is_found(module, source):
    assert list(faults(source, module))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("web_openstack.door", "from web_openstack.demand import x\nfrom skylens import errors\nfrom . import jobs"),
        ("skylens.cli.up", "def run():\n    import app_aws.main"),
        ("skylens.local.cloud", "def run():\n    from autoscaler import main"),
        ("skylens.cli.x", "from .report import y"),
    ],
)
def test_an_allowed_import_is_passed(module, source):
    assert list(faults(source, module)) == []
