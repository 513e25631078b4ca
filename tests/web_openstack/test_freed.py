"""Memory that freed images leave behind, and what is not in memory at all."""

import subprocess
import sys

import psutil

from web_openstack import freed

IMAGES, SIZE = 2000, 30_000


def test_what_lies_between_things_still_in_use_goes_back_to_the_system():
    here = psutil.Process()
    images = [bytes([number % 256]) * SIZE for number in range(IMAGES)]
    del images[::2]
    before = here.memory_info().rss
    freed.give_back()
    assert before - here.memory_info().rss > IMAGES * SIZE / 4


def test_a_c_library_without_the_call_is_left_alone(monkeypatch):
    monkeypatch.setattr(freed, "_trim", None)
    freed.give_back()


def test_only_who_asks_an_issuer_or_keystone_has_an_http_client_for_it_in_memory():
    look = "import sys, web_openstack.main; print(sorted(sys.modules.keys() & {'httpcore2', 'web_openstack.fetch'}))"
    assert subprocess.check_output([sys.executable, "-c", look], text=True).strip() == "[]"
