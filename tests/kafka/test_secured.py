"""A cluster that asks who we are: TLS, SCRAM, and a user that may do no more than docs/settings.md lists."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from fraudstream.kafka import brokerfiles, local
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.java import find_java
from fraudstream.settings import load_settings

Run = Callable[..., CompletedProcess[str]]
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"
USER, PASSWORD = "scorer", "correct-horse"
NAME = "account-transfers"
GROUP = f"fraudstream-{NAME}"
GRANTED = (
    ("topic", "queueing.transactions", "READ"),
    ("topic", "streaming.transactions.legit", "WRITE"),
    ("topic", "streaming.transactions.fraud", "WRITE"),
    ("topic", "fraud-dead-letters", "WRITE"),
    ("topic", "fraud-control", "READ"),
    ("group", GROUP, "READ"),
    ("transactional_id", GROUP, "WRITE"),
)


@dataclass(frozen=True)
class Secured:
    """Where the cluster listens, and whom it trusts."""

    inside: str
    outside: str
    authority: Path

    def environment(self, password: str = PASSWORD) -> dict[str, str]:
        """The settings of the restricted user."""
        return {
            "FRAUDSTREAM_BOOTSTRAP_SERVERS": self.outside,
            "FRAUDSTREAM_SECURITY_PROTOCOL": "SASL_SSL",
            "FRAUDSTREAM_SASL_MECHANISM": "SCRAM-SHA-512",
            "FRAUDSTREAM_SASL_USERNAME": USER,
            "FRAUDSTREAM_SASL_PASSWORD": password,
            "FRAUDSTREAM_TLS_CA_FILE": str(self.authority),
        }


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker with a second listener that wants TLS and a password, and lets its users do what they were granted."""
    folder = tmp_path_factory.mktemp("secured")
    store, authority = certificates(folder)
    (port,) = local._free_ports(None)[:1]
    plain = brokerfiles.server_properties

    def properties(data: Path, inside: int, controller: int) -> str:
        listener = f",SASL_SSL://127.0.0.1:{port}"
        lines = []
        for line in plain(data, inside, controller).splitlines():
            if line.startswith(("listeners=", "advertised.listeners=")):
                line += listener
            elif line.startswith("listener.security.protocol.map="):
                line += ",SASL_SSL:SASL_SSL"
            lines.append(line)
        return "\n".join(
            [
                *lines,
                f"ssl.keystore.location={store}",
                "ssl.keystore.password=secret-store",
                "ssl.keystore.type=PKCS12",
                "sasl.enabled.mechanisms=SCRAM-SHA-512",
                f"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={LOGIN} required;",
                "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users=User:ANONYMOUS",  # whoever comes in by the listener inside: the broker and this test
                "",
            ]
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "server_properties", properties)
        broker = local.LocalBroker(folder / "kafka", heap_mb=256)
        inside = broker.start().bootstrap_servers
    assert inside is not None
    try:
        grant(inside)
        yield Secured(inside, f"127.0.0.1:{port}", authority)
    finally:
        broker.clean(force=True)


def certificates(folder: Path) -> tuple[Path, Path]:
    """The broker's key store, and the certificate that vouches for it."""
    keytool = str(find_java().program.with_name("keytool"))
    store, authority = folder / "broker.p12", folder / "ca.pem"
    common = ("-keystore", str(store), "-storepass", "secret-store", "-alias", "broker")
    key = ("-keyalg", "EC", "-validity", "2", "-dname", "CN=localhost", "-ext", "SAN=ip:127.0.0.1")
    subprocess.run([keytool, "-genkeypair", *common, "-storetype", "PKCS12", *key], check=True, capture_output=True)
    exported = ("-exportcert", *common, "-rfc", "-file", str(authority))
    subprocess.run([keytool, *exported], check=True, capture_output=True)
    return store, authority


def grant(inside: str) -> None:
    """Makes the user and gives it its rights."""
    admin = AdminClient({"bootstrap.servers": inside})
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    made = admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, scram, PASSWORD.encode())])
    rights = [
        AclBinding(
            ResourceType[kind.upper()],
            name,
            ResourcePatternType.PREFIXED if kind == "transactional_id" else ResourcePatternType.LITERAL,
            f"User:{USER}",
            "*",
            AclOperation[right],
            AclPermissionType.ALLOW,
        )
        for kind, name, right in GRANTED
    ]
    for done in (*made.values(), *admin.create_acls(rights).values()):
        done.result(10)


@pytest.fixture(scope="module")
def transfers(secured: Secured, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Topics with some transfers in them, made by someone who may."""
    program = Path(sys.executable).with_name("fraudstream")
    folder = tmp_path_factory.mktemp("admin")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDSTREAM_")}
    for command in (["topics", "create", NAME], ["simulate", NAME, "--history", "1h", "--events", "500"]):
        subprocess.run(
            [program, *command, "-b", secured.inside], cwd=folder, env=clean, check=True, capture_output=True
        )


@pytest.mark.kafka
@pytest.mark.usefixtures("transfers")
def test_a_user_with_the_documented_rights_and_no_others_scores_over_tls(
    secured: Secured, fraudstream: Run, tmp_path: Path
) -> None:
    done = fraudstream("run", NAME, "--until-caught-up", env=secured.environment())
    assert done.returncode == 0, done.stderr
    settings = load_settings({"bootstrap_servers": secured.inside}, environ={}, folder=tmp_path)
    there = sum(KafkaAdmin(settings).end_offsets(["queueing.transactions"]).values())
    assert there > 100
    assert f" {there} events" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.kafka
@pytest.mark.usefixtures("transfers")
def test_the_doctor_finds_the_documented_rights_enough_and_names_one_that_is_missing(
    secured: Secured, fraudstream: Run
) -> None:
    done = fraudstream("doctor", NAME, env=secured.environment())
    assert "may read the inputs and write the outputs" in done.stdout
    assert f"made as {GROUP}-doctor" in done.stdout
    assert " ERROR" not in f" {done.stdout}"
    assert "may not be fraudstream-doctor" in fraudstream("doctor", env=secured.environment()).stdout
    admin = AdminClient({"bootstrap.servers": secured.inside})
    about = ("fraud-dead-letters", ResourcePatternType.LITERAL, f"User:{USER}", "*")
    right = AclBinding(ResourceType.TOPIC, *about, AclOperation.WRITE, AclPermissionType.ALLOW)
    other = AclBinding(ResourceType.TOPIC, *about, AclOperation.READ, AclPermissionType.ALLOW)
    gone = AclBindingFilter(ResourceType.TOPIC, *about, AclOperation.WRITE, AclPermissionType.ALLOW)
    try:
        for changed in (*admin.create_acls([other]).values(), *admin.delete_acls([gone]).values()):
            changed.result(10)
        done = fraudstream("doctor", NAME, env=secured.environment())
        assert done.returncode == 1
        assert "The user 'scorer' lacks WRITE on fraud-dead-letters." in done.stdout
    finally:
        admin.create_acls([right])[right].result(10)
    assert PASSWORD not in done.stdout + done.stderr


@pytest.mark.kafka
def test_what_the_user_may_not_do_is_said_with_its_name(secured: Secured, fraudstream: Run) -> None:
    done = fraudstream("topics", "create", "retail", env=secured.environment())
    assert done.returncode != 0
    assert "not permitted" in done.stderr
    assert "scorer" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"FRAUDSTREAM_SASL_PASSWORD": "wrong-battery"}, "sasl_username is 'scorer'"),
        ({"FRAUDSTREAM_TLS_CA_FILE": ""}, "certificate"),
        ({"FRAUDSTREAM_SECURITY_PROTOCOL": "PLAINTEXT"}, "would not use it"),
    ],
)
def test_a_wrong_password_authority_or_protocol_is_said_without_the_password(
    secured: Secured, fraudstream: Run, change: dict[str, str], said: str
) -> None:
    environment = {name: value for name, value in (secured.environment() | change).items() if value}
    done = fraudstream("topics", "list", env=environment)
    assert done.returncode != 0
    assert said in done.stderr
    assert PASSWORD not in done.stderr
    assert "wrong-battery" not in done.stderr
    assert "Traceback" not in done.stderr


def test_the_documented_rights_are_the_ones_tested() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "settings.md").read_text()
    section = page.partition("## What the user has to be allowed")[2].partition("\n## ")[0]
    assert section
    for kind in ("topic", "group", "transactional id"):
        assert kind in section
    named = {right for *_, right in GRANTED}
    assert named == {right for right in ("READ", "WRITE", "CREATE", "DESCRIBE", "ALTER") if f"`{right}`" in section}
