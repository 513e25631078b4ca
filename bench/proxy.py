"""What a connection costs the proxy's memory, by what its client does; Caddy's beside it, where that is installed.

Prints the KB of each, medians of fresh processes, and their ratio.
"""

import contextlib
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "playbooks"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "skylens"))
from port_suite import until
from real_proxy import Proxied, running, write_certificate, write_configuration
from service_manager import ServiceManager

CLIENTS, ROUNDS, WINDOW = 1000, 3, 4096
AT_REST = 3.0
"""Percent of a core."""
HOST = b" HTTP/1.1\r\nHost: localhost\r\n"
KINDS = {
    "idle": b"",
    "8 KiB of headers that do not end": b"GET /" + HOST + b"X: " + 8192 * b"a",
    "tiny headers that do not end": b"GET /" + HOST + 90 * b"a:b\r\n",
    "an upload that stalls": b"POST /v1/images" + HOST + b"Content-Length: 900000\r\n\r\n" + 50000 * b"x",
    "answers that nobody takes": 40 * (b"GET /page" + HOST + b"\r\n"),
}
CADDYFILE = """\
{{
	admin off
	auto_https off
	servers {{
		protocols h1
	}}
}}
:{port} {{
	tls {folder}/tls.pem {folder}/tls-key.pem
	reverse_proxy 127.0.0.1:{public}
}}
"""


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The process and its children."""
    own = psutil.Process(process.pid)
    return [own, *own.children()]


def resident(process: subprocess.Popen[bytes]) -> int:
    """Bytes of all of them, once they have nothing more to do."""
    until(lambda: all(one.cpu_percent(interval=0.5) < AT_REST for one in family(process)))
    return sum(one.memory_info().rss for one in family(process))


@contextlib.contextmanager
def caddy(folder: Path, proxied: Proxied, public: int) -> Iterator[subprocess.Popen[bytes]]:
    """Caddy before the same web tier, with nothing but what it needs."""
    (folder / "Caddyfile").write_text(CADDYFILE.format(port=proxied.port, folder=folder, public=public))
    command = ["caddy", "run", "--config", folder / "Caddyfile", "--adapter", "caddyfile"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_up(proxied))
        yield process
    finally:
        process.terminate()
        process.wait()


def is_up(proxied: Proxied) -> bool:
    """Whether it takes connections."""
    with contextlib.suppress(OSError), proxied.connect("http/1.1"):
        return True
    return False


def cost(proxied: Proxied, process: subprocess.Popen[bytes], sent: bytes) -> float:
    """KB that each of many clients takes that send this and then nothing."""
    with contextlib.ExitStack() as links:
        links.enter_context(proxied.connect("http/1.1"))
        before = resident(process)
        crowd = [links.enter_context(proxied.connect("http/1.1", window=WINDOW)) for _ in range(CLIENTS)]
        for one in crowd:
            one.sendall(sent)
        return (resident(process) - before) / CLIENTS / 1000


def main() -> None:
    """Measure and print."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * CLIENTS, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    names = ["HAProxy", *(["Caddy"] if shutil.which("caddy") else [])]
    found: dict[tuple[str, str], list[float]] = {(kind, name): [] for kind in KINDS for name in names}
    with tempfile.TemporaryDirectory() as made, ServiceManager(Path(made)) as manager:
        folder = Path(made)
        write_certificate(folder)
        proxied = Proxied(folder, manager)
        public = manager.listen("public")
        path = write_configuration(
            folder,
            proxied.port,
            public,
            public,
            skylens_web_settings={"max_waits": 2 * CLIENTS},
            web_host_found={"stdout_lines": ["memory 16000000"]},
            skylens_address_connections=2 * CLIENTS,
        )
        proxied.start_backend(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for number, (kind, sent) in enumerate(ROUNDS * list(KINDS.items())):
            print(f"\r{number + 1} of {ROUNDS * len(KINDS)}", end="", file=sys.stderr, flush=True)
            with running(folder, path, manager) as process:
                found[kind, "HAProxy"].append(cost(proxied, process, sent))
            if "Caddy" in names:
                with caddy(folder, proxied, public) as process:
                    found[kind, "Caddy"].append(cost(proxied, process, sent))
        proxied.stop_backend()
    print(f"\rKB of memory for a connection, medians of {ROUNDS} rounds with {CLIENTS} each\n")
    for kind in KINDS:
        values = {name: statistics.median(found[kind, name]) for name in names}
        ratio = f"{values['Caddy'] / values['HAProxy']:.1f} times as much" if "Caddy" in values else ""
        print(f"{kind:34}", *(f"{name} {value:6.1f}  " for name, value in values.items()), ratio)


if __name__ == "__main__":
    main()
