"""The files a local broker is started from: its properties, sized for a small machine, and where its logs go."""

from __future__ import annotations

from pathlib import Path


def server_properties(data: Path, port: int, controller_port: int) -> str:
    """Kafka's `server.properties` for one node that is broker and controller, listening on this machine only."""
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(data),
        # One node: nothing to replicate to.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # A small machine: few internal partitions and threads, little memory for the cleaner.
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "1",
        "log.cleaner.dedupe.buffer.size": "8388608",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        # After a crash the new process may register only when the old one's session is over. But a broker that stands
        # still for longer than its session loses the leadership of all its partitions for a moment, and a transaction
        # that ends in that moment loses its markers: it hangs for good, and with it the group's offsets.
        "broker.session.timeout.ms": "9000",
        "broker.heartbeat.interval.ms": "500",
        # Quick to join, and quick to end what a killed scorer left open.
        "group.initial.rebalance.delay.ms": "0",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        "auto.create.topics.enable": "false",
        "message.max.bytes": "1179648",  # 1 MiB of event, 64 KiB of decision, and the batch around them
        # History carries the timestamps of its events: years old, or ahead of the clock. Neither may lose records.
        "log.retention.ms": "-1",
        "log.message.timestamp.after.max.ms": "9223372036854775807",
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def log4j2_properties(logs: Path) -> str:
    """Log4j's configuration: everything to `broker.log`, five files of 10 MB, nothing on the terminal."""
    return f"""status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {logs}/broker.log
appender.file.filePattern = {logs}/broker.log.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %m (%c{{1}})%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 4
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""
