"""A page of another site neither sends nor deletes through a door that asks nobody for a key."""

import pytest
from web_tier import picture

PNG = {"Content-Type": "image/png", "Prefer": "respond-async"}
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example", "Host": "127.0.0.1:8080"},
    {"Sec-Fetch-Site": "cross-site", "Host": "127.0.0.1:8080"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000", "Host": "localhost:8080"},
    {"Origin": "http://evil.example", "Host": "127.0.0.1:8080"},
    {"Origin": "http://localhost:3000", "Host": "localhost:8080"},
    {"Origin": "null", "Host": "127.0.0.1:8080"},
    {"Origin": "http://[", "Host": "127.0.0.1:8080"},
]
REBOUND = {"Origin": "http://evil.example:8080", "Host": "evil.example:8080"}
"""A name that was made to point to 127.0.0.1 after its page was loaded."""
OWN = [
    {"Host": "127.0.0.1:8080"},
    {"Host": "localhost:8080"},
    {"Host": "[::1]:8080"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"},
    {"Sec-Fetch-Site": "none", "Host": "localhost:8080"},
    {"Origin": "http://127.0.0.1:8080", "Host": "127.0.0.1:8080"},
    {"Origin": "http://localhost:8080", "Host": "localhost:8080"},
    {"Origin": "http://[::1]:8080", "Host": "[::1]:8080"},
]


@pytest.mark.parametrize("headers", [*FOREIGN, REBOUND])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/images"), ("POST", "/"), ("DELETE", "/v1/images/x")])
def test_a_page_of_another_site_is_refused_and_nothing_is_taken_in(web, method, path, headers):
    answer = web.client.simulate_request(method, path, body=picture(), headers=PNG | headers)
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")
    assert (web.inputs.objects, web.taken()) == ({}, [])


@pytest.mark.parametrize("path", ["/", "/v1/status", "/v1/images/x", "/healthz"])
@pytest.mark.parametrize("host", ["evil.example:8080", "127.0.0.1.evil.example", "10.0.0.7", "localhost.", "["])
def test_by_a_name_that_was_made_to_point_here_nothing_is_read(web, path, host):
    answer = web.client.simulate_get(path, headers={"Host": host})
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


@pytest.mark.parametrize("headers", OWN)
def test_the_doors_own_page_and_programs_send_and_delete(web, headers):
    answer = web.client.simulate_post("/v1/images", body=picture(), headers=PNG | headers)
    assert answer.status_code == 202
    assert web.client.simulate_delete(f"/v1/images/{answer.json['id']}", headers=headers).status_code == 204


def test_a_door_that_was_opened_to_others_has_names_of_its_own(make_web):
    web = make_web(open_door=True, trusted_proxy="127.0.0.1")
    own = {"Origin": "https://label.example", "Host": "label.example"}
    assert web.client.simulate_post("/v1/images", body=picture(), headers=PNG | own).status_code == 202
    foreign = own | {"Origin": "https://evil.example"}
    assert web.client.simulate_post("/v1/images", body=picture(), headers=PNG | foreign).status_code == 403


def test_where_keys_are_asked_for_any_page_that_has_one_may_send(make_web):
    digest = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"  # of "key"
    web = make_web(api_keys=f"acme:{digest}")
    headers = PNG | FOREIGN[0] | {"Authorization": "Bearer key"}
    assert web.client.simulate_post("/v1/images", body=picture(), headers=headers).status_code == 202


def test_the_internal_address_of_one_machine_answers_to_no_other_name(web, make_web):
    for method, path in (("GET", "/internal/demand"), ("PUT", "/internal/fleet"), ("GET", "/metrics")):
        answer = web.internal.simulate_request(method, path, headers={"Host": "evil.example:8081"})
        assert answer.status_code == 403
    other = make_web(internal_listen="10.0.0.7:8081")
    assert other.internal.simulate_get("/internal/demand", headers={"Host": "node:8081"}).status_code == 200
