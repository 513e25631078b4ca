"""A tier as another minor release would be: ``other_release.py older|this|newer TIER``.

A minor version adds fields to messages. ``older`` neither writes nor reads those that are in no first golden file;
``newer`` writes some that nobody here knows, at every level. Run as ``other_release.py FILE up ...`` this is
``skylens up`` whose tiers are of the release that the file names when they start.
"""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from skylens import messages

LATER = {"suspect", "top", "same_as", "cpu"}
"""``data`` is one more, but who sends it need not have stored the image yet: where a release that cannot read it is at
work, no image may ride along."""
UNKNOWN = {"of_a_later_release": {"a": [1, None]}}
RELEASES = ("older", "this", "newer")
encode, read = messages.encode, messages.read


def changed(found, change):
    """Each object in it, from the inside out."""
    if isinstance(found, dict):
        return change({name: changed(value, change) for name, value in found.items()})
    return [changed(value, change) for value in found] if isinstance(found, list) else found


def without_later(fields):
    """A request has always said how many labels it wants; an answer says it only of late."""
    kept = {"top"} if "reply_to" in fields else set()
    return {name: value for name, value in fields.items() if name not in LATER - kept}


def with_unknown(fields):
    return fields | UNKNOWN


def written(value, change):
    if not isinstance(value, messages.Message):
        return encode(value)
    return json.dumps(changed(json.loads(encode(value)), change)).encode()


def read_as_older(kind, data):
    try:
        data = json.dumps(changed(json.loads(data), without_later))
    except ValueError:
        return read(kind, data)
    return read(kind, data)


def become(release):
    """To be called before any tier is imported."""
    if release == "older":
        os.environ["SKYLENS_INLINE_BYTES"] = "0"
        messages.encode, messages.read = partial(written, change=without_later), read_as_older
    elif release == "newer":
        messages.encode = partial(written, change=with_unknown)


def mixed(file):
    """An embedded cloud of tiers that look into ``file`` for what they are."""
    from skylens.local.cloud import LocalCloud

    class MixedCloud(LocalCloud):
        def _start_child(self, *arguments):
            return self._of_release(partial(super()._start_child, *arguments))

        def _start_worker(self, instance):
            return self._of_release(partial(super()._start_worker, instance))

        def _of_release(self, start):
            before, release = self.options, Path(file).read_text()
            programs = {tier: [sys.executable, __file__, release, tier] for tier in before.programs}
            self.options = replace(before, programs=programs)
            try:
                return start()
            finally:
                self.options = before

    return MixedCloud


def run(arguments):
    from skylens import cli

    if arguments[0] not in RELEASES:
        from skylens.cli import up

        up.LocalCloud = mixed(arguments[0])
        return cli.main(arguments[1:])
    become(arguments[0])
    sys.stdout.write(msgspec.json.encode({"event": "release.started", "release": arguments[0]}).decode() + "\n")
    sys.stdout.flush()
    return cli.main(arguments[1:])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
