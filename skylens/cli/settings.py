"""``skylens settings``: every setting of every tier, with its variable, default, allowed values and meaning."""

import argparse
import ast
import difflib
import inspect
import os
import re
import sys
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from skylens import settings
from skylens.errors import SettingsError
from skylens.settings import PREFIX, TIERS, ScalerSettings, Settings, WebSettings, WorkerSettings, load

EPILOG = """\
A setting is an environment variable, or a file of that name in the systemd credentials directory.

examples:
  SKYLENS_MAXIMUM=50 skylens scaler
  skylens settings --markdown > settings.md
  cat shared.env web.env | skylens settings --check web
"""
CHECKED: dict[str, type[Settings]] = {"web": WebSettings, "worker": WorkerSettings, "scaler": ScalerSettings}


class Row(NamedTuple):
    variable: str
    default: str
    allowed: str
    meaning: str


def add(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--markdown", action="store_true", help="as Markdown tables, as in docs/settings.md")
    parser.add_argument(
        "--check",
        metavar="TIER",
        choices=CHECKED,
        help="read SKYLENS_NAME=value lines from standard input; exit 2 and say what is wrong, were TIER started so",
    )


def run(args: argparse.Namespace) -> int:
    if args.check:
        for name in [name for name in os.environ if name.startswith(PREFIX) or name == "CREDENTIALS_DIRECTORY"]:
            del os.environ[name]  # what this shell has set, TIER will not be started with
        check(CHECKED[args.check], sys.stdin.read())
        return 0
    if args.markdown:
        print(markdown(), end="")
        return 0
    console = Console(highlight=False)
    for title, rows in sections():
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in Row._fields:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console.print(table)
    return 0


def check(tier: type[Settings], lines: str) -> None:
    """Raises SettingsError when ``tier`` would not start with these lines, or knows one of the names not at all."""
    given: dict[str, str] = {}
    for number, line in enumerate(lines.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(rf"{PREFIX}([A-Z0-9_]+)=(.*)", line.strip())
        if not match:
            raise SettingsError(f"line {number} should read {PREFIX}NAME=value: {line[:80]!r}")
        given[match[1].lower()] = match[2].strip()
    for name in given:
        if name not in tier.model_fields:
            raise SettingsError(f"{PREFIX}{name.upper()} is not a setting of this tier{_instead(tier, name)}")
    load(tier, **given)


def _instead(tier: type[Settings], name: str) -> str:
    """What may have been meant: a setting of that name elsewhere, or one of nearly that name here."""
    others = [word for word, other in CHECKED.items() if name in other.model_fields]
    if others:
        return f"; it is one of {', '.join(others)}"
    near = difflib.get_close_matches(name, tier.model_fields, n=1)
    return f"; did you mean {PREFIX}{near[0].upper()}?" if near else ""


def sections() -> list[tuple[str, list[Row]]]:
    """First what every tier reads, then each tier's own."""
    common = set(Settings.model_fields)
    made = [("Every tier", _rows(Settings, set()))]
    return made + [(str(tier.__doc__).rstrip("."), _rows(tier, common)) for tier in TIERS]


def _rows(tier: type[Settings], without: set[str]) -> list[Row]:
    described = tier.model_json_schema()["properties"]
    return [
        Row(PREFIX + name.upper(), default(field), allowed(field), meaning(tier, name))
        for name, field in described.items()
        if name not in without
    ]


def default(field: dict[str, Any]) -> str:
    """The default as one would write it into the variable; empty for none."""
    value = field["default"]
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(value) if isinstance(value, list | tuple) else str(value)


def allowed(field: dict[str, Any]) -> str:
    """What the JSON schema says that a value may be."""
    if "enum" in field:
        return ", ".join(field["enum"])
    if field["type"] == "boolean":
        return "true, false"
    if field["type"] == "array":
        return "words, separated by commas or spaces"
    if field["type"] == "string":
        return f"matches {field['pattern']}" if "pattern" in field else "text"
    kind = "whole number" if field["type"] == "integer" else "number"
    if "minimum" in field and "maximum" in field:
        return f"{kind} from {field['minimum']} to {field['maximum']}"
    least = f"above {field['exclusiveMinimum']}" if "exclusiveMinimum" in field else f"at least {field['minimum']}"
    most = f"below {field['exclusiveMaximum']}" if "exclusiveMaximum" in field else f"at most {field['maximum']}"
    return f"{kind} {least}, {most}"


def meaning(tier: type[Settings], name: str) -> str:
    """The text below a setting, or nothing."""
    texts = _texts()
    owner = next(kind for kind in tier.__mro__ if name in vars(kind).get("__annotations__", {}))
    return " ".join(texts.get((owner.__name__, name), "").replace("``", "`").split())


@cache
def _texts() -> dict[tuple[str, str], str]:
    """By class and field. Pydantic would read them at each start of each tier, which takes 60 ms."""
    found = {}
    for kind in ast.parse(inspect.getsource(settings)).body:
        if isinstance(kind, ast.ClassDef):
            for field, text in pairwise(kind.body):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(text, ast.Expr)
                    and isinstance(text.value, ast.Constant)
                ):
                    found[kind.name, field.target.id] = str(text.value.value)
    return found


def markdown() -> str:
    """The whole of docs/settings.md below its heading."""
    parts = []
    for title, rows in sections():
        lines = [f"## {title}", "", "| variable | default | allowed | meaning |", "|---|---|---|---|"]
        lines += [
            f"| `{row.variable}` | {_code(row.default)} | {_allowed(row.allowed)} | {_cell(row.meaning)} |"
            for row in rows
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else "(empty)"


def _allowed(text: str) -> str:
    matches, _, pattern = text.partition("matches ")
    return f"matches {_code(pattern)}" if pattern and not matches else _cell(text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
