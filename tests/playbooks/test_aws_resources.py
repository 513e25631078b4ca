"""Buckets, queues and roles, made by the playbooks in the emulators."""

import json
import stat
from datetime import UTC, datetime, timedelta

import pytest
from aws_emulators import Deployment, emulated
from botocore.exceptions import ClientError
from cfnlint import api as cfnlint
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from playbook import PLAYBOOKS

pytestmark = pytest.mark.nightly

ROLES = ("aws_storage", "aws_queues", "aws_access")
HELPER = {"skylens_signing_helper": "/usr/local/bin/aws_signing_helper", "skylens_signing_helper_sha256": "0" * 64}
BUCKETS = ["alpha-input", "alpha-output", "alpha-state"]
TAG = {"Key": "skylens:deployment", "Value": "alpha"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with emulated(tmp_path_factory.mktemp("emulators")) as variables:
        yield variables


@pytest.fixture(scope="module")
def empty(cloud, tmp_path_factory):
    """A deployment that nothing was made of: its roles only ran in check mode."""
    settings = {"skylens_retention_hours": 30, "skylens_settings": {"visibility_timeout": 45}, **HELPER}
    deployment = Deployment(tmp_path_factory.mktemp("alpha"), cloud, "alpha", **settings)
    deployment.checked = deployment.play(*ROLES, check=True)
    deployment.found = [
        *deployment.client("s3").list_buckets()["Buckets"],
        *deployment.client("sqs").list_queues().get("QueueUrls", []),
        *deployment.client("iam").list_roles()["Roles"],
        *deployment.client("cloudformation").list_stacks()["StackSummaries"],
        *deployment.folder.glob("secrets"),
    ]
    return deployment


@pytest.fixture(scope="module")
def made(empty):
    """The same deployment, made."""
    empty.play(*ROLES)
    return empty


def test_check_mode_on_an_empty_cloud_tells_changes_and_makes_nothing(empty):
    assert empty.checked.stats["localhost"]["changed"] > 0
    assert empty.found == []


def test_a_second_run_changes_nothing(made):
    again = made.play(*ROLES)
    assert again.stats["localhost"]["changed"] == 0, again.output


def test_check_mode_on_what_is_made_tells_no_change_but_the_emulators_own(made):
    """The emulator finds a change in every change set, so the two stacks count."""
    checked = made.play(*ROLES, check=True)
    assert checked.stats["localhost"]["changed"] == 2, checked.output


@pytest.mark.parametrize("bucket", BUCKETS)
def test_a_bucket_is_private_encrypted_versioned_and_tagged(made, bucket):
    s3 = made.client("s3")
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert len(block) == 4
    assert all(block.values())
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    (rule,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rule["ObjectOwnership"] == "BucketOwnerEnforced"
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == [TAG]
    (statement,) = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert statement["Resource"] == [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]


def expiring(made, bucket):
    """Prefix -> days, and whether old versions and unfinished uploads go after a day."""
    rules = made.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert all(rule["Status"] == "Enabled" for rule in rules)
    (rest,) = [rule for rule in rules if "Expiration" not in rule]
    assert rest["Filter"] == {"Prefix": ""}
    assert rest["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
    assert rest["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}
    return {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in rules if "Expiration" in rule}


def test_what_is_kept_for_thirty_hours_expires_after_two_days_and_no_lease_or_dead_letter_ever(made):
    assert expiring(made, "alpha-input") == {"": 2}
    assert expiring(made, "alpha-output") == {"": 2}
    assert expiring(made, "alpha-state") == {"batches/": 2, "idempotency/": 2, "deleted/": 2, "webhooks/": 2}


def attributes(made, queue):
    sqs = made.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {TAG["Key"]: TAG["Value"]}
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]


@pytest.mark.parametrize("queue", ["alpha-requests", "alpha-requests-dead", "alpha-events"])
def test_a_queue_is_encrypted_and_refuses_what_comes_without_tls(made, queue):
    found = attributes(made, queue)
    assert found["SqsManagedSseEnabled"] == "true"
    (statement,) = json.loads(found["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    assert statement["Resource"] == found["QueueArn"]


def test_requests_go_to_the_dead_letters_after_five_receives_and_nothing_else_does(made):
    requests, dead, events = (attributes(made, f"alpha-{name}") for name in ("requests", "requests-dead", "events"))
    redrive = json.loads(requests["RedrivePolicy"])
    assert (redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])) == (dead["QueueArn"], 5)
    allowed = json.loads(dead["RedriveAllowPolicy"])
    assert allowed == {"redrivePermission": "byQueue", "sourceQueueArns": [requests["QueueArn"]]}
    for other in (requests, events):
        assert json.loads(other["RedriveAllowPolicy"]) == {"redrivePermission": "denyAll"}
    assert "RedrivePolicy" not in events


def test_what_was_set_on_a_reply_queue_is_taken_back(made):
    sqs, queue = made.client("sqs"), "alpha-replies-web-1-8080"
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "sqs:ReceiveMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
    theirs = {"Policy": policy, "DelaySeconds": "900"}
    url = sqs.create_queue(QueueName=queue, Attributes=theirs, tags={TAG["Key"]: "another"})["QueueUrl"]
    made.play("aws_queues")
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found.get("Policy", ""), found["DelaySeconds"]) == ("", "0")
    assert json.loads(found["RedriveAllowPolicy"]) == {"redrivePermission": "denyAll"}
    assert made.play("aws_queues").stats["localhost"]["changed"] == 0


def test_times_of_queues_are_those_declared_and_set(made):
    requests, dead, events = (attributes(made, f"alpha-{name}") for name in ("requests", "requests-dead", "events"))
    assert requests["VisibilityTimeout"] == "45"
    assert int(dead["MessageRetentionPeriod"]) > int(requests["MessageRetentionPeriod"])
    assert events["MessageRetentionPeriod"] == "300"


@pytest.mark.parametrize("name", ["alpha-web", "alpha-scaler", "alpha-worker"])
def test_a_role_has_its_own_policy_and_nothing_more(made, name):
    iam = made.client("iam")
    (policy,) = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert policy["PolicyName"] == name
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []
    assert iam.list_role_tags(RoleName=name)["Tags"] == [TAG]
    assert iam.list_policy_tags(PolicyArn=policy["PolicyArn"])["Tags"] == [TAG]


def trust(made, name):
    (statement,) = made.client("iam").get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    return statement


def test_only_ec2_takes_the_workers_role(made):
    assert trust(made, "alpha-worker")["Principal"] == {"Service": "ec2.amazonaws.com"}
    profile = made.client("iam").get_instance_profile(InstanceProfileName="alpha-worker")["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] == ["alpha-worker"]


def anywhere(made):
    return json.loads((made.secrets / "roles-anywhere.json").read_text())


@pytest.mark.parametrize("tier", ["web", "scaler"])
def test_only_the_holder_of_the_tiers_certificate_takes_its_role(made, tier):
    statement = trust(made, f"alpha-{tier}")
    assert statement["Principal"] == {"Service": "rolesanywhere.amazonaws.com"}
    assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    assert statement["Condition"] == {
        "StringEquals": {
            "aws:PrincipalTag/x509Subject/CN": f"alpha-{tier}",
            "aws:PrincipalTag/x509Subject/OU": generation(made, tier),
        },
        "ArnEquals": {"aws:SourceArn": anywhere(made)["trust_anchor_arn"]},
    }
    assert ":trust-anchor/" in anywhere(made)["trust_anchor_arn"]
    assert anywhere(made)["profiles"][tier]["role_arn"].endswith(f":role/alpha-{tier}")
    assert ":profile/" in anywhere(made)["profiles"][tier]["profile_arn"]


def generation(made, tier):
    """As the tier's certificate says it."""
    (unit,) = certificate(made, f"aws-{tier}").subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return unit.value


def certificate(made, name):
    return x509.load_pem_x509_certificate((made.secrets / f"{name}.pem").read_bytes())


def test_the_authority_that_aws_is_told_of_signs_and_nobody_elses_certificate_does(made):
    authority = certificate(made, "aws-ca")
    (told,) = [
        parameter["ParameterValue"]
        for parameter in made.client("cloudformation").describe_stacks(StackName="alpha-trust-anchor")["Stacks"][0][
            "Parameters"
        ]
        if parameter["ParameterKey"] == "Authority"
    ]
    assert x509.load_pem_x509_certificate(told.encode()) == authority
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert authority.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


@pytest.mark.parametrize("tier", ["web", "scaler"])
def test_a_tiers_certificate_is_its_own_and_good_for_a_year(made, tier):
    found = certificate(made, f"aws-{tier}")
    found.verify_directly_issued_by(certificate(made, "aws-ca"))
    assert found.subject.rfc4514_string() == f"OU={generation(made, tier)},CN=alpha-{tier}"
    assert found.version is x509.Version.v3
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert found.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    left = found.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=360) < left < timedelta(days=366)
    key = load_pem_private_key((made.secrets / f"aws-{tier}-key.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.public_key() == found.public_key()


def wanted(made, tier):
    """The generation that the tier's role asks for."""
    return trust(made, f"alpha-{tier}")["Condition"]["StringEquals"]["aws:PrincipalTag/x509Subject/OU"]


def test_a_rotation_locks_out_who_has_the_certificates_of_before(made):
    before = {tier: generation(made, tier) for tier in ("web", "scaler")}
    authority = certificate(made, "aws-ca")
    made.play("aws_access", extra={"aws_access_rotate": True})
    after = {tier: generation(made, tier) for tier in before}
    assert {tier: wanted(made, tier) for tier in before} == after
    assert len({*before.values(), *after.values()}) == 4
    assert certificate(made, "aws-ca") == authority
    again = made.play("aws_access")
    assert again.stats["localhost"]["changed"] == 0, again.output


def test_a_certificate_of_before_there_were_generations_is_replaced(made):
    """Its key stays, which its holder has anyhow; but AWS refuses it."""
    path, key = made.secrets / "aws-web.pem", made.secrets / "aws-web-key.pem"
    path.write_bytes(without_generation(made, key))
    secret = key.read_bytes()
    made.play("aws_access")
    assert key.read_bytes() == secret
    assert wanted(made, "web") == generation(made, "web")


def without_generation(made, key):
    authority, now = certificate(made, "aws-ca"), datetime.now(UTC)
    builder = x509.CertificateBuilder(
        issuer_name=authority.subject,
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alpha-web")]),
        public_key=load_pem_private_key(key.read_bytes(), None).public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now,
        not_valid_after=now + timedelta(days=300),
    )
    signer = load_pem_private_key((made.secrets / "aws-ca-key.pem").read_bytes(), None)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_nobody_else_may_read_what_is_secret(made):
    assert stat.S_IMODE(made.secrets.stat().st_mode) == 0o700
    keys = list(made.secrets.glob("*-key.pem"))
    assert len(keys) == 3
    assert all(stat.S_IMODE(key.stat().st_mode) == 0o600 for key in keys)


@pytest.mark.parametrize("name", ["trust-anchor.yml", "profiles.yml"])
def test_cloudformation_would_take_the_stacks(name):
    """By CloudFormation's own schemas of these types, which the emulator does not have."""
    template = (PLAYBOOKS / "roles" / "aws_access" / "files" / name).read_text()
    faults = cfnlint.lint(template, config=cfnlint.ManualArgs(regions=["us-east-1"]))
    assert [str(fault) for fault in faults] == []


# -- keys in place of certificates ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keyed(cloud, tmp_path_factory):
    settings = {"skylens_aws_credentials": "key", **HELPER}
    deployment = Deployment(tmp_path_factory.mktemp("beta"), cloud, "beta", **settings)
    deployment.play("aws_access")
    return deployment


def in_aws(keyed, tier="web"):
    return [
        key["AccessKeyId"] for key in keyed.client("iam").list_access_keys(UserName=f"beta-{tier}")["AccessKeyMetadata"]
    ]


def in_file(keyed, tier="web"):
    file = keyed.secrets / f"aws-{tier}.ini"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = dict(line.split(" = ") for line in file.read_text().splitlines()[1:])
    assert lines["aws_secret_access_key"]
    return lines["aws_access_key_id"]


def test_a_user_has_one_key_and_the_file_has_it(keyed):
    for tier in ("web", "scaler"):
        assert in_aws(keyed, tier) == [in_file(keyed, tier)]
        (policy,) = keyed.client("iam").list_attached_user_policies(UserName=f"beta-{tier}")["AttachedPolicies"]
        assert policy["PolicyName"] == f"beta-{tier}"


def test_a_second_run_makes_no_other_key(keyed):
    before = in_file(keyed)
    again = keyed.play("aws_access")
    assert again.stats["localhost"]["changed"] == 0, again.output
    assert in_aws(keyed) == [before]


def test_a_key_whose_file_is_lost_is_replaced_and_the_next_rotation_keeps_that_of_the_file(keyed):
    lost = in_file(keyed)
    (keyed.secrets / "aws-web.ini").unlink()
    keyed.play("aws_access")
    old = in_file(keyed)
    assert set(in_aws(keyed)) == {lost, old}
    printed = keyed.play("aws_access", extra={"aws_access_rotate": True}).output
    new = in_file(keyed)
    assert set(in_aws(keyed)) == {old, new}
    assert new not in printed
    keyed.play("aws_access")
    assert in_aws(keyed) == [new]


def test_who_turns_to_certificates_keeps_no_key(keyed):
    keyed.settings = HELPER
    keyed.play("aws_access")
    with pytest.raises(ClientError, match="NoSuchEntity"):
        keyed.client("iam").get_user(UserName="beta-web")
    assert not list(keyed.secrets.glob("*.ini"))
    assert trust(keyed, "beta-web")["Principal"] == {"Service": "rolesanywhere.amazonaws.com"}
