"""What an input of a model says about an event, in a sentence for an analyst and in one for a letter to the customer.

These are the sentences of inputs that the pipeline declares nothing else for. They follow from the kind of feature, its
key and its window, and only state what is so: whether it speaks for or against the customer is the contribution's to
say. In a sentence `{name}` stands for a value.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fraudstream.define.feature import FeatureKind
from fraudstream.plan.plan import PlannedFeature
from fraudstream.plan.sentences import feature_sentence
from fraudstream.schema.types import Kind, ValueType

_COMPARED = re.compile(r"(ratio|zscore)\(\s*(\w+)\s*,\s*(\w+)\s*(?:,\s*\w+\s*)?\)")
_SINCE = "milliseconds since the "
_FIRST_OF = re.compile(r"^(first of the )?(latest|oldest) ")
_OF_TIME = re.compile(r"(hour|day_of_week|is_night|is_weekend)\(")


class Words(NamedTuple):
    """How an input is spoken of.

    Attributes:
        holds: The sentence with its value; of a boolean: where it is true.
        otherwise: Of a boolean: where it is false.
        unknown: Where its value is null.
        letter: For the customer, whatever its value is.
    """

    holds: str
    otherwise: str
    unknown: str
    letter: str


_LETTERS = {
    FeatureKind.COUNT: "The number of recent transactions.",
    FeatureKind.DISTINCT: "The variety of recent transactions.",
    FeatureKind.SUM: "The total of recent transactions.",
    FeatureKind.SINCE_LAST: "The time since the transaction before.",
    FeatureKind.SINCE_FIRST: "The time since earlier transactions.",
    FeatureKind.FIRST_SEEN: "Whether the details of this transaction were used before.",
    FeatureKind.DISTANCE_KM: "The place of this transaction.",
    FeatureKind.SPEED_KMH: "The place of this transaction.",
    FeatureKind.IN_LIST: "Information held about this transaction.",
    FeatureKind.SEQUENCE: "The order of recent transactions.",
    FeatureKind.EXPRESSION: "The circumstances of this transaction.",
}
_COMPARES = "How this transaction compares with earlier ones."
_OF_LABELS = "Earlier reports of fraud connected with this transaction."
_IN_UNITS = {
    FeatureKind.DISTANCE_KM: ("It is {{{name}}} {is_}.", "kilometres"),
    FeatureKind.SPEED_KMH: ("It takes {{{name}}} {is_}.", "km/h"),
}


def words_of_field(name: str, value: ValueType, amount: str | None) -> Words:
    """How a field of the event is spoken of; `amount` is the field with the money at stake."""
    letter = "The amount of this transaction." if name == amount else "The details of this transaction."
    if value.kind is Kind.BOOLEAN:
        return Words(f"{name} is true.", f"{name} is false.", f"{name} is not known.", letter)
    return Words(f"{name} is {{{name}}}.", "", f"{name} is not known.", letter)


def words_of_feature(feature: PlannedFeature, features: dict[str, PlannedFeature]) -> Words:
    """How a feature is spoken of; `features` has those that an expression may compare with."""
    name, kind, definition = feature.name, feature.kind, feature.definition
    about = feature_sentence(feature)
    letter = _OF_LABELS if feature.reads_labels else _LETTERS.get(kind, _COMPARES)
    if definition.description:
        said = definition.description.rstrip(". ")
        if feature.type.kind is Kind.BOOLEAN:
            return Words(f"{_safe(said)}.", f"Not so: {_safe(said)}.", f"Not known: {_safe(said)}.", letter)
        return Words(f"{_safe(said)}: {{{name}}}.", "", f"Not known: {_safe(said)}.", letter)
    if kind is FeatureKind.EXPRESSION:
        return _of_expression(feature, features, letter)
    about = _safe(about)
    unknown = f"Not known: {about}."
    if kind is FeatureKind.IN_LIST:
        user, listed = definition.of, definition.list
        return Words(f"{user} is in the list {listed}.", f"{user} is not in the list {listed}.", unknown, letter)
    if kind is FeatureKind.FIRST_SEEN:
        rest = about.removeprefix("whether there is no earlier event")
        return Words(f"There is no earlier event{rest}.", f"There is an earlier event{rest}.", unknown, letter)
    if feature.type.kind is Kind.BOOLEAN:
        said = about.removeprefix("whether ")
        return Words(f"It is so that {said}.", f"It is not so that {said}.", unknown, letter)
    if about.startswith(_SINCE):
        event = about.removeprefix(_SINCE)
        return Words(f"The {event} was {{{name}}} ago.", "", f"There is no {_FIRST_OF.sub('', event)}.", letter)
    if kind in _IN_UNITS:
        holds = _IN_UNITS[kind][0].format(name=name, is_=about.replace(" needed", ""))
        return Words(holds, "", unknown, letter)
    return Words(f"The {about}, is {{{name}}}." if "," in about else f"The {about} is {{{name}}}.", "", unknown, letter)


def _of_expression(feature: PlannedFeature, features: dict[str, PlannedFeature], letter: str) -> Words:
    name, text = feature.name, " ".join((feature.definition.expression or "").split())
    unknown = f"{name} is not known: {_safe(text)}."
    compared = _COMPARED.fullmatch(text)
    if compared:
        what, first, second = compared.groups()
        how = "times" if what == "ratio" else "standard deviations from"
        return Words(f"{first} is {{{name}}} {how} {_named(second, features)}.", "", unknown, _COMPARES)
    if _OF_TIME.match(text):
        letter = "The time of this transaction."
    if feature.type.kind is Kind.BOOLEAN:
        return Words(f"{name} is true: {_safe(text)}.", f"{name} is false: {_safe(text)}.", unknown, letter)
    return Words(f"{name} is {{{name}}}: {_safe(text)}.", "", unknown, letter)


def _named(name: str, features: dict[str, PlannedFeature]) -> str:
    """A field by its name, a feature by what it is."""
    feature = features.get(name)
    if feature is None or feature.kind is FeatureKind.EXPRESSION:
        return name
    return f"the {_safe(feature_sentence(feature))}"


def _safe(text: str) -> str:
    """A text in which no brace begins a placeholder: SQL has none but in texts."""
    return text.replace("{", "(").replace("}", ")")
