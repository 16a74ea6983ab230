from __future__ import annotations

import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from fraudstream.errors import BrokerUnreachable, ToolError, UsageError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.jars import fetch_kafka
from fraudstream.kafka.java import find_java
from fraudstream.kafka.local import LocalBroker
from fraudstream.kafka.transactions import TransactionalProducer, TransactionInDoubt
from fraudstream.settings import load_settings

Run = Callable[..., CompletedProcess[str]]


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.kafka
def test_the_broker_outlives_a_crash_with_its_topics_and_a_transaction_over_it_is_doubtful(tmp_path: Path) -> None:
    folder = tmp_path / ".fraudstream" / "kafka"
    local = LocalBroker(folder, heap_mb=256)
    assert local.status().state == "stopped"
    with pytest.raises(ToolError, match="kafka start"):
        _ = local.bootstrap
    fetch_kafka()
    try:
        began = time.monotonic()
        status = local.start()
        assert time.monotonic() - began < 15
        assert status.state == "running"
        assert local.bootstrap == status.bootstrap_servers
        assert os.getsid(status.pid or 0) != os.getsid(0), "Ctrl-C of this terminal must not reach the broker"
        settings = load_settings({}, environ={}, folder=tmp_path)
        assert settings.bootstrap_servers == status.bootstrap_servers
        KafkaAdmin(settings).create_topics({"kept": 3})

        assert local.start().pid == status.pid, "a second start finds the running broker"
        with pytest.raises(UsageError, match="--force"):
            local.clean()

        patient = {"transaction_timeout_ms": 60_000, "slow_commit_ms": 55_000}  # so that the clock has no say
        producer = TransactionalProducer(settings, "over-a-crash", **patient)
        producer.open()
        producer.begin()
        producer.send("kept", [b"x"])
        producer._producer.flush(10)
        other = TransactionalProducer(settings, "over-a-crash-too")
        other.open()
        other.begin()
        other.send("kept", [b"x"])
        os.kill(status.pid or 0, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while local.status().state != "crashed" and time.monotonic() < deadline:
            time.sleep(0.02)
        assert local.status().state == "crashed"

        began = time.monotonic()
        with pytest.raises(BrokerUnreachable, match="over-a-crash-too"):
            other.rebuild(1.0)
        with pytest.raises(TransactionInDoubt, match="rebuild failed"):
            other.begin()
        other.close()
        assert time.monotonic() - began < 5, "a producer in trouble must not hang on a broker that is gone"

        again = local.start()
        with pytest.raises(TransactionInDoubt, match=r"_TRANSPORT|_ALL_BROKERS_DOWN|connection"):
            producer.commit([], None)
        producer.rebuild()
        producer.close()
        assert again.bootstrap_servers == status.bootstrap_servers
        assert again.pid != status.pid
        assert KafkaAdmin(settings).topics()["kept"].partitions == 3
        assert local.stop().state == "stopped"
        assert "started" in again.log.read_text()
    finally:
        local.clean(force=True)
    assert not folder.exists()


def test_a_missing_java_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ToolError, match=r"Java was not found.*openjdk-17"):
        find_java()


def test_a_java_too_old_is_refused_by_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "bin" / "java", "echo 'openjdk version \"1.8.0_292\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ToolError, match="is Java 8; Kafka needs 17"):
        find_java()


def test_a_missing_maven_is_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAUDSTREAM_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"Maven \(mvn\) was not found.*apt install maven"):
        fetch_kafka()


def test_a_failing_maven_is_quoted_and_leaves_nothing_that_looks_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tmp_path / "bin" / "mvn", "echo '[INFO] noise'; echo '[ERROR] Could not transfer artifact'; exit 1")
    monkeypatch.setenv("FRAUDSTREAM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(ToolError) as caught:
        fetch_kafka()
    assert "Could not transfer artifact" in str(caught.value)
    assert "noise" not in str(caught.value)
    assert [p.name for p in (tmp_path / "cache").iterdir() if p.is_dir()] == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ToolError, match="cannot be written"):
        LocalBroker(tmp_path / "file" / "kafka").start()


def test_a_broker_that_dies_at_once_is_an_error_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(
        tmp_path / "java" / "bin" / "java",
        'case "$*" in *-version*) echo \'openjdk version "17.0.1"\' >&2;; *format*) exit 0;; '
        "*) echo 'Cannot reserve enough memory'; exit 1;; esac",
    )
    jars = tmp_path / "cache" / fetch_kafka().name
    (jars / "libs").mkdir(parents=True)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setenv("FRAUDSTREAM_CACHE_DIR", str(tmp_path / "cache"))
    local = LocalBroker(tmp_path / "kafka")
    with pytest.raises(ToolError, match="Cannot reserve enough memory"):
        local.start()
    assert local.status().state == "stopped"


def test_commands_of_a_stopped_broker_answer_without_java(fraudstream: Run) -> None:
    bare = {"PATH": str(Path(sys.executable).parent), "JAVA_HOME": ""}
    status = fraudstream("kafka", "status", env=bare)
    assert (status.returncode, status.stderr) == (3, "")
    assert "stopped" in status.stdout
    assert fraudstream("kafka", "stop", env=bare).returncode == 0
    assert "nothing to delete" in fraudstream("kafka", "clean", env=bare).stdout
    if shutil.which("java", path=bare["PATH"]) is None:
        started = fraudstream("kafka", "start", env=bare)
        assert started.returncode == 2
        assert started.stderr.startswith("error: Java was not found")
        assert "Traceback" not in started.stderr
