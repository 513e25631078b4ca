"""Memory that freed images leave behind."""

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
