"""Who may have one more of what all tenants share: images that wait for an answer, places to wait in. Pure."""

from typing import NamedTuple


class Standing(NamedTuple):
    """How much of it a tenant has, how much all have together, and how many tenants have any, this one counted."""

    own: int
    all: int
    tenants: int


def may_enter(standing: Standing, room: float) -> bool:
    """Whether the tenant may have one more, when there is room for ``room`` of them.

    As long as there is room, anybody may, so a tenant alone may have it all. Where there is none, a tenant below an
    equal share may all the same: the others have what is its, and get no more until they have given it back.
    """
    return standing.all + 1 <= room or standing.own + 1 <= room / standing.tenants
