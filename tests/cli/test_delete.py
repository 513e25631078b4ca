"""``skylens delete``: each job, one line, and an exit status for all."""

from skylens.cli import main
from tests.cli.scripted import result


def test_each_job_is_deleted_and_one_that_is_not_known_is_said(service, capsys):
    service.results = {name: result(name, "0" * 64) for name in ("one", "two", "three")}
    assert main(["delete", "one", "two", "--url", service.url]) == 0
    assert capsys.readouterr().out == "one: deleted\ntwo: deleted\n"
    assert main(["delete", "never", "a/b\n", "three", "--url", service.url]) == 1
    said = capsys.readouterr()
    assert said.out == "three: deleted\n"
    assert said.err == "never: no such job here\na/b\\n: 'a/b\\\\n' is not the id of a job, which is a UUID\n"
    assert service.results == {}
