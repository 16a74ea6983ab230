"""Checks of what reading events needs besides Kafka: the schema registry, and the keys of sensitive fields."""

from __future__ import annotations

from collections.abc import Iterator

from fraudstream.define.pipeline import Format
from fraudstream.doctor.finding import ASK_S, Finding, Subject, error, ok
from fraudstream.kafka.registry import SchemaRegistry
from fraudstream.tokens.keyfile import read_keys
from fraudstream.tokens.source import is_here, key_file


def registry(subject: Subject) -> Iterator[Finding]:
    """The schema registry answers, where one is set or needed."""
    plan, url = subject.plan, subject.settings.schema_registry_url
    topic = None if plan is None or plan.pipeline.input.format is Format.JSON else plan.pipeline.input.name
    if url is None and topic is None:
        yield ok("None is set, and none is needed.")
        return
    asked = SchemaRegistry(subject.settings, gives_up_after_s=ASK_S)
    name = f"{topic or 'any'}-value"
    versions = asked.versions(name)
    yield ok(f"{url} answers" + (f"; {name} has {len(versions)} versions." if topic else "."))


def tokens(subject: Subject) -> Iterator[Finding]:
    """The keys that sensitive fields are replaced with are there, and can be read."""
    assert subject.plan is not None
    settings, sensitive = subject.settings, [f.name for f in subject.plan.pipeline.event.fields if f.sensitive]
    path = key_file(settings)
    if not sensitive:
        yield ok("No field is sensitive, so none is needed.")
    elif settings.token_keys_file is None and not path.exists():
        if is_here(settings.bootstrap_servers):
            yield ok(f"There is none yet; the first scorer makes {path}.")
        else:
            yield error(
                f"The fields {', '.join(sensitive)} are sensitive, and no token keys are set.",
                "Make a key file with `fraudstream token new-key FILE`, give every process of the pipeline the same "
                "one, and name it in token_keys_file (FRAUDSTREAM_TOKEN_KEYS_FILE).",
            )
    else:
        held = read_keys(path, settings.origin("token_keys_file")).held
        yield ok(f"{path} holds {len(held)} token key{'s' if len(held) != 1 else ''}; {held[0]} is the active one.")
