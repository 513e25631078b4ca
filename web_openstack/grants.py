"""What others' words for rights, a JWT's scopes or Keystone's roles, let do here."""

from collections.abc import Iterable, Sequence
from typing import cast

from web_openstack.callers import Scope


class Grants:
    def __init__(self, entries: Sequence[str]) -> None:
        """``entries``: ``word=scope+scope`` each, as the settings check them; of a word in two, all scopes."""
        pairs = [entry.split("=") for entry in entries]
        self._granted = [(word, frozenset(scopes.split("+"))) for word, scopes in pairs]

    def scopes(self, words: Iterable[str]) -> frozenset[Scope]:
        """Those of all ``words`` together; of none that is known, none."""
        shown = set(words)
        found = frozenset[str]().union(*(scopes for word, scopes in self._granted if word in shown))
        return cast("frozenset[Scope]", found)
