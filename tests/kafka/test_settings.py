from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fraudstream.errors import SettingError
from fraudstream.processes import process_birth
from fraudstream.settings import Secret, load_settings

SASL = {
    "FRAUDSTREAM_SECURITY_PROTOCOL": "SASL_SSL",
    "FRAUDSTREAM_SASL_MECHANISM": "SCRAM-SHA-512",
    "FRAUDSTREAM_SASL_USERNAME": "scorer",
    "FRAUDSTREAM_SASL_PASSWORD": "hunter2-secret",
}


def record_broker(folder: Path, pid: int, birth: str | None) -> None:
    record = folder / ".fraudstream" / "kafka" / "broker.json"
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(f'{{"bootstrap_servers": "127.0.0.1:7777", "pid": {pid}, "birth": "{birth}"}}')


def test_each_source_wins_over_the_ones_behind_it_and_says_its_name(tmp_path: Path) -> None:
    import os

    settings = load_settings({}, environ={}, folder=tmp_path)
    assert (settings.bootstrap_servers, settings.origin("bootstrap_servers")) == ("localhost:9092", "the default")

    record_broker(tmp_path, os.getpid(), process_birth(os.getpid()))
    settings = load_settings({}, environ={}, folder=tmp_path)
    assert settings.bootstrap_servers == "127.0.0.1:7777"
    assert "running local broker" in settings.origin("bootstrap_servers")

    (tmp_path / "fraudstream.toml").write_text('[kafka]\nbootstrap_servers = "file:1"\n')
    settings = load_settings({}, environ={}, folder=tmp_path)
    assert settings.bootstrap_servers == "file:1"
    assert "fraudstream.toml" in settings.origin("bootstrap_servers")

    environ = {"FRAUDSTREAM_BOOTSTRAP_SERVERS": "env:1"}
    settings = load_settings({}, environ=environ, folder=tmp_path)
    assert settings.bootstrap_servers == "env:1"
    assert "FRAUDSTREAM_BOOTSTRAP_SERVERS" in settings.origin("bootstrap_servers")

    settings = load_settings({"bootstrap_servers": "flag:1"}, environ=environ, folder=tmp_path)
    assert (settings.bootstrap_servers, settings.origin("bootstrap_servers")) == (
        "flag:1",
        "the flag --bootstrap-servers",
    )


def test_the_record_of_a_broker_that_is_gone_is_not_believed(tmp_path: Path) -> None:
    import os

    record_broker(tmp_path, os.getpid(), "born at another time")
    assert load_settings({}, environ={}, folder=tmp_path).bootstrap_servers == "localhost:9092"


def test_a_secret_never_shows_itself(tmp_path: Path) -> None:
    settings = load_settings({}, environ=SASL, folder=tmp_path)
    assert settings.sasl_password is not None
    assert settings.sasl_password.reveal() == "hunter2-secret"
    shown = f"{settings!r} {settings} {settings.sasl_password} {settings.sasl_password!r:>5} {vars(settings)}"
    assert "hunter2" not in shown
    import pickle

    with pytest.raises(TypeError):
        pickle.dumps(Secret("x"))


def test_a_secret_is_read_from_the_file_a_setting_names(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2-secret\n")
    (tmp_path / "fraudstream.toml").write_text('[kafka]\nsasl_password_file = "password"\n')
    environ = {k: v for k, v in SASL.items() if "PASSWORD" not in k}
    settings = load_settings({}, environ=environ, folder=tmp_path)
    assert settings.sasl_password == Secret("hunter2-secret")
    assert "sasl_password_file" in settings.origin("sasl_password")


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[kafka]\nbootstrap_server = "x"\n', "Did you mean kafka.bootstrap_servers?"),
        ('projectfolder = "x"\n', "Did you mean project_folder?"),
        ('[kafka]\nsasl_password = "hunter2"\n', "FRAUDSTREAM_SASL_PASSWORD"),
        ('[kafka]\nsecurity_protocol = "TLS"\n', "SASL_SSL"),
        ("[kafka]\nbootstrap_servers = 9092\n", "must be a text"),
        ('[kafka.properties]\nsasl.password = "hunter2"\n', "FRAUDSTREAM_SASL_PASSWORD"),
        ('[kafka.properties]\nisolation.level = "read_uncommitted"\n', "cannot be set"),
        ("[kafka\n", "must be TOML"),
        ('[kafka]\ntls_ca_file = "nowhere.pem"\n', "nowhere.pem"),
        ('[kafka]\nsasl_mechanism = "PLAIN"\n', "would not use it"),
        ('[kafka]\nsecurity_protocol = "SASL_SSL"\n', "sasl_mechanism and sasl_username and sasl_password are missing"),
    ],
)
def test_a_wrong_file_is_an_error_that_says_where_and_what_to_do(tmp_path: Path, toml: str, says: str) -> None:
    (tmp_path / "fraudstream.toml").write_text(toml)
    with pytest.raises(SettingError) as caught:
        load_settings({}, environ={}, folder=tmp_path)
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_variable_is_an_error_and_a_foreign_one_is_not(tmp_path: Path) -> None:
    load_settings({}, environ={"FRAUDSTREAM_CACHE_DIR": "/tmp/x", "FRAUDSTREAM_FAILPOINTS": "1"}, folder=tmp_path)
    with pytest.raises(SettingError, match="Did you mean FRAUDSTREAM_BOOTSTRAP_SERVERS"):
        load_settings({}, environ={"FRAUDSTREAM_BOOTSTRAP_SERVER": "x:1"}, folder=tmp_path)


def test_a_secret_or_an_unknown_name_among_the_flags_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="list of processes"):
        load_settings({"sasl_password": "hunter2"}, environ={}, folder=tmp_path)
    with pytest.raises(SettingError, match="Did you mean client_id"):
        load_settings({"clientid": "x"}, environ={}, folder=tmp_path)


def test_extra_properties_reach_the_client_from_every_source(tmp_path: Path) -> None:
    from fraudstream.kafka.client import client_config

    (tmp_path / "fraudstream.toml").write_text("[kafka.properties]\nsocket.timeout.ms = 1500\nlog.queue = true\n")
    config = client_config(load_settings({}, environ={}, folder=tmp_path))
    assert (config["socket.timeout.ms"], config["log.queue"]) == ("1500", "true")
    environ = {"FRAUDSTREAM_KAFKA_PROPERTIES": "socket.timeout.ms=2000, debug=broker"}
    config = client_config(load_settings({}, environ=environ, folder=tmp_path))
    assert (config["socket.timeout.ms"], config["debug"]) == ("2000", "broker")


def test_sasl_settings_become_the_librdkafka_properties(tmp_path: Path) -> None:
    from fraudstream.kafka.client import client_config

    config = client_config(load_settings({}, environ=SASL, folder=tmp_path))
    assert config["security.protocol"] == "SASL_SSL"
    assert config["sasl.mechanisms"] == "SCRAM-SHA-512"
    assert config["sasl.password"] == "hunter2-secret"


def test_reading_settings_does_not_load_the_kafka_client() -> None:
    code = "import sys, fraudstream.settings; sys.exit('confluent_kafka' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
