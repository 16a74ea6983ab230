"""The dashboard of who keeps pipelines up: do decisions come, how quickly, and where does it jam?"""

from __future__ import annotations

from panels import GREEN, ORANGE, RED, Json, choice, dashboard, prom, series, stat

OF_SCORERS = 'pipeline=~"$pipeline", instance=~"$instance"'
OF_SINKS = 'pipeline=~"$pipeline", sink!=""'
RECORDS = f"fraudstream_transaction_records_sum{{{OF_SCORERS}}}"
LAG = f'fraudstream_consumer_lag_records{{{OF_SCORERS}, sink="", notifier=""}}'


def quantile(share: float, metric: str, labels: str, by: str = "") -> str:
    """The quantile of a histogram over the scrapes that a point stands for."""
    groups = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({groups}) (rate({metric}_bucket{{{labels}}}[$__rate_interval])))"


def rate(metric: str, labels: str, by: str) -> str:
    """How much a counter grows in a second."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def latency(share: float) -> str:
    """A quantile of the time from an event to the commit of its decision."""
    return quantile(share, "fraudstream_event_latency_seconds", OF_SCORERS)


def at_a_glance() -> list[Json]:
    """What is looked at first."""
    ready = f'fraudstream_ready{{{OF_SCORERS}, sink="", notifier=""}}'
    of_run = 'on (job, instance) fraudstream_process_info{command="run"}'
    return [
        stat(
            "Scorers ready",
            prom(f"sum({ready} and {of_run})"),
            steps=[(None, RED), (1, GREEN)],
            width=3,
            about="Scorers that decide now: those whose /readyz answers 200.",
        ),
        stat(
            "Records a second",
            prom(f"sum(rate({RECORDS}[$__rate_interval]))"),
            unit="short",
            decimals=0,
            width=4,
            about="Input records that became decisions or dead letters.",
        ),
        stat(
            "Latency, p99",
            prom(latency(0.99)),
            unit="s",
            steps=[(None, GREEN), (0.5, ORANGE), (1, RED)],
            about="From an event's Kafka timestamp to the commit of its decision.",
        ),
        stat(
            "Lag",
            prom(f"sum({LAG})"),
            unit="short",
            width=4,
            steps=[(None, GREEN), (10_000, ORANGE)],
            about="Records that are not yet decided, over all partitions.",
        ),
        stat(
            "Dead letters",
            prom(f"sum(increase(fraudstream_dead_letters_total{{{OF_SCORERS}}}[$__range]))", instant=True),
            decimals=0,
            width=3,
            steps=[(None, GREEN), (1, ORANGE)],
            about="Records that could not become decisions.",
        ),
        stat(
            "Snapshot age",
            prom(f"max(time() - fraudstream_snapshot_timestamp_seconds{{{OF_SCORERS}}})"),
            unit="s",
            width=3,
            steps=[(None, GREEN), (1_800, ORANGE), (7_200, RED)],
            about="What a restart has to replay is what came since the newest snapshot.",
        ),
        stat(
            "Outbox",
            prom('sum(fraudstream_outbox_notifications{state="waiting"})'),
            decimals=0,
            width=3,
            about="Notifications that wait to be sent, of all notifiers.",
        ),
    ]


def throughput() -> list[Json]:
    """How much, and how quickly."""
    stages = "fraudstream_stage_duration_seconds"
    busy = f'{OF_SCORERS}, stage!="fetch"'
    return [
        series(
            "Records a second",
            prom(rate("fraudstream_decisions_total", OF_SCORERS, "pipeline"), "{{pipeline}} decisions"),
            prom(rate("fraudstream_dead_letters_total", OF_SCORERS, "pipeline"), "{{pipeline}} dead letters"),
            prom(rate("fraudstream_labels_total", OF_SCORERS, "pipeline"), "{{pipeline}} labels"),
            about="Records that became decisions or dead letters, and labels taken.",
        ),
        series(
            "End-to-end latency",
            prom(latency(0.5), "p50"),
            prom(latency(0.99), "p99"),
            unit="s",
            about="From an event's Kafka timestamp to the commit of its decision.",
        ),
        series(
            "Lag by partition",
            prom(f"sum by (topic, partition) ({LAG})", "{{topic}} {{partition}}"),
            about="Records that are not yet decided. One that grows alone is a hot key or a hanging transaction.",
        ),
        series(
            "Work by stage",
            prom(f"sum by (stage) (rate({stages}_sum{{{busy}}}[$__rate_interval]))", "{{stage}}"),
            unit="percentunit",
            stacked=True,
            width=6,
            about="What part of the time the loop spends in each stage; `commit` waits for Kafka.",
        ),
        *(
            series(
                f"Stage p{percent}",
                prom(quantile(percent / 100, stages, busy, "stage"), "{{stage}}"),
                unit="s",
                width=6,
                about=f"How long each stage took for a batch; {percent} of a hundred batches took no longer.",
            )
            for percent in (50, 99)
        ),
        series(
            "Records in a transaction",
            prom(quantile(0.5, "fraudstream_transaction_records", OF_SCORERS), "p50"),
            prom(quantile(0.99, "fraudstream_transaction_records", OF_SCORERS), "p99"),
            width=6,
            about="Few under little traffic, more where there is a backlog.",
        ),
    ]


def trouble() -> list[Json]:
    """What goes wrong."""
    redone = f'{OF_SCORERS}, result="redone"'
    age = f"fraudstream_open_transaction_age_seconds{{{OF_SCORERS}}}"
    return [
        series(
            "Dead letters by class",
            prom(
                f"sum by (class) (increase(fraudstream_dead_letters_total{{{OF_SCORERS}}}[$__rate_interval])) > 0",
                "{{class}}",
            ),
            bars=True,
            stacked=True,
            about="What is wrong with records that could not become decisions.",
        ),
        series(
            "Rewinds and transactions done again",
            prom(
                f"sum by (reason) (increase(fraudstream_rewinds_total{{{OF_SCORERS}}}[$__rate_interval]))",
                "rewound: {{reason}}",
            ),
            prom(f"sum(increase(fraudstream_transactions_total{{{redone}}}[$__rate_interval]))", "done again"),
            about="Nothing is lost or decided twice by these; they cost time.",
        ),
        series(
            "Open transactions",
            prom(f"max({age}) or vector(0)", "oldest"),
            prom(f"max by (topic, partition) ({age} > 30)", "{{topic}} {{partition}}"),
            unit="s",
            line_at=90,
            about="For how long readers of committed records wait on somebody's transaction. Above the line it hangs.",
        ),
        series(
            "Round trip to brokers",
            prom(f"max by (broker) (fraudstream_kafka_broker_rtt_seconds{{{OF_SCORERS}}})", "broker {{broker}}"),
            unit="s",
            about="99th percentile, as the scorers' producers see it.",
        ),
        series(
            "Bytes a second",
            prom(rate("fraudstream_kafka_received_bytes_total", OF_SCORERS, "client"), "received, {{client}}"),
            prom(rate("fraudstream_kafka_sent_bytes_total", OF_SCORERS, "client"), "sent, {{client}}"),
            unit="Bps",
            about="Between scorers and brokers.",
        ),
        series(
            "Rebalances",
            prom(
                f"sum by (event) (increase(fraudstream_rebalances_total{{{OF_SCORERS}}}[$__rate_interval]))",
                "{{event}}",
            ),
            about="Partitions that went from one scorer to another; lost ones went without being asked for.",
        ),
    ]


def state() -> list[Json]:
    """What is kept in memory and on disk."""
    return [
        series(
            "Keys in the state",
            prom(f"sum by (pipeline) (fraudstream_state_keys{{{OF_SCORERS}}})", "{{pipeline}}"),
            prom(
                rate("fraudstream_evicted_early_keys_total", OF_SCORERS, "pipeline"),
                "{{pipeline}} forgotten too early, a second",
            ),
            width=6,
            about="Keys with a history. Those forgotten too early make features wrong: raise max_keys.",
        ),
        series(
            "Memory",
            prom(
                f"process_resident_memory_bytes and on (job, instance) fraudstream_pipeline_info{{{OF_SCORERS}}}",
                "{{instance}} process",
            ),
            prom(f"fraudstream_state_bytes{{{OF_SCORERS}}}", "{{instance}} state"),
            unit="bytes",
            width=6,
            about="What the scorers hold in memory, and their state's part of it.",
        ),
        series(
            "Snapshot age",
            prom(f"time() - fraudstream_snapshot_timestamp_seconds{{{OF_SCORERS}}}", "{{pipeline}} {{instance}}"),
            unit="s",
            width=6,
            about="Since the newest snapshot was written.",
        ),
        series(
            "Processor",
            prom(
                "rate(process_cpu_seconds_total[$__rate_interval]) "
                "* on (job, instance) group_left (command) fraudstream_process_info",
                "{{command}} {{instance}}",
            ),
            unit="percentunit",
            width=6,
            about="Cores in use by each process; 100 % is one core.",
        ),
    ]


def deliveries() -> list[Json]:
    """What leaves Kafka."""
    ends = "sum by (channel, result) (increase(fraudstream_notifications_total[$__rate_interval]))"
    return [
        series(
            "Lag of sinks and notifiers",
            prom(
                f"sum by (pipeline, sink) (fraudstream_consumer_lag_records{{{OF_SINKS}}})", "{{sink}} of {{pipeline}}"
            ),
            prom('sum by (notifier) (fraudstream_consumer_lag_records{notifier!=""})', "notifier {{notifier}}"),
            width=6,
            about="Committed records that are not yet written, or told.",
        ),
        series(
            "Rows written a second",
            prom(rate("fraudstream_sink_rows_total", OF_SINKS, "sink, table"), "{{sink}} {{table}}"),
            width=6,
            about="By table; sinks into a SIEM write none.",
        ),
        series(
            "Writes of sinks, p99",
            prom(quantile(0.99, "fraudstream_sink_write_duration_seconds", OF_SINKS, "sink"), "{{sink}}"),
            prom(
                f"sum by (sink) (increase(fraudstream_sink_interruptions_total{{{OF_SINKS}}}[$__rate_interval]))",
                "{{sink}} interruptions",
            ),
            unit="s",
            width=6,
            about="How long one transaction took, and how often the target went away.",
        ),
        series(
            "Notifications",
            prom(ends, "{{channel}} {{result}}"),
            bars=True,
            stacked=True,
            width=6,
            about="Attempts to tell people, by how they ended.",
        ),
        series(
            "Outbox",
            prom("sum by (channel, state) (fraudstream_outbox_notifications)", "{{channel}} {{state}}"),
            width=12,
            height=7,
            about="What waits, and what could not be told and has to be sent again by hand.",
        ),
        series(
            "Oldest in the outbox",
            prom(
                'max by (channel) (time() - fraudstream_outbox_oldest_timestamp_seconds{state="waiting"})',
                "{{channel}}",
            ),
            unit="s",
            width=12,
            height=7,
            about="Since when it waits. Quiet hours make notifications wait on purpose.",
        ),
    ]


HEALTH = dashboard(
    "health",
    "Pipeline health",
    "Do decisions come, how quickly, and where does it jam?",
    "1h",
    [
        choice("pipeline", "Pipeline", "label_values(fraudstream_pipeline_info, pipeline)", every=True),
        choice(
            "instance", "Scorer", 'label_values(fraudstream_pipeline_info{pipeline=~"$pipeline"}, instance)', every=True
        ),
    ],
    [
        ("At a glance", at_a_glance()),
        ("Throughput and latency", throughput()),
        ("Kafka and trouble", trouble()),
        ("State and memory", state()),
        ("Sinks and notifications", deliveries()),
    ],
)
