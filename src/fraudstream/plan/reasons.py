"""The reason codes of a model: each input belongs to one, declared or made from its name, with sentences for people."""

from __future__ import annotations

import re

from fraudstream.define.decision import Reason
from fraudstream.define.fallback import RESERVED_CODES
from fraudstream.define.feature import FeatureKind
from fraudstream.define.reader import suggestion
from fraudstream.plan.plan import PlannedFeature, PlannedReason, ReasonInput, Sentence, Slot, Style
from fraudstream.plan.reason_words import words_of_feature, words_of_field
from fraudstream.plan.scope import Scope
from fraudstream.schema.types import Kind

CODE = re.compile(r"[A-Z][A-Z0-9_]{1,62}")
LONGEST_SENTENCE = 400
MOST_VALUES = 4
_SLOT = re.compile(r"\{([^{}]*)\}")


def plan_reasons(scope: Scope, features: tuple[PlannedFeature, ...]) -> tuple[PlannedReason, ...]:
    """The reasons of the pipeline's model; without one there are none."""
    model = scope.pipeline.model
    by_name = {feature.name: feature for feature in features}
    declared = _declared(scope, model.features if model else ())
    grouped: dict[str, list[ReasonInput]] = {}
    taken = {rule.code for rule in scope.pipeline.rules} | {reason.code for reason in scope.pipeline.reasons}
    for name in model.features if model else ():
        if name not in scope.types:
            continue
        reason = declared.get(name)
        code = reason.code if reason else _code_of(name, by_name.get(name), taken.union(RESERVED_CODES))
        grouped.setdefault(code, []).append(_input(scope, name, by_name, reason))
    return tuple(PlannedReason(code=code, inputs=tuple(inputs)) for code, inputs in grouped.items())


def check_length(scope: Scope, path: str, text: str) -> None:
    """Reports a sentence that is too long for an alert."""
    if len(text) > LONGEST_SENTENCE:
        scope.problem(path, f"{len(text)} characters.", f"At most {LONGEST_SENTENCE}: it stands in every alert.")


def _declared(scope: Scope, inputs: tuple[str, ...]) -> dict[str, Reason]:
    """The declared reason of each input that has one, after reporting what is wrong with them."""
    found: dict[str, Reason] = {}
    rules = {rule.code for rule in scope.pipeline.rules}
    seen: set[str] = set()
    for reason in scope.pipeline.reasons:
        path = f"reasons.{reason.code}"
        if not CODE.fullmatch(reason.code):
            advice = "Use upper case, digits and '_', like UNUSUAL_AMOUNT."
            scope.problem(path, f"{reason.code[:80]!r} is not a reason code.", advice)
        if reason.code in rules or reason.code in seen or reason.code in RESERVED_CODES:
            scope.problem(path, "the code is taken.", "Rules and reasons have a code of their own each.")
        seen.add(reason.code)
        if not reason.features:
            scope.problem(f"{path}.features", "no inputs.", "Name inputs of the model.")
        for name in reason.features:
            if name in found:
                scope.problem(f"{path}.features", f"{name!r} belongs to {found[name].code}.", "Name each input once.")
            elif name not in inputs:
                if name not in scope.broken:
                    found_text = f"{name!r} is no input of the model."
                    scope.problem(f"{path}.features", found_text, suggestion(name, inputs))
            else:
                found[name] = reason
        _check_sentence(scope, f"{path}.sentence", reason.sentence)
        check_length(scope, f"{path}.letter", reason.letter)
    return found


def _check_sentence(scope: Scope, path: str, text: str) -> None:
    check_length(scope, path, text)
    names = _SLOT.findall(text)
    if len(names) > MOST_VALUES:
        scope.problem(path, f"{len(names)} values.", f"At most {MOST_VALUES} fit into a sentence.")
    if re.search(r"[{}]", _SLOT.sub("", text)):
        scope.problem(path, "a brace without its other half.", "Write `{name}` for a value.")
    for name in names:
        found = scope.types.get(name)
        if found is None:
            if name not in scope.broken:
                scope.problem(path, f"no field or feature {name!r}.", suggestion(name, scope.types))
        elif not found.is_number:
            scope.problem(path, f"{name!r} is {found}.", "A sentence shows numbers.")


def _code_of(name: str, feature: PlannedFeature | None, taken: set[str]) -> str:
    """The code of an input that nothing is declared for: its name without the window, which its like share."""
    over = feature.definition.over if feature else None
    stem = name.removesuffix(f"_{over}") if over else name
    code = stem.upper().replace(".", "_").strip("_") or "INPUT"
    return f"MODEL_{code}" if code in taken else code


def _input(scope: Scope, name: str, features: dict[str, PlannedFeature], reason: Reason | None) -> ReasonInput:
    feature = features.get(name)
    if feature is None:
        words = words_of_field(name, scope.types[name], scope.pipeline.event.amount)
    else:
        words = words_of_feature(feature, features)
    text = reason.sentence if reason and reason.sentence else words.holds
    return ReasonInput(
        name=name,
        holds=_sentence(scope, text, features),
        otherwise=_sentence(scope, words.otherwise, features),
        own=_sentence(scope, words.holds, features),
        unknown=_sentence(scope, words.unknown, features),
        letter=reason.letter if reason and reason.letter else words.letter,
    )


def _sentence(scope: Scope, text: str, features: dict[str, PlannedFeature]) -> Sentence:
    parts = _SLOT.split(text)
    slots = tuple(_slot(scope, name, features.get(name)) for name in parts[1::2])
    return Sentence(texts=tuple(parts[::2]), slots=slots)


def _slot(scope: Scope, name: str, feature: PlannedFeature | None) -> Slot:
    found = scope.types.get(name)
    if feature is not None and feature.kind is FeatureKind.LABEL_RATE:
        return Slot(name=name, style=Style.SHARE)
    if feature is not None and feature.kind.startswith("since_"):
        return Slot(name=name, style=Style.DURATION)
    if found is not None and found.kind is Kind.DECIMAL:
        return Slot(name=name, style=Style.AMOUNT, scale=found.scale)
    return Slot(name=name, style=Style.WHOLE if found is not None and found.kind is Kind.INTEGER else Style.NUMBER)
