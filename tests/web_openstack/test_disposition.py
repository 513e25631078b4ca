"""The names in a client's ``Content-Disposition``."""

import encodings
import json

import pytest
from web_tier import multipart, picture

from skylens.errors import BadRequestError
from web_openstack.disposition import SEMICOLONS, names

MADE_UP = "no-such-character-set"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ("", None)),
        ("form-data", ("", None)),
        ('form-data; name="f"', ("f", None)),
        ('form-data; name="f"; filename=""', ("f", "")),
        ('form-data; name="f"; filename="a.png"', ("f", "a.png")),
        ('form-data; name="f"; filename="a;b\\"c.png"', ("f", 'a;b"c.png')),
        ("attachment; filename=a.png", ("", "a.png")),
        ("attachment; filename=a.png; filename*=UTF-8''k%C3%A4se%20.png", ("", "käse .png")),
        ("attachment; filename*=iso-8859-1'de-CH'k%e4se.png", ("", "käse.png")),
        ("attachment; filename*=utf-8''%ff.png", ("", "\ufffd.png")),
        (f"attachment; filename=a.png; filename*={MADE_UP}''b.png", ("", "a.png")),
        ("attachment; filename*=utf-8''", ("", None)),
    ],
)
def test_names(value, expected):
    assert names(value) == expected


def test_what_is_costly_to_read_is_refused():
    assert names('form-data; filename="' + ";" * (SEMICOLONS - 1) + '"').filename == ";" * (SEMICOLONS - 1)
    with pytest.raises(BadRequestError, match="more than 32 semicolons; give a shorter file name"):
        names('form-data; filename="' + ";" * SEMICOLONS + '"')


def body(extra):
    """A form with a picture whose file name is followed by ``extra``."""
    data, headers = multipart(("file", "a.png", picture()))
    return data.replace(b'filename="a.png"', b'filename="a.png"' + extra), headers


@pytest.mark.parametrize("path", ["/v1/images", "/v1/batches", "/"])
def test_a_form_with_a_costly_header_is_refused(web, path):
    data, headers = body(b'; x="' + b";" * 1900 + b'"')
    answer = web.client.simulate_post(path, body=data, headers=headers)
    assert answer.status_code == 400
    assert "more than 32 semicolons" in answer.text
    assert not web.taken()


def test_so_is_a_raw_image_with_one(web):
    headers = {"Content-Type": "image/png", "Content-Disposition": 'attachment; filename="' + ";" * 900 + '"'}
    assert web.client.simulate_post("/v1/images", body=picture(), headers=headers).status_code == 400
    assert not web.taken()


def test_a_character_set_that_a_client_made_up_is_not_looked_up(web):
    """Python keeps the name of each that it looked up, for ever."""
    before = dict(encodings._cache)
    data, headers = body(f"; filename*={MADE_UP}''b.png".encode())
    answer = web.client.simulate_post("/v1/batches", body=data, headers=headers)
    assert answer.status_code == 202
    assert [request.name for request in web.taken()] == ["a.png"]
    assert {name for name in encodings._cache if name not in before and MADE_UP in name} == set()
    assert json.loads(answer.text)["total"] == 1
