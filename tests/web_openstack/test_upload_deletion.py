"""A direct upload whose image is deleted: nothing of it comes back, though its invitation is still good."""

from deletions import beside, delete
from uploading import DATA, stored, submit

from skylens.fakes import aws_error


def test_deleted_it_stays_deleted_though_the_invitation_is_still_good(web):
    name = stored(web)
    job = submit(web, name).json["id"]
    assert delete(web, job).status_code == 204
    assert web.inputs.objects == {}
    web.inputs.put(f"default/uploads/{name}", DATA, "image/png")
    web.requests.messages.clear()
    submit(web, name)
    assert web.client.simulate_get(f"/v1/images/{job}").status_code == 410
    assert web.taken() == []


def test_deleted_while_another_node_takes_it_in_again_its_bytes_do_not_come_back(web, make_web):
    other, name = beside(web, make_web()), stored(web)
    job = submit(web, name).json["id"]
    web.inputs.put(f"default/uploads/{name}", DATA, "image/png")
    copy = other.inputs.copy

    def copies(source, key):
        assert delete(other, job).status_code == 204
        return copy(source, key)

    other.inputs.copy = copies
    submit(other, name)
    assert web.inputs.objects == {}
    assert other.client.simulate_get(f"/v1/images/{job}").status_code == 410


def test_deleted_what_was_stored_goes_too_though_it_could_not_be_cleared(web):
    name, another = stored(web), stored(web)
    web.inputs.script.fail("delete", aws_error("SlowDown", 503))
    job = submit(web, name).json["id"]
    assert f"default/uploads/{name}" in web.inputs.objects
    assert delete(web, job).status_code == 204
    assert list(web.inputs.objects) == [f"default/uploads/{another}"]
