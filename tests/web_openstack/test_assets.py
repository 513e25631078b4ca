"""The page and its files, as browsers need them."""

import re

import pytest

from web_openstack.app import PAGE

TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def test_the_page_is_served_with_a_strict_policy(web):
    answer = web.client.simulate_get("/")
    assert answer.headers["Content-Type"].startswith("text/html")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("file", [path for path in PAGE.rglob("*") if path.suffix in TYPES], ids=lambda path: path.name)
def test_every_file_of_the_page_has_its_type(web, file):
    answer = web.client.simulate_get(f"/page/{file.relative_to(PAGE)}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].partition(";")[0] == TYPES[file.suffix]


def test_whatever_the_page_names_is_there(web):
    for name in re.findall(r'(?:src|href)="(/page/[^"]+)"', web.client.simulate_get("/").text):
        assert web.client.simulate_get(name).status_code == 200


@pytest.mark.parametrize("path", ["/page/../app.py", "/page/%2e%2e/app.py", "/page//etc/passwd", "/page/none.js"])
def test_nothing_else_is(web, path):
    assert web.client.simulate_get(path).status_code == 404
