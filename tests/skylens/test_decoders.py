"""Types that threads read for the first time at once, which ends the process where msgspec prepares them by itself."""

import subprocess
import sys

SCRIPT = """
import sys, threading, types
import msgspec
from skylens.decoders import decoder

PARTS, THREADS = 8, 8
SOURCE = "import msgspec\\n"
for part in range(PARTS):
    SOURCE += f"class Part{part}(msgspec.Struct):\\n    a: 'int'\\n    b: 'str | None' = None\\n"
SOURCE += "class Whole(msgspec.Struct):\\n" + "".join(f"    f{part}: 'Part{part}'\\n" for part in range(PARTS))
DATA = msgspec.json.encode({f"f{part}": {"a": part} for part in range(PARTS)})
sys.setswitchinterval(1e-6)
right = []

def read(kind, start):
    start.wait()
    right.append(decoder(kind).decode(DATA).f7.a == 7)

for turn in range(300):
    module = sys.modules[f"types{turn}"] = types.ModuleType(f"types{turn}")
    exec(SOURCE, module.__dict__)
    start = threading.Barrier(THREADS)
    threads = [threading.Thread(target=read, args=(module.Whole, start)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
assert right == [True] * (300 * THREADS)
"""


def test_threads_may_read_a_type_for_the_first_time_at_once():
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
