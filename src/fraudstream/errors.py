"""Every exception fraudstream raises on purpose.

    FraudstreamError
    ├── UsageError            a command was called with something it cannot work with          exit 2
    ├── SettingError          a setting is missing or wrong                                    exit 2
    ├── DefinitionError       a pipeline file has problems; carries all of them                exit 2
    ├── DataError             a file of history or labels cannot be read                       exit 2
    ├── ModelError            a model artefact is missing, damaged or does not fit             exit 2
    │   └── DamagedModel      … damaged: another version, or the rules alone, can take its place
    ├── StateError            a snapshot cannot be used                                        exit 2
    ├── ToolError             Java, Maven or another program is missing or failed              exit 2
    ├── StoreError            the operational store refused, or its tables are of another version  exit 2
    │   └── StoreUnreachable  … it does not answer                                         exit 3
    ├── LakeError             a table of the lake refused, or is of another layout              exit 2
    │   └── LakeUnreachable   … its folder or bucket does not answer                       exit 3
    ├── RegistryError         the schema registry refused what was asked                       exit 2
    │   └── RegistryUnreachable  … it does not answer                                      exit 3
    ├── BrokerUnreachable     no Kafka broker answered                                         exit 3
    ├── TopicError            a topic is missing or has the wrong shape                        exit 3
    └── FencedError           another scorer with the same transactional id took over          exit 4

A message says what was found, where, what is allowed and what to do. Trouble with a single row of input is never an
exception: it is data, and ends in a dead letter.
"""

from __future__ import annotations

from typing import NamedTuple


class FraudstreamError(Exception):
    """Base of every error a user can act on; the command line prints it as one paragraph.

    Args:
        found: What was found, and where.
        advice: What is allowed and what to do about it.
    """

    exit_code = 2

    def __init__(self, found: str, advice: str = "") -> None:
        self.found = found
        self.advice = advice
        super().__init__(f"{found} {advice}".strip())


class UsageError(FraudstreamError):
    """A command was called with arguments it cannot work with."""


class SettingError(FraudstreamError):
    """A setting is missing or wrong; the message names its source (flag, environment, file)."""


class Problem(NamedTuple):
    """One thing wrong with a definition.

    Attributes:
        path: Where, as a dotted path into the pipeline, e.g. `features.card_count_1h.over`.
        found: What is wrong, quoting what was found.
        advice: What is allowed and what to do.
    """

    path: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.found}" + (f" {self.advice}" if self.advice else "")


class DefinitionError(FraudstreamError):
    """A pipeline has problems. All of them are in `problems`, not only the first."""

    def __init__(self, source: str, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        lines = "\n".join(f"  {problem}" for problem in problems)
        count = f"{len(problems)} problem" + ("s" if len(problems) != 1 else "")
        super().__init__(f"{source} has {count}:\n{lines}")


class DataError(FraudstreamError):
    """A file of history or labels cannot be read or lacks what is needed."""


class ModelError(FraudstreamError):
    """A model artefact is missing, damaged, or was trained for other features."""


class DamagedModel(ModelError):
    """A model artefact cannot be read, is not the file that was signed off, or cannot be run."""


class StateError(FraudstreamError):
    """A snapshot is damaged, foreign or of another state identity."""


class ToolError(FraudstreamError):
    """A program that fraudstream starts (Java, Maven, the broker) is missing or failed."""


class StoreError(FraudstreamError):
    """The operational store refused what was asked, or its tables are of another version."""


class StoreUnreachable(StoreError):
    """The operational store's database did not answer, or went away."""

    exit_code = 3


class LakeError(FraudstreamError):
    """A table of the lake refused what was asked, or is of another layout."""


class LakeUnreachable(LakeError):
    """The folder or bucket of the lake did not answer, or went away."""

    exit_code = 3


class RegistryError(FraudstreamError):
    """The schema registry refused what was asked."""


class RegistryUnreachable(RegistryError):
    """The schema registry did not answer, or went away."""

    exit_code = 3


class BrokerUnreachable(FraudstreamError):
    """No Kafka broker answered at the configured address."""

    exit_code = 3


class TopicError(FraudstreamError):
    """A topic is missing, not permitted, or has the wrong number of partitions."""

    exit_code = 3


class FencedError(FraudstreamError):
    """Another producer with the same transactional id took over; this process must not go on."""

    exit_code = 4
