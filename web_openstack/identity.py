"""Under which name this web process is known: its reply queue's, and what the autoscaler calls it.

On OpenStack it is the name that Nova has for the server. A restart asks again; should the answer then be another name,
or none, nothing is lost: the clients of the old process went with it, its answers are in the output bucket, and its
reply queue is swept an hour later. So a start waits for Nova only a little.
"""

import socket
from collections.abc import Callable, Sequence

from skylens import logs
from skylens.clock import Clock
from skylens.errors import UnavailableError
from skylens.nova import Node, Nova, SdkNova, web_nodes
from skylens.settings import WebSettings

log = logs.get(__name__)

PATIENCE, PAUSE = 10.0, 2.0
"""Seconds after which Nova is not asked again, and between two tries; the last may take its own timeouts more."""
ID_LETTERS = 8


def identified(settings: WebSettings) -> WebSettings:
    """The settings with this process's name in ``node``. Raises SettingsError when clouds.yaml lacks the cloud."""
    if settings.node or not settings.nova_cloud:
        return settings
    machine = ask(SdkNova(settings.nova_cloud), settings, Clock())
    return settings.model_copy(update={"node": settings.node_name(machine)})


def ask(nova: Nova, settings: WebSettings, clock: Clock, *, own: Callable[[str], bool] | None = None) -> str:
    """This machine's name as Nova knows it; empty, with a warning, when it does not say. ``own``: see ``is_own``."""
    deadline, detail = clock.ticks() + PATIENCE, ""
    while True:
        try:
            nodes = web_nodes(nova.servers(), settings.deployment)
        except UnavailableError as error:
            detail = error.detail
        else:
            mine = [node for node in nodes if (own or is_own)(node.address)]
            if len(mine) == 1:
                return unique(mine[0], nodes, settings)
            detail = f"{len(mine)} of the {len(nodes)} web nodes in Nova have an address of this machine"
            break
        if clock.ticks() + PAUSE > deadline:
            break
        clock.sleep(PAUSE)
    log.warning("web.unidentified", node=settings.node_name(), trouble=detail)
    return ""


def unique(own: Node, nodes: Sequence[Node], settings: WebSettings) -> str:
    """The server's name; with the start of its id, where another node's would become the same queue."""
    name = settings.node_name(own.name)
    if all(node.id == own.id or settings.node_name(node.name) != name for node in nodes):
        return own.name
    return f"{own.name[:25]}-{own.id[:ID_LETTERS]}"


def is_own(address: str) -> bool:
    """Whether this machine has that IPv4 address: only then can a socket be bound to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
    return True
