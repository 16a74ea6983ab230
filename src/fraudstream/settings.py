"""What a command needs to know about its surroundings: which Kafka, as whom, which folders.

Each value comes from the first of: a flag · the environment (`FRAUDSTREAM_…`) · `fraudstream.toml` (or the file
named by `--config` or FRAUDSTREAM_CONFIG) · the running local broker (the address only) · a default. A `Settings`
remembers which, so an error can say where a wrong value was written. Secrets come from the environment or from a
file of their own, and never show themselves.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from fraudstream.errors import SettingError
from fraudstream.kafka_properties import checked_properties
from fraudstream.processes import is_same_process

CONFIG_NAME = "fraudstream.toml"
ENVIRONMENT_PREFIX = "FRAUDSTREAM_"
BROKER_URL = "KAFKA_BROKER_URL"
"""The variable that container set-ups of Kafka demos use; ours goes before it."""
BROKER_RECORD = Path("kafka") / "broker.json"


class Secret:
    """A text that never shows itself: printing, formatting and repr give `***`; only `reveal()` gives the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, to hand to the client library and to nothing else."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


@dataclass(frozen=True)
class Settings:
    """Everything a command knows about its surroundings; `origins` tells for each value where it was written.

    Attributes:
        bootstrap_servers: Addresses `host:port`, comma separated, of any brokers of the cluster.
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        sasl_mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
        kafka_properties: Further librdkafka properties, passed on as they are.
        schema_registry_url: The schema registry, for topics of Avro and Protobuf; None: there is none.
        schema_registry_user: As whom it is asked.
        schema_registry_password: Whose password.
        schema_registry_ca_file: PEM file of the authorities that sign its certificate.
        store_url: The database of the operational store, with its password; None: SQLite in the project folder.
        history_url: The database that `--data database:TABLE` reads, with its password.
        lake_url: The folder or bucket of the lake, such as `s3://bucket/fraud`; None: in the project folder.
        model_key: Signs models and verifies their signatures.
        model_signatures: OPTIONAL, or REQUIRED: a model that is not signed is refused.
        token_keys_file: The keys that stand-ins for sensitive values are made with; None: see `tokens/source.py`.
        metrics_port: Where long-running commands serve metrics and health; 0 is any free port, None: nowhere.
        metrics_host: On which address; 0.0.0.0 is all of the machine's.
        log_format: TEXT, or JSON: one object a line.
        project_folder: Where fraudstream keeps the local broker, state and databases.
        secret_files: The files that secrets were read from, by setting.
    """

    bootstrap_servers: str
    security_protocol: str
    sasl_mechanism: str | None
    sasl_username: str | None
    sasl_password: Secret | None
    tls_ca_file: Path | None
    tls_cert_file: Path | None
    tls_key_file: Path | None
    tls_key_password: Secret | None
    client_id: str
    kafka_properties: Mapping[str, str]
    schema_registry_url: str | None
    schema_registry_user: str | None
    schema_registry_password: Secret | None
    schema_registry_ca_file: Path | None
    store_url: Secret | None
    history_url: Secret | None
    lake_url: str | None
    token_keys_file: Path | None
    metrics_port: int | None
    metrics_host: str
    log_format: str
    project_folder: Path
    pipelines_folder: Path
    models_folder: Path
    model_key: Secret | None
    model_signatures: str
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)
    secret_files: Mapping[str, Path] = field(default_factory=dict, compare=False)

    @property
    def local_kafka_folder(self) -> Path:
        """The local broker's folder inside the project folder."""
        return self.project_folder / BROKER_RECORD.parent

    def origin(self, name: str) -> str:
        """Where the value was written, as a phrase: `the environment variable FRAUDSTREAM_CLIENT_ID`."""
        return self.origins[name]


class _Kind(NamedTuple):
    """How a setting is written: its table in the file, path, secret, words or number, its default."""

    table: str
    path: bool = False
    secret: bool = False
    words: tuple[str, ...] = ()
    default: str | None = None
    most: int | None = None  # a whole number from 0 to this


_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_DEMANDS = ("OPTIONAL", "REQUIRED")
_KINDS: dict[str, _Kind] = {
    "bootstrap_servers": _Kind("kafka", default="localhost:9092"),
    "security_protocol": _Kind("kafka", words=_PROTOCOLS, default="PLAINTEXT"),
    "sasl_mechanism": _Kind("kafka", words=_MECHANISMS),
    "sasl_username": _Kind("kafka"),
    "sasl_password": _Kind("kafka", secret=True),
    "tls_ca_file": _Kind("kafka", path=True),
    "tls_cert_file": _Kind("kafka", path=True),
    "tls_key_file": _Kind("kafka", path=True),
    "tls_key_password": _Kind("kafka", secret=True),
    "client_id": _Kind("kafka", default="fraudstream"),
    "kafka_properties": _Kind("kafka"),
    "schema_registry_url": _Kind(""),
    "schema_registry_user": _Kind(""),
    "schema_registry_password": _Kind("", secret=True),
    "schema_registry_ca_file": _Kind("", path=True),
    "store_url": _Kind("", secret=True),
    "history_url": _Kind("", secret=True),
    "lake_url": _Kind(""),
    "token_keys_file": _Kind("", path=True),
    "metrics_port": _Kind("", most=65_535),
    "metrics_host": _Kind("", default="127.0.0.1"),
    "log_format": _Kind("", words=("TEXT", "JSON"), default="TEXT"),
    "project_folder": _Kind("", path=True, default=".fraudstream"),
    "pipelines_folder": _Kind("", path=True, default="pipelines"),
    "models_folder": _Kind("", path=True, default="models"),
    "model_key": _Kind("", secret=True),
    "model_signatures": _Kind("", words=_DEMANDS, default="OPTIONAL"),
}


_OWN_FLAGS = ("bootstrap_servers", "metrics_port", "log_format")


class _Value(NamedTuple):
    text: Any
    origin: str
    base: Path  # relative paths are meant from here
    secret_file: Path | None = None


def load_settings(
    flags: Mapping[str, str | Path | int | None] | None = None,
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Settings by precedence: flag, environment, file, running local broker, default.

    Args:
        flags: Values given on the command line by setting name; None means not given.
        config: The file to read in place of `fraudstream.toml`; it must exist.
        environ: The environment; the process's own by default.
        folder: Where `fraudstream.toml` is looked for and what relative paths are meant from; the working directory.

    Raises:
        SettingError: A key is unknown, a value is not allowed, or a file cannot be read; says where it was written.
    """
    environ = os.environ if environ is None else environ
    folder = (folder or Path.cwd()).absolute()
    given = {k: v for k, v in (flags or {}).items() if v is not None}
    if config is None and environ.get("FRAUDSTREAM_CONFIG"):
        config = folder / environ["FRAUDSTREAM_CONFIG"]
    found = _from_file(config, folder)
    found.update(_from_environment(environ, folder))
    for name, text in given.items():
        _note_flag(found, name, text, folder)
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    secret_files: dict[str, Path] = {}
    for name, kind in _KINDS.items():
        written = found.get(name)
        if written is None and kind.secret:
            written = _from_secret_file(name, found)
        if written is None:
            default = kind.default
            values[name] = folder / default if kind.path and default else default
            origins[name] = "the default"
        else:
            values[name] = _checked(name, kind, written)
            origins[name] = written.origin
            if written.secret_file is not None:
                secret_files[name] = written.secret_file
    values["kafka_properties"] = values["kafka_properties"] or {}
    if origins["bootstrap_servers"] == "the default":
        record = values["project_folder"] / BROKER_RECORD
        address = running_broker_address(record)
        if address:
            values["bootstrap_servers"] = address
            origins["bootstrap_servers"] = f"the running local broker ({record})"
    settings = Settings(**values, origins=origins, secret_files=secret_files)
    _check_together(settings)
    return settings


def running_broker_address(record: Path) -> str | None:
    """The address in a local broker's record, if the process it names is alive and the same one."""
    try:
        noted = json.loads(record.read_text())
        alive = is_same_process(noted["pid"], noted["birth"])
        return str(noted["bootstrap_servers"]) if alive else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _from_file(config: Path | None, folder: Path) -> dict[str, _Value]:
    path = config or folder / CONFIG_NAME
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if config is None:
            return {}
        raise SettingError(f"There is no settings file {path}.", "Name an existing TOML file with --config.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise SettingError(f"The settings file {path} cannot be read: {reason}.", "It must be TOML.") from None
    found: dict[str, _Value] = {}
    base = path.absolute().parent
    for key, value in document.items():
        if key == "kafka" and isinstance(value, dict):
            for inner, text in value.items():
                name = "kafka_properties" if inner == "properties" else inner
                _note(found, name, f"kafka.{inner}", "kafka", _Value(text, f"kafka.{inner} in {path}", base))
        else:
            _note(found, key, key, "", _Value(value, f"{key} in {path}", base))
    return found


def _note(found: dict[str, _Value], name: str, shown: str, table: str, value: _Value) -> None:
    """Takes one key of the file, or says what is wrong with it."""
    kind = _KINDS.get(name)
    if kind and kind.secret:
        raise SettingError(
            f"{value.origin} is a secret, and secrets are not read from the settings file.",
            f"Put it into the environment variable {_variable(name)}, or into a file of its own named by {shown}_file.",
        )
    if (kind is None or kind.table != table) and not _is_secret_file(name):
        names = [("kafka." if k.table else "") + n for n, k in _file_names()]
        raise SettingError(f"{value.origin} is not a setting.", _did_you_mean(shown, names))
    found[name] = value


def _note_flag(found: dict[str, _Value], name: str, text: str | Path | int, folder: Path) -> None:
    """Takes one flag: one of its own, or `--set` for any other setting."""
    flag = "--" + name.replace("_", "-") if name in _OWN_FLAGS else f"--set {name}=…"
    kind = _KINDS.get(name)
    if kind and kind.secret:
        raise SettingError(
            f"The flag {flag} gives a secret, which everyone on this machine could read in the list of processes.",
            f"Put it into the environment variable {_variable(name)}, or into a file named by {name}_file.",
        )
    if kind is None and not _is_secret_file(name):
        names = [n + "_file" if k.secret else n for n, k in _KINDS.items()]
        raise SettingError(f"The flag {flag} names no setting.", _did_you_mean(name, names))
    found[name] = _Value(text, f"the flag {flag}", folder)


def _file_names() -> list[tuple[str, _Kind]]:
    names = [(n + "_file" if k.secret else n, k) for n, k in _KINDS.items()]
    return [("properties" if n == "kafka_properties" else n, k) for n, k in names]


def _from_environment(environ: Mapping[str, str], folder: Path) -> dict[str, _Value]:
    known = {_variable(n): n for n in _KINDS}
    known |= {_variable(n + "_file"): n + "_file" for n, k in _KINDS.items() if k.secret}
    found: dict[str, _Value] = {}
    if environ.get(BROKER_URL):  # first, so that FRAUDSTREAM_BOOTSTRAP_SERVERS takes its place
        found["bootstrap_servers"] = _Value(environ[BROKER_URL], f"the environment variable {BROKER_URL}", folder)
    for variable, text in environ.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or text == "":
            continue
        if variable in known:
            found[known[variable]] = _Value(text, f"the environment variable {variable}", folder)
        elif difflib.get_close_matches(variable, known, 1, 0.9):  # other FRAUDSTREAM_ variables belong to others
            raise SettingError(
                f"The environment variable {variable} is not a setting.", _did_you_mean(variable, list(known))
            )
    return found


def _from_secret_file(name: str, found: Mapping[str, _Value]) -> _Value | None:
    named = found.get(name + "_file")
    if named is None:
        return None
    path = named.base / str(named.text)
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
        return _Value(text, f"the file {path} ({named.origin})", named.base, path)
    except (OSError, UnicodeDecodeError) as reason:
        raise SettingError(
            f"The secret file {path} cannot be read: {reason}.", f"It was named by {named.origin}."
        ) from None


def _checked(name: str, kind: _Kind, written: _Value) -> Any:
    if name == "kafka_properties":
        return checked_properties(written.text, written.origin)
    if kind.most is not None:
        return _checked_number(name, kind.most, written)
    if not isinstance(written.text, str | Path) or str(written.text).strip() == "":
        raise SettingError(
            f"{name} must be a text, but {written.origin} gives {written.text!r}.", "Write it in quotes."
        )
    text = str(written.text)
    if kind.secret:
        return Secret(text)
    if kind.path:
        return written.base / Path(text).expanduser()
    if kind.words and text.upper() not in kind.words:
        raise SettingError(f"{name} is {text!r} (from {written.origin}).", f"Allowed are {', '.join(kind.words)}.")
    return text.upper() if kind.words else text


def _checked_number(name: str, most: int, written: _Value) -> int:
    text = str(written.text).strip()
    if isinstance(written.text, bool) or not text.isascii() or not text.isdigit() or int(text) > most:
        raise SettingError(
            f"{name} is {written.text!r} (from {written.origin}).", f"It is a whole number from 0 to {most:,}."
        )
    return int(text)


def _check_together(settings: Settings) -> None:
    """Values that only make sense with one another."""
    if settings.security_protocol.startswith("SASL_"):
        missing = [n for n in ("sasl_mechanism", "sasl_username", "sasl_password") if getattr(settings, n) is None]
        if missing:
            raise SettingError(
                f"security_protocol is {settings.security_protocol} (from {settings.origin('security_protocol')}), "
                f"but {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing.",
                f"Set {', '.join(_variable(n) for n in missing)}.",
            )
    elif settings.sasl_mechanism or settings.sasl_password:
        raise SettingError(
            f"SASL is configured, but security_protocol is {settings.security_protocol} "
            f"(from {settings.origin('security_protocol')}), which would not use it.",
            "Set security_protocol to SASL_SSL, or SASL_PLAINTEXT in a trusted network.",
        )
    for name in ("tls_ca_file", "tls_cert_file", "tls_key_file", "schema_registry_ca_file"):
        path = getattr(settings, name)
        if path is not None and not os.access(path, os.R_OK):
            raise SettingError(
                f"{name} is {path} (from {settings.origin(name)}), which cannot be read.", "Name a readable PEM file."
            )


def _variable(name: str) -> str:
    return ENVIRONMENT_PREFIX + name.upper()


def _is_secret_file(name: str) -> bool:
    kind = _KINDS.get(name.removesuffix("_file"))
    return name.endswith("_file") and kind is not None and kind.secret


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, 1, 0.5)
    return f"Did you mean {close[0]}?" if close else f"Known are {', '.join(sorted(known))}."
