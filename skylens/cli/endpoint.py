"""The options that every subcommand shares which talks to a running service."""

import argparse
import os
from pathlib import Path

import httpx2

from skylens.errors import SettingsError

URL = "http://127.0.0.1:8080"
KEY_VARIABLE = "SKY_API_KEY"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", type=url, default=URL, help="address of the service (default: %(default)s)")
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help=f"file with the API key, if the service needs one; else the environment variable {KEY_VARIABLE} is used",
    )


def url(text: str) -> str:
    """An http(s) address. Raises ArgumentTypeError."""
    try:
        parsed = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address: {error}") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query or parsed.fragment:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address such as {URL}")
    return text.rstrip("/")


def key(args: argparse.Namespace) -> str:
    """The API key, empty when none was given; never on the command line, where every process could read it."""
    if args.key_file is None:
        return _checked(os.environ.get(KEY_VARIABLE, ""), KEY_VARIABLE)
    try:
        text = _checked(args.key_file.read_text(), f"--key-file {args.key_file}")
    except (OSError, UnicodeError) as error:
        raise SettingsError(f"--key-file {args.key_file}: {error}") from None
    if not text:
        raise SettingsError(f"--key-file {args.key_file} is empty")
    return text


def _checked(text: str, source: str) -> str:
    key = text.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(f"{source}: an API key is one line of printable ASCII characters")
    return key
