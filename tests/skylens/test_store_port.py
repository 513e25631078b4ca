"""A bucket, over the fake and over S3: see conftest."""

import pytest
from port_suite import DEADLINE, together, until

from skylens.errors import MessageError
from skylens.store import RECORD, S3Store


def test_an_object_is_read_as_it_was_written_and_replaced_whole(store):
    assert store.get("a/b") is None
    assert store.size("a/b") is None
    store.put("a/b", b"\x00first\xff" * 1000, "image/png")
    assert store.get("a/b").data == b"\x00first\xff" * 1000
    assert store.size("a/b") == len(store.get("a/b").data)
    before = store.get("a/b").etag
    store.put("a/b", b"", "image/png")
    assert store.get("a/b").data == b""
    assert store.get("a/b").etag != before


def test_of_an_object_larger_than_asked_for_nothing_is_read(store):
    store.put("large", b"x" * (RECORD + 1), "text/plain")
    with pytest.raises(MessageError, match=rf"'large' has {RECORD + 1:,} bytes; at most {RECORD:,} are read"):
        store.get("large")
    assert len(store.get("large", RECORD + 1).data) == RECORD + 1
    store.put("large", b"x" * RECORD, "text/plain")
    assert len(store.get("large").data) == RECORD


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(store):
    store.put("k", b"x", "text/plain")
    store.delete("k")
    store.delete("k")
    assert store.get("k") is None


def test_a_copy_has_the_same_bytes_and_of_nothing_there_is_none(store):
    store.put("from", b"x", "text/plain")
    assert store.copy("from", "to") is True
    assert store.get("to").data == b"x"
    assert store.copy("nothing", "to") is False
    assert store.get("to").data == b"x"


def test_keys_come_in_order_from_past_the_given_one_and_only_under_the_prefix(store):
    names = [f"in/{number:02}" for number in range(12)]
    for name in reversed(["im/1", *names, "in0", "jn/1"]):
        store.put(name, b"", "text/plain")
    assert list(store.keys("in/")) == names
    assert list(store.keys("in/", after="in/07")) == names[8:]
    assert list(store.keys("in/", after="in/11")) == []
    assert list(store.keys("nothing/")) == []


def test_keys_that_are_no_paths_and_prefixes_that_are_no_folders_are_listed_too(store):
    names = ["odd/1", "odd//2", "odd/../4", "odd/5%2F", "odd/6"]
    for name in names:
        if isinstance(store, S3Store):
            store._client.put_object(Bucket=store.bucket, Key=name, Body=b"")
        else:
            store.put(name, b"", "text/plain")
    assert list(store.keys("odd/")) == sorted(names)
    assert list(store.keys("odd/", after="odd/1")) == sorted(names)[sorted(names).index("odd/1") + 1 :]
    assert list(store.keys("od")) == sorted(names)
    assert list(store.keys("odd/5")) == ["odd/5%2F"]


def test_writing_only_if_missing_succeeds_once(store):
    etag = store.put_if("lease", b"one", "text/plain", etag=None)
    assert etag == store.get("lease").etag
    assert store.put_if("lease", b"two", "text/plain", etag=None) is None
    assert store.get("lease").data == b"one"


def test_writing_only_if_unchanged_needs_the_current_version(store):
    old = store.put_if("lease", b"one", "text/plain", etag=None)
    new = store.put_if("lease", b"two", "text/plain", etag=old)
    assert new
    assert store.put_if("lease", b"three", "text/plain", etag=old) is None
    assert store.get("lease").data == b"two"
    store.delete("lease")
    assert store.put_if("lease", b"four", "text/plain", etag=new) is None
    assert store.get("lease") is None


@pytest.mark.parametrize("held", [False, True])
def test_of_many_conditional_writers_exactly_one_wins(store, held):
    etag = store.put_if("lease", b"old", "text/plain", etag=None) if held else None
    answers = together(
        [lambda n=number: store.put_if("lease", f"{n}".encode(), "text/plain", etag=etag) for number in range(8)]
    )
    (winner,) = [number for number, answer in enumerate(answers) if answer]
    assert store.get("lease").data == str(winner).encode()
    assert store.get("lease").etag == answers[winner]


def test_an_object_ages_by_the_stores_own_clock_and_is_young_again_when_rewritten(store):
    store.put("k", b"x", "text/plain")
    assert 0 <= store.get("k").age < DEADLINE
    old = until(lambda: (age := store.get("k").age) >= 2 and age)
    store.put("k", b"y", "text/plain")
    assert store.get("k").age < old


def test_the_first_bytes_of_an_object_are_read_alone(store):
    store.put("a", b"0123456789", "text/plain")
    store.put("empty", b"", "text/plain")
    assert store.start("a", 4) == b"0123"
    assert store.start("a", 100) == b"0123456789"
    assert store.start("empty", 4) == b""
    assert store.start("missing", 4) is None
