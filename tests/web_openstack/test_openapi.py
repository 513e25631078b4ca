"""The hand-written description and the routes are the same set."""

import json

import falcon.inspect
from openapi_spec_validator import validate

from web_openstack.app import create_app

NAMES = {"{job}": "{id}", "{batch}": "{id}"}


def described(web):
    return json.loads(web.client.simulate_get("/openapi.json").text)


def test_it_is_a_valid_openapi_document(web):
    validate(described(web))


def test_every_route_and_method_is_described_and_every_description_is_served(web):
    routes = set()
    for route in falcon.inspect.inspect_app(create_app(web.deps)).routes:
        path = route.path
        for ours, theirs in NAMES.items():
            path = path.replace(ours, theirs)
        routes |= {(path, method.method.lower()) for method in route.methods if not method.internal}
    paths = {(path, method) for path, item in described(web)["paths"].items() for method in item}
    assert routes == paths
