"""Puts a scorer together from a plan and settings."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from fraudstream import failpoints
from fraudstream.engine.decode import Decoder
from fraudstream.engine.event_ids import EventIds
from fraudstream.engine.program import Program
from fraudstream.errors import TopicError, UsageError
from fraudstream.kafka.admin import KafkaAdmin
from fraudstream.kafka.alternating import AlternatingProducer
from fraudstream.kafka.atleastonce import AtLeastOnceProducer
from fraudstream.kafka.client import check_reachable
from fraudstream.kafka.consumer import STATIC_SESSION_MS, InputConsumer
from fraudstream.kafka.decoding import decoder_of
from fraudstream.kafka.identity import log_identity
from fraudstream.kafka.subjects import output_schemas
from fraudstream.plan.plan import Plan
from fraudstream.runner.checkpoint import TOKEN_KEY, Checkpoints
from fraudstream.runner.covered import guard
from fraudstream.runner.hanging import closer
from fraudstream.runner.inputs import features_beyond_key, input_topics, not_alone
from fraudstream.runner.intake import Intake
from fraudstream.runner.loop import StreamLoop
from fraudstream.runner.serving import Serving, ServingScorer, load_scorer
from fraudstream.runner.statistics import Statistics
from fraudstream.runner.switches import Switches
from fraudstream.runner.warmup import warm_up
from fraudstream.settings import Settings
from fraudstream.telemetry.tracing import begin_tracing
from fraudstream.tokens.held import held_keys

if TYPE_CHECKING:
    from fraudstream.runner.traces import Traces

LOGGER = logging.getLogger("fraudstream.runner")
SESSION_OVER_S = STATIC_SESSION_MS / 1_000 + 2
"""A member that went away without a word has left its group after this."""
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,100}")


class Options(NamedTuple):
    """How to run.

    Attributes:
        group: The consumer group; `fraudstream-NAME` unless said.
        instance: Tells apart scorers that share a group; restarts keep it.
        rebuild_state: Whether kept snapshots are dropped and the state is rebuilt from the topic.
        exactly_once: Whether records and offsets are committed in one transaction; else at least once.
    """

    group: str | None = None
    instance: str = "0"
    rebuild_state: bool = False
    exactly_once: bool = True


def start(
    plan: Plan,
    settings: Settings,
    options: Options,
    on_statistics: Callable[[Statistics], None] | None = None,
) -> StreamLoop:
    """A scorer ready to `run`. What can be wrong is found here, before anything is read.

    Raises:
        BrokerUnreachable, TopicError: The cluster is away, or lacks a topic.
        StateError: The kept state is of another definition.
        ModelError: The model does not fit.
        SettingError: A failpoint is set outside test mode.
        UsageError: The group or the instance has a name that cannot be had.
    """
    failpoints.arm()
    require_names(options)
    check_reachable(settings)
    scorer = load_scorer(plan, settings)
    program = Program(plan, scorer)
    topics = require_topics(plan, settings)
    switches = Switches(settings, plan.pipeline)
    try:
        return _started(plan, settings, options, program, scorer, topics, switches, on_statistics)
    except BaseException:
        switches.close()
        raise


def _started(
    plan: Plan,
    settings: Settings,
    options: Options,
    program: Program,
    scorer: ServingScorer | None,
    topics: dict[str, int],
    switches: Switches,
    on_statistics: Callable[[Statistics], None] | None,
) -> StreamLoop:
    """The rest of `start`, while the switches are read."""
    group = f"fraudstream-{plan.pipeline.name}" if options.group is None else options.group
    member = f"{group}-{options.instance}"
    inputs = input_topics(plan)
    if features_beyond_key(plan):
        require_alone(plan, KafkaAdmin(settings), group, member)
    log = log_identity(settings, inputs)
    if plan.pipeline.event.sensitive:
        log[TOKEN_KEY] = held_keys().identity  # what is read from the log are tokens
    checkpoints = Checkpoints(plan, settings.project_folder / "state" / member, log)
    if options.rebuild_state:
        checkpoints.discard()
    checkpoints.check_identity()
    decoder = decoder_of(plan.pipeline, settings)
    intake = Intake(decoder, inputs[1] if len(inputs) > 1 else None, EventIds(plan.pipeline.event))
    warm_up(program, Decoder(plan.pipeline.event))
    consuming = partial(
        InputConsumer,
        settings,
        inputs,
        group,
        # A static member takes its predecessor's place at once, instead of waiting for its session to end.
        instance_id=member if features_beyond_key(plan) else None,
    )
    producer: AlternatingProducer | AtLeastOnceProducer
    if options.exactly_once:
        producer = AlternatingProducer(settings, member)
        transacted = {*(route.topic for route in plan.pipeline.routes), plan.pipeline.dead_letters.name}
        written = {name: topics[name] for name in sorted(transacted)}
        consumer_of = partial(
            consuming,
            on_hanging=closer(settings, plan, producer, group, written),
            on_offsets=guard(settings, plan, group, written, checkpoints.ahead_of),
        )
    else:
        producer = AtLeastOnceProducer(settings)
        consumer_of = partial(_lending_commits, consuming, producer)
    switches.wait()
    return StreamLoop(
        plan,
        program,
        consumer_of,
        producer,
        checkpoints,
        intake,
        input_partitions=topics[plan.pipeline.input.name],
        serving=Serving(plan, settings, switches, scorer),
        schema_ids=output_schemas(plan, settings),
        on_statistics=on_statistics,
        traces=_traces(group),
    )


def _traces(group: str) -> Traces | None:
    """What follows sampled records, where the environment names a collector."""
    tracing = begin_tracing()
    if tracing is None:
        return None
    from fraudstream.runner.traces import Traces  # OpenTelemetry is an extra

    return Traces(tracing, group)


def _lending_commits(
    consuming: Callable[..., InputConsumer], producer: AtLeastOnceProducer, **handlers: Any
) -> InputConsumer:
    """The consumer, whose member commits the offsets of what the producer has stored."""
    consumer = consuming(**handlers)
    producer.commit_offsets = consumer.commit
    return consumer


def require_names(options: Options) -> None:
    """Group and instance name a folder, a transactional id and a group member, so they hold what all three may.

    Raises:
        UsageError: One of them holds something else. The client would refuse every commit, and a path would lead away.
    """
    for option, name in (("--group", options.group), ("--instance", options.instance)):
        if name is not None and not _NAME.fullmatch(name):
            raise UsageError(
                f"{option} {name!r} is not a name that can be had.",
                "Use 1 to 100 letters from a to z or A to Z, digits, and any of . _ : -",
            )


def require_topics(plan: Plan, settings: Settings) -> dict[str, int]:
    """The partitions of every topic a plan reads or writes.

    Raises:
        TopicError: Some are missing; it names them all.
    """
    found = KafkaAdmin(settings).topics()
    missing = [name for name, _ in plan.pipeline.topics_to_create() if name not in found]
    if missing:
        raise TopicError(
            f"These topics of {plan.pipeline.name} do not exist on {settings.bootstrap_servers}: {', '.join(missing)}.",
            f"Run `fraudstream topics create {plan.pipeline.name}`.",
        )
    return {name: found[name].partitions for name, _ in plan.pipeline.topics_to_create()}


def require_alone(plan: Plan, admin: KafkaAdmin, group: str, member: str) -> None:
    """Makes sure, before joining, that no other scorer is in the group; joining would take its partitions away.

    One that has just ended is still a member until its session is over, so this waits as long for it to go.

    Raises:
        UsageError: There is one.
    """
    deadline = time.monotonic() + SESSION_OVER_S
    told = False
    while others := {name or "an ordinary member" for name in admin.group_instances(group).values()} - {member}:
        if not told:
            LOGGER.warning("%s is in the group %s; waiting whether it is gone", ", ".join(sorted(others)), group)
            told = True
        if time.monotonic() > deadline:
            raise not_alone(plan)
        time.sleep(0.2)
