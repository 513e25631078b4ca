"""Settings refuse to start on anything wrong, and say which variable, which value and what would be right."""

import hashlib
import os
import re

import pytest
from pydantic import ValidationError

from skylens.errors import SettingsError
from skylens.settings import PREFIX, TIERS, ScalerSettings, Settings, WebSettings, WorkerSettings, load

KEY = "acme:" + hashlib.sha256(b"the key").hexdigest()


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No setting from outside the test."""
    for name in list(os.environ):
        if name.startswith(PREFIX) or name == "CREDENTIALS_DIRECTORY":
            monkeypatch.delenv(name)


@pytest.fixture
def credentials(tmp_path, monkeypatch):
    """The folder that systemd makes for LoadCredential."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


@pytest.mark.parametrize("tier", TIERS)
def test_every_tier_starts_without_any_setting(tier):
    assert load(tier).deployment == "skylens"


@pytest.mark.parametrize(
    ("tier", "name", "value", "right"),
    [
        (WebSettings, "DEPLOYMENT", "My Cloud", "pattern"),
        (WebSettings, "LISTEN", "8080", "pattern"),
        (WebSettings, "LISTEN", "127.0.0.1:99999", "up to 65535"),
        (WebSettings, "MAX_WAITS", "0", "greater than or equal to 1"),
        (WebSettings, "MAX_WAITS", "many", "valid integer"),
        (WebSettings, "PLAIN_DOOR", "perhaps", "valid boolean"),
        (WebSettings, "RETENTION_HOURS", "0", "greater than 0"),
        (WebSettings, "RATE_LIMIT", "100/fortnight", "pattern"),
        (WorkerSettings, "VISIBILITY_TIMEOUT", "43201", "less than or equal to 43200"),
        (WorkerSettings, "LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        (ScalerSettings, "POLICY", "hope", "'greedy'"),
        (ScalerSettings, "WEB_NODES", "10.0.0.1:8081", "http://host:port"),
    ],
)
def test_a_wrong_value_names_the_variable_the_value_and_what_is_right(monkeypatch, tier, name, value, right):
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsError) as refused:
        load(tier)
    assert f"SKYLENS_{name}=" in refused.value.detail
    assert value in refused.value.detail
    assert right in refused.value.detail


def test_all_wrong_values_are_named_at_once(monkeypatch):
    monkeypatch.setenv("SKYLENS_MAX_WAITS", "0")
    monkeypatch.setenv("SKYLENS_REGION", "moon")
    with pytest.raises(SettingsError, match=r"(?s)(?=.*SKYLENS_MAX_WAITS)(?=.*SKYLENS_REGION)"):
        load(WebSettings)


@pytest.mark.parametrize(
    ("tier", "values", "said"),
    [
        (WebSettings, {"MAX_IMAGE_BYTES": "4096", "MAX_BODY_BYTES": "2048"}, "max_image_bytes 4096 must not exceed"),
        (WebSettings, {"WAIT_SECONDS": "60", "MAX_WAIT_SECONDS": "30"}, "wait_seconds 60"),
        (WebSettings, {"LISTEN": "127.0.0.1:1", "INTERNAL_LISTEN": "127.0.0.1:1"}, "must differ"),
        (WebSettings, {"LISTEN": "0.0.0.0:8080"}, "set api_keys or keys_file, oidc_issuer or keystone_url"),
        (WebSettings, {"OIDC_ISSUER": "https://idp.example"}, "oidc_audience '': set both, or neither"),
        (WebSettings, {"OIDC_AUDIENCE": "skylens"}, "oidc_issuer is '' and oidc_audience 'skylens': set both"),
        (ScalerSettings, {"MINIMUM": "5", "MAXIMUM": "4"}, "minimum 5 must not exceed maximum 4"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(monkeypatch, tier, values, said):
    for name, value in values.items():
        monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsError, match=re.escape(said)):
        load(tier)


def test_a_public_door_opens_with_keys_or_when_told_to(monkeypatch):
    monkeypatch.setenv("SKYLENS_LISTEN", "0.0.0.0:8080")
    assert load(WebSettings, api_keys=(KEY,)).listen == "0.0.0.0:8080"
    assert load(WebSettings, keys_file="/etc/skylens/keys.json").api_keys == ()
    assert load(WebSettings, keystone_url="https://keystone.example:5000/v3").api_keys == ()
    assert load(WebSettings, oidc_issuer="https://idp.example/realms/lab", oidc_audience="skylens").api_keys == ()
    assert load(WebSettings, open_door=True).api_keys == ()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.8.9.1:1", "localhost:1", "[::1]:1"])
def test_loopback_needs_no_keys(monkeypatch, address):
    monkeypatch.setenv("SKYLENS_LISTEN", address)
    assert load(WebSettings).listen == address


def test_a_wrong_secret_is_never_shown(monkeypatch):
    monkeypatch.setenv("SKYLENS_API_KEYS", "acme:the-key-itself")
    with pytest.raises(SettingsError) as refused:
        load(WebSettings)
    assert "SKYLENS_API_KEYS=(hidden)" in refused.value.detail
    assert "SHA-256" in refused.value.detail
    assert "the-key-itself" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_an_unknown_variable_suggests_the_near_one(monkeypatch):
    monkeypatch.setenv("SKYLENS_MAX_WAIT", "3")
    with pytest.raises(SettingsError, match=r"SKYLENS_MAX_WAIT is not a setting; did you mean SKYLENS_MAX_WAITS\?"):
        load(WorkerSettings)


def test_an_unknown_variable_like_no_other_is_refused_all_the_same(monkeypatch):
    monkeypatch.setenv("SKYLENS_" + 40 * "Q", "1")
    with pytest.raises(SettingsError, match=r"SKYLENS_Q{40} is not a setting$"):
        load(WorkerSettings)


def test_a_variable_of_another_tier_is_no_fault(monkeypatch):
    monkeypatch.setenv("SKYLENS_MAXIMUM", "3")
    assert load(WebSettings)
    assert load(ScalerSettings).maximum == 3


@pytest.mark.parametrize("name", ["SKYLENS_API_KEYS", "skylens_api_keys"])
def test_a_systemd_credential_is_a_setting(credentials, name):
    (credentials / name).write_text(KEY + "\n")
    assert load(WebSettings).api_keys == (KEY,)


def test_a_credential_of_another_service_is_passed_over(credentials):
    (credentials / "tls.key").write_text("x")
    assert load(WebSettings).api_keys == ()


def test_a_wrong_credential_is_refused_and_hidden(credentials):
    (credentials / "SKYLENS_API_KEYS").write_text("the-key-itself")
    with pytest.raises(SettingsError, match=r"SKYLENS_API_KEYS=\(hidden\)") as refused:
        load(WebSettings)
    assert "the-key-itself" not in str(refused.value)


def test_explicit_beats_environment_beats_credential_beats_default(credentials, monkeypatch):
    assert load(WebSettings).max_waits == 1024
    (credentials / "SKYLENS_MAX_WAITS").write_text("10")
    assert load(WebSettings).max_waits == 10
    monkeypatch.setenv("SKYLENS_MAX_WAITS", "20")
    assert load(WebSettings).max_waits == 20
    assert load(WebSettings, max_waits=30).max_waits == 30


@pytest.mark.parametrize("text", ["http://a:1,http://b:2", "http://a:1 http://b:2", " http://a:1,\n http://b:2 "])
def test_words_are_separated_by_commas_or_white_space(monkeypatch, text):
    monkeypatch.setenv("SKYLENS_WEB_NODES", text)
    assert load(ScalerSettings).web_nodes == ("http://a:1", "http://b:2")


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError):
        load(WebSettings).max_waits = 3


def test_names_carry_the_deployment():
    settings = Settings(deployment="blue", output_bucket="elsewhere")
    assert settings.bucket("input") == "blue-input"
    assert settings.bucket("output") == "elsewhere"
    assert settings.queue("requests") == "blue-requests"
    assert ScalerSettings(deployment="blue").template() == "blue-worker"


def test_two_web_processes_of_one_host_have_different_names():
    names = {WebSettings(listen=f"127.0.0.1:{port}").node_name() for port in (8080, 8090)}
    assert len(names) == 2
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name) for name in names)
    assert WebSettings(node="web-1").node_name() == "web-1"


def test_a_webhook_secret_is_read_from_a_credential_and_shown_nowhere(credentials):
    secret = "whsec_" + "c2VjcmV0" * 4
    (credentials / "skylens_webhook_secrets").write_text(f"acme:{secret}\nother:{secret}\n")
    settings = load(WebSettings)
    assert settings.webhook_secrets == (f"acme:{secret}", f"other:{secret}")
    assert secret not in repr(settings)
    (credentials / "skylens_webhook_secrets").write_text(f"acme:{secret} acme:{secret[:-9]}")
    with pytest.raises(SettingsError, match=r"SKYLENS_WEBHOOK_SECRETS=\(hidden\): each entry must be tenant:whsec_"):
        load(WebSettings)


def test_http_for_webhooks_wants_a_network_that_it_is_for():
    with pytest.raises(SettingsError, match="webhook_http=true is for webhook_networks alone"):
        load(WebSettings, webhook_http=True)
    assert load(WebSettings, webhook_http=True, webhook_networks="10.2.0.0/16, fd00::/8").webhook_networks == (
        "10.2.0.0/16",
        "fd00::/8",
    )
