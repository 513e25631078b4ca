"""The server around the application: waiting clients, broken requests, slow uploads, and a drain that loses nobody."""

import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from web_tier import multipart, picture

from skylens.errors import SettingsError
from web_openstack import server

PNG = {"Content-Type": "image/png"}


def connect(made):
    return http.client.HTTPConnection("127.0.0.1", int(made.effective_port), timeout=60)


def ask(made, method, path, body=None, headers=None):
    link = connect(made)
    link.request(method, path, body, headers or {})
    answer = link.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def until(condition):
    for _ in range(2000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not come to pass")


def test_health_answers_while_every_slot_waits(make_web, serve):
    web = make_web(max_waits=40)
    made, _ = serve(web)
    with ThreadPoolExecutor(40) as pool:
        waiting = [
            pool.submit(ask, made, "POST", "/v1/images", picture(), PNG | {"Prefer": "wait=60"}) for _ in range(40)
        ]
        until(lambda: len(web.taken()) == 40)
        assert ask(made, "GET", "/healthz")[0] == 200
        status, headers, _ = ask(made, "POST", "/v1/images", picture(), PNG)
        assert (status, headers["Retry-After"]) == (503, "1")
        for request in web.taken():
            web.deps.jobs.settle(web.reply(request))
        assert [done.result()[0] for done in waiting] == [200] * 40


def test_a_drain_answers_every_waiting_client_and_then_ends(make_web, serve):
    web = make_web(max_waits=30)
    made, thread = serve(web)
    body, headers = multipart(("myfile", "a.png", picture()))
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(ask, made, "POST", "/v1/images", picture(), PNG) for _ in range(10)]
        plain = [pool.submit(ask, made, "POST", "/", body, headers) for _ in range(10)]
        until(lambda: len(web.taken()) == 20)
        made.stop()
        answers = [done.result() for done in waiting]
        assert {(status, json.loads(text)["status"]) for status, _, text in answers} == {(202, "working")}
        assert {answer.result()[0] for answer in plain} == {503}
    thread.join(30)
    assert not thread.is_alive()
    with pytest.raises(OSError, match="refused"):
        ask(made, "GET", "/healthz")


def test_a_body_beyond_the_limit_is_a_problem_document(make_web, serve):
    made, _ = serve(make_web(max_image_bytes=2048, max_body_bytes=4096))
    link = connect(made)
    link.putrequest("POST", "/v1/images")
    link.putheader("Content-Type", "image/png")
    link.putheader("Content-Length", "10000000000")
    link.endheaders()
    answer = link.getresponse()
    assert (answer.status, answer.getheader("Content-Type")) == (413, "application/problem+json")
    assert json.loads(answer.read())["status"] == 413


@pytest.mark.parametrize(
    "raw",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: nonsense\r\n\r\n",
        b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnot-hex\r\n",
    ],
)
def test_broken_http_is_refused_and_the_server_lives(web, serve, raw):
    made, _ = serve(web)
    with socket.create_connection(("127.0.0.1", int(made.effective_port)), timeout=20) as link:
        link.sendall(raw)
        status = link.recv(65536).split(b"\r\n")[0].split()[1]
    assert 400 <= int(status) < 600
    assert ask(made, "GET", "/healthz")[0] == 200


def test_a_chunked_upload_is_an_upload(web, serve):
    made, _ = serve(web)
    link = connect(made)
    data = picture(size=(300, 200))
    chunks = (data[start : start + 7] for start in range(0, len(data), 7))
    link.request("POST", "/v1/images", chunks, PNG | {"Prefer": "respond-async"}, encode_chunked=True)
    assert link.getresponse().status == 202
    assert web.inputs.objects[web.taken()[0].key][0] == data


def test_a_slow_upload_holds_no_thread_and_is_answered(make_web, serve):
    web = make_web(max_waits=1)
    made, _ = serve(web)
    data = picture()
    links = [socket.create_connection(("127.0.0.1", int(made.effective_port)), timeout=20) for _ in range(30)]
    head = "POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nPrefer: respond-async\r\n"
    head += f"Content-Length: {len(data)}\r\n\r\n"
    for link in links:
        link.sendall(head.encode() + data[:10])
    assert ask(made, "POST", "/v1/images", data, PNG | {"Prefer": "respond-async"})[0] == 202
    links[0].sendall(data[10:])
    assert b" 202 " in links[0].recv(65536).split(b"\r\n")[0]
    for link in links:
        link.close()


def test_a_client_that_left_frees_its_slot(make_web, serve, monkeypatch):
    monkeypatch.setattr("web_openstack.waiters.LOOK", 0.05)
    web = make_web(max_waits=1)
    made, _ = serve(web)
    link = connect(made)
    link.request("POST", "/v1/images", picture(), PNG | {"Prefer": "wait=60"})
    until(web.taken)
    assert ask(made, "POST", "/v1/images", picture(), PNG)[0] == 503
    link.close()
    until(lambda: ask(made, "POST", "/v1/images", picture(), PNG | {"Prefer": "respond-async"})[0] == 202)


def test_it_refuses_to_start_without_enough_open_files(monkeypatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    with pytest.raises(SettingsError, match="SKYLENS_MAX_WAITS=1024 needs 2440 open files"):
        server.allow_files(1024, 192)
    raised = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr("resource.setrlimit", lambda *limit: raised.append(limit[1]))
    server.allow_files(1024, 192)
    assert raised == [(4096, 4096)]


def test_requests_behind_each_other_keep_the_main_loop_from_nothing(web, serve):
    """Each turn lets those go on that were told before it, not those that are told meanwhile."""
    made, _ = serve(web)

    class Endless:
        _fileno = None
        turns = 0

        def go_on(self):
            self.turns += 1
            if self.turns < 10_000:
                made.tell(self)

    turns = []
    made._turned = lambda: turns.append(endless.turns)
    endless = Endless()
    made.tell(endless)
    until(lambda: endless.turns == 10_000)
    assert len(set(turns)) > 5_000
    assert ask(made, "GET", "/healthz")[0] == 200


def test_stopping_twice_is_harmless(web, serve):
    made, thread = serve(web)
    made.stop()
    thread.join(30)
    made.stop()


def test_a_stopping_server_answers_what_was_on_its_way_and_then_lets_go(web, serve, monkeypatch):
    monkeypatch.setattr(server, "LINGER", 15.0)
    made, thread = serve(web)
    kept, fresh = connect(made), connect(made)
    kept.request("GET", "/healthz")
    assert kept.getresponse().read()
    fresh.connect()
    until(lambda: len(made.active_channels) == 2)
    made.stop()
    until(lambda: not made.accepting)
    for link in (kept, fresh):
        link.request("POST", "/v1/images", picture(), PNG | {"Prefer": "respond-async"})
        answer = link.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (202, "close")
        answer.read()
    thread.join(30)
    assert not thread.is_alive()


def test_a_drain_waits_for_an_upload_that_has_begun(web, serve, monkeypatch):
    monkeypatch.setattr(server, "LINGER", 0.0)
    made, thread = serve(web)
    data = picture()
    with socket.create_connection(("127.0.0.1", int(made.effective_port)), timeout=20) as link:
        link.sendall(
            f"PUT /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:10]
        )
        until(lambda: [channel for channel in made.active_channels.values() if channel.request])
        made.stop()
        until(web.deps.admission.draining.is_set)
        link.sendall(data[10:])
        assert link.recv(65536).startswith(b"HTTP/1.1 405 ")
    thread.join(30)
    assert not thread.is_alive()


def test_what_comes_while_no_server_runs_is_answered_by_the_next_one_on_the_same_socket(make_web, serve):
    with socket.create_server(("127.0.0.1", 0)) as held:
        first, thread = serve(make_web(), held.dup())
        assert ask(first, "GET", "/healthz")[0] == 200
        first.stop()
        thread.join(30)
        waiting = http.client.HTTPConnection("127.0.0.1", held.getsockname()[1], timeout=60)
        waiting.request("GET", "/healthz")
        second, _ = serve(make_web(), held.dup())
        assert waiting.getresponse().status == 200
        assert (second.address, first.effective_port) == (
            f"http://127.0.0.1:{first.effective_port}",
            second.effective_port,
        )


def test_the_main_loop_turns_with_and_without_clients(web, serve):
    made, _ = serve(web)
    turns = []
    made._turned = lambda: turns.append(len(turns))
    until(lambda: len(turns) > 1)
    assert ask(made, "GET", "/healthz")[0] == 200


def test_a_key_in_the_path_of_a_request_that_broke_is_in_no_log(caplog):
    def broken(_environ, _start_response):
        raise RuntimeError("outside of Falcon")

    made = server.public(broken, "127.0.0.1:0", slots=1, max_body=1024, trusted_proxy="")
    thread = threading.Thread(target=made.serve, args=(lambda: None, 20))
    thread.start()
    secret = "sk_0123abcd_" + "a" * 64
    status, *_ = ask(made, "GET", f"/v1/{secret}")
    made.stop()
    thread.join(60)
    assert status == 500
    assert "Exception while serving /v1/sk_0123abcd_(hidden)" in caplog.text
    assert secret not in caplog.text
