"""Where webhooks may go: nothing but public addresses and named networks, however a URL is written."""

import random
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest

from skylens.errors import BadRequestError
from skylens.settings import WebSettings, load
from web_openstack.webhooks.addresses import is_public
from web_openstack.webhooks.target import LONGEST, Rules, Target

PUBLIC = Rules()
LAB = Rules((ip_network("10.2.0.0/16"), ip_network("fd00:7::/32")))
LOOSE = Rules(LAB.networks, plain=True)

PRIVATE = [
    "0.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:8.8.8.8",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::8.8.8.8",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a00:1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2606:4700::5efe:127.0.0.1",
    "2606:4700::200:5efe:10.0.0.1",
    "3ffe::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
OPEN = ["1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.15.255.255"]
OPEN += ["172.32.0.1", "192.167.255.255", "223.255.255.254", "2606:4700:4700::1111", "2a00:1450:4001::1"]


def url(address):
    return f"https://[{address}]/hook" if ":" in address else f"https://{address}/hook"


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address):
    assert not is_public(ip_address(address))
    with pytest.raises(BadRequestError, match="not an address that webhooks may go to"):
        PUBLIC.parse(url(address))


@pytest.mark.parametrize("address", OPEN)
def test_a_public_address_is_taken(address):
    assert PUBLIC.parse(url(address)) == Target("https", address, 443, "/hook")


def test_no_address_is_public_here_that_python_knows_as_anything_else():
    chance = random.Random(1)
    for _ in range(20_000):
        four, six = IPv4Address(chance.getrandbits(32)), IPv6Address(chance.getrandbits(128))
        near = IPv4Address(int(ip_address(chance.choice(PRIVATE[:23]))) ^ chance.getrandbits(8))
        for address in (four, six, near):
            if is_public(address):
                others = (address.is_multicast, address.is_reserved, address.is_link_local)
                assert (address.is_global, *others) == (True, False, False, False), address


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0X7F000001",
        "017700000001",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "0x7f.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.",
        "127.0.0.0x1",
        "1.2.3.4.5",
        "256.0.0.1",
        "8.8.8.8.",
        "0",
        "0x",
        "foo.0x",
        "foo.1",
        "[::ffff:127.1]",
        "[127.0.0.1]",
        "[1:2]",
        "[::1.]",
        "localhost.",
        "example.com.",
        ".example.com",
        "example..com",
        "-a.example",
        "a-.example",
        "a" * 64 + ".example",
    ],
)
def test_a_host_in_an_unusual_form_is_refused(host):
    with pytest.raises(BadRequestError, match=r"no address in its usual form|no name in the DNS"):
        PUBLIC.parse(f"https://{host}/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "https://",
        "https:///path",
        "//example.com/",
        "example.com/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "https:example.com",
        "https:\\\\example.com\\",
        "https://example.com\\@10.0.0.1/",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1#@example.com/",
        "https://example.com/#fragment",
        "https://example.com:443:80/",
        "https://example.com:/",
        "https://example.com:+443/",
        "https://example.com:\u0664\u0664\u0663/",
        "https://example.com: 443/",
        " https://example.com/",
        "https://example.com/ ",
        "https://example.com/a b",
        "https://example.com/\r\nHost: 10.0.0.1",
        "https://exam\tple.com/",
        "https://example.com\x00.evil/",
        "https://example.com%2f@10.0.0.1/",
        "https://%31%32%37.0.0.1/",
        "https://[::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[::1/",
        "https://::1/",
        "https://[v1.a]/",
        "https://b\u00fccher.example/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54/",
        "https://127\u30020\u30020\u30021/",
        "https://ex_ample.com/",
        "https://example.com/\u00fc",
        "https://example.com/<script>",
        "https://a.example/1, https://b.example/2",
        "https://example.com/" + "a" * LONGEST,
    ],
)
def test_what_anybody_could_read_in_another_way_is_refused(text):
    with pytest.raises(BadRequestError, match=r"must be https://host/path|no name in the DNS"):
        LOOSE.parse(text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("https://example.com", Target("https", "example.com", 443, "/")),
        ("HTTPS://EXAMPLE.com/Hook", Target("https", "example.com", 443, "/Hook")),
        ("https://example.com:8443/a%20b?x=1&y=2", Target("https", "example.com", 8443, "/a%20b?x=1&y=2")),
        ("https://example.com?token=1", Target("https", "example.com", 443, "/?token=1")),
        ("https://xn--bcher-kva.example/", Target("https", "xn--bcher-kva.example", 443, "/")),
        ("https://localhost/", Target("https", "localhost", 443, "/")),  # its address is looked at before each attempt
        ("https://0x7f.example/", Target("https", "0x7f.example", 443, "/")),
    ],
)
def test_a_usual_url_is_taken_apart(text, target):
    assert PUBLIC.parse(text) == target


@pytest.mark.parametrize(
    "text", ["http://example.com/", "https://example.com:80/", "https://example.com:22/", "http://8.8.8.8/"]
)
@pytest.mark.parametrize("rules", [PUBLIC, LAB])
def test_only_https_and_two_ports_are_taken(text, rules):
    with pytest.raises(BadRequestError, match="taken are https and the ports 443 and 8443"):
        rules.parse(text)


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_no_port_outside_of_what_ports_are_is_taken(port):
    with pytest.raises(BadRequestError, match="port"):
        LOOSE.parse(f"https://10.2.0.1:{port}/")


def test_a_named_network_may_be_reached_and_its_neighbours_may_not():
    assert LAB.parse("https://10.2.255.1/").host == "10.2.255.1"
    assert LAB.parse("https://[fd00:7::1]/").host == "fd00:7::1"
    for address in ("10.3.0.1", "fd00:8::1", "::ffff:10.2.0.1", "64:ff9b::10.2.0.1"):
        with pytest.raises(BadRequestError):
            LAB.parse(url(address))


def test_http_and_other_ports_are_for_named_networks_alone():
    assert LOOSE.parse("http://10.2.0.1:8080/") == Target("http", "10.2.0.1", 8080, "/")
    for text in ("http://10.2.0.1/", "https://10.2.0.1:8080/"):
        with pytest.raises(BadRequestError):
            LAB.parse(text)
    for text in ("http://8.8.8.8/", "https://8.8.8.8:8080/", "http://10.3.0.1/"):
        with pytest.raises(BadRequestError):
            LOOSE.parse(text)
    named = LOOSE.parse("http://receiver.lab:8080/")
    assert LOOSE.allows(named, ip_address("10.2.0.1"))
    assert not LOOSE.allows(named, ip_address("8.8.8.8"))


def test_the_settings_say_what_is_allowed():
    rules = Rules.of(load(WebSettings, webhook_networks="10.2.0.0/16 fd00:7::/32", webhook_http=True))
    assert rules == LOOSE
    assert Rules.of(load(WebSettings)) == PUBLIC


def test_a_refusal_does_not_repeat_the_path():
    for text in ("https://127.0.0.1/secret?token=secret", "http://example.com/secret", "https://u:secret@example.com/"):
        with pytest.raises(BadRequestError) as refused:
            PUBLIC.parse(text)
        assert "secret" not in refused.value.detail
