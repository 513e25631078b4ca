"""The example environment has every option and no other; the collections are those that the locked package carries."""

import json
import re
from importlib.metadata import version
from pathlib import Path

import ansible_collections
import pytest
import yaml
from playbook import PLAYBOOKS, run

EXAMPLE = PLAYBOOKS / "inventories" / "example"
ROLE = PLAYBOOKS / "roles" / "skylens"
DEFAULTS = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())
OPTIONS = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
TEXT = (EXAMPLE / "group_vars" / "all" / "main.yml").read_text()
SET = yaml.safe_load(TEXT)
SHOWN = yaml.safe_load("\n".join(re.findall(r"^# (skylens_\w+: .*)$", TEXT, re.MULTILINE)))
REQUIRED = yaml.safe_load((PLAYBOOKS / "requirements.yml").read_text())["collections"]


def test_the_example_has_every_option_once_and_no_other():
    assert not set(SET) & set(SHOWN)
    assert set(SET) | set(SHOWN) == set(OPTIONS)


@pytest.mark.parametrize("name", SHOWN)
def test_what_the_example_shows_behind_a_hash_is_the_default(name):
    assert SHOWN[name] == DEFAULTS[name]


def test_every_option_is_explained_and_typed():
    assert [name for name, option in OPTIONS.items() if not {"type", "description"} <= set(option)] == []


def test_the_vault_example_has_every_secret_of_the_example():
    vault = yaml.safe_load((EXAMPLE / "group_vars" / "all" / "vault.yml.example").read_text())
    assert set(vault) == set(re.findall(r"\bvault_\w+", TEXT))


def test_the_example_passes_once_its_secrets_are_there(tmp_path):
    (tmp_path / "check.yml").write_text(
        "- name: Check\n  hosts: localhost\n  gather_facts: false\n  roles: [skylens]\n"
    )
    (tmp_path / "group_vars").symlink_to(PLAYBOOKS / "group_vars")
    secrets = {
        "skylens_source": str(PLAYBOOKS.parent),
        "vault_api_keys": ["lab:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"],
        "vault_smoke_key": "key",
    }
    env = {"ANSIBLE_ROLES_PATH": str(PLAYBOOKS / "roles")}
    done = run(tmp_path / "check.yml", SET, env, "-e", json.dumps(secrets), folder=tmp_path)
    assert done.rc == 0, done.output
    assert done.stats["localhost"]["changed"] == 0


def test_no_play_uses_a_name_that_a_user_could_not_know_to_be_free():
    """Any other name with skylens_ would be refused as a slip of the user's."""
    used = set()
    for path in [*PLAYBOOKS.rglob("*.yml"), *PLAYBOOKS.rglob("*.j2")]:
        used |= set(re.findall(r"\bskylens_[a-z0-9_]+\b(?!/)", path.read_text()))
    filters = {path.stem for path in (ROLE / "filter_plugins").glob("*.py")}
    filters |= set(re.findall(r'"(skylens_\w+)":', "".join(path.read_text() for path in ROLE.rglob("*.py"))))
    role = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
    derived = set().union(*(yaml.safe_load(path.read_text()) for path in (PLAYBOOKS / "group_vars").rglob("*.yml")))
    assert used - set(OPTIONS) - filters - derived - set(role["skylens_found"]) - set(role["skylens_internal"]) == set()


@pytest.mark.parametrize("collection", REQUIRED, ids=lambda collection: collection["name"])
def test_requirements_have_the_versions_that_the_ansible_package_carries(collection):
    places = [Path(place) / collection["name"].replace(".", "/") for place in ansible_collections.__path__]
    manifest = next(place / "MANIFEST.json" for place in places if place.is_dir())
    assert json.loads(manifest.read_text())["collection_info"]["version"] == collection["version"]


def test_every_collection_that_is_used_is_required():
    text = "\n".join(path.read_text() for path in PLAYBOOKS.rglob("*.yml") if "inventories" not in path.parts)
    used = set(re.findall(r"^\s*(?:- )?(?:\{name: .*?, )?([a-z]+\.[a-z]+)\.\w+:", text, re.MULTILINE)) - {
        "ansible.builtin"
    }
    assert used <= {collection["name"] for collection in REQUIRED}


def test_the_lock_of_the_control_node_has_this_ansible():
    assert f"ansible=={version('ansible')} " in (PLAYBOOKS.parent / "requirements" / "deploy.txt").read_text()
