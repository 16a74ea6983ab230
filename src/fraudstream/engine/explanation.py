"""Why an alert was raised, in words: the rules that hit and the model's strongest reasons, as a member of its record.

Everything is looked up and written for all alerts of a batch at once; decisions that are no alerts cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from fraudstream.define.decision import Action
from fraudstream.define.fallback import BY_AMOUNT, MODEL_SCORE, OVER_LIMIT
from fraudstream.engine.column import Floats, Int64s
from fraudstream.engine.decisions import Decisions
from fraudstream.engine.kernels.memory import PADDING
from fraudstream.engine.kernels.reason_text import LONGEST_VALUE, choose_reasons, write_values
from fraudstream.engine.record_writer import RecordWriter
from fraudstream.plan.plan import Plan, Sentence, Slot, Style

Bytes = npt.NDArray[np.uint8]

MOST_REASONS = 4
"""Of rules, and of the model: more are of little help to those who read them, as the official interpretation of 12 CFR
1002.9(b)(2) has it for letters."""
_ANY_LETTER = "The circumstances of this transaction."
STYLES = {style: place for place, style in enumerate(Style)}
_HOLDS, _OTHERWISE, _OWN, _UNKNOWN = range(4)


class Spans(NamedTuple):
    """Text of each row of a batch: none, or a member to be written behind others: `,"explanation":{…}`."""

    buffer: Bytes
    start: Int64s
    length: Int64s


class _Entries(NamedTuple):
    """The reasons of all alerts, an alert's behind one another.

    Attributes:
        alert: int64[e], ascending: whose it is, by its place among the alerts.
        text: int64[e]: which of the texts it is.
        column: int64[e]: whose value it shows; -1: none.
        contribution: float64[e]; NaN: none.
    """

    alert: Int64s
    text: Int64s
    column: Int64s
    contribution: Floats


class Explainer:
    """Writes the explanations of a plan's alerts. One thread at a time may use it.

    Args:
        plan: The plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._rules = [i for i, rule in enumerate(plan.rules) if rule.definition.action is not Action.ALLOW]
        speaking = [plan.rules[place].definition for place in self._rules]
        texts = [
            _Text(rule.code, Sentence(texts=(rule.reason or _said(rule.when),)), rule.letter or _ANY_LETTER)
            for rule in speaking
        ]
        review_at = plan.pipeline.policy.review_threshold
        self._place = {}
        for code, said in (
            (MODEL_SCORE, f"The model's score reaches {review_at:g}, from which on it is reviewed."),
            (BY_AMOUNT, "The model took no part, so the amount alone decided."),
            (OVER_LIMIT, "The model took no part, and as much money as may be was approved without it."),
        ):
            self._place[code] = len(texts)
            texts.append(_Text(code, Sentence(texts=(said,)), _ANY_LETTER))
        model = plan.pipeline.model
        self._inputs = model.features if model else ()
        self._group, self._groups = np.zeros(len(self._inputs), np.int64), len(plan.reasons)
        self._input_text = np.empty(len(self._inputs), np.int64)
        for group, reason in enumerate(plan.reasons):
            for each in reason.inputs:
                place = self._inputs.index(each.name)
                self._group[place], self._input_text[place] = group, len(texts)
                variants = (each.holds, each.otherwise, each.own, each.unknown)  # in the order of _HOLDS, …
                texts += [_Text(reason.code, sentence, each.letter) for sentence in variants]
        shown = dict.fromkeys(chain(self._inputs, (slot.name for text in texts for slot in text.sentence.slots)))
        self._names = tuple(shown)
        self._texts = _Table(texts, self._names)
        self._last: tuple[Decisions, Spans] | None = None

    def __call__(self, decisions: Decisions) -> Spans:
        """The explanations of a batch's alerts. Asked again about the same decisions it gives what it gave."""
        if self._last is None or self._last[0] is not decisions:
            self._last = (decisions, self._written(decisions))
        return self._last[1]

    def _written(self, decisions: Decisions) -> Spans:
        n, alerts = len(decisions.batch), decisions.alerts
        nothing = Spans(np.zeros(PADDING, np.uint8), np.zeros(n, np.int64), np.zeros(n, np.int64))
        if not len(alerts):
            return nothing
        base, rest = np.full(len(alerts), np.nan), np.full(len(alerts), np.nan)
        entries = self._entries(decisions, alerts, base, rest)
        values = self._values(decisions, alerts, entries)
        reasons = _joined(self._write_entries(entries, values))
        ends = np.concatenate([[0], np.cumsum(reasons.length)])
        first, last = (np.searchsorted(entries.alert, np.arange(len(alerts)), side) for side in ("left", "right"))
        writer = RecordWriter(np.arange(len(alerts), dtype=np.int64))
        writer.literal(',"explanation":{"base":')
        writer.number(base)
        writer.literal(',"rest":')
        writer.number(rest)
        writer.literal(',"reasons":[')
        writer.span(reasons.buffer, ends[first], ends[last] - ends[first])
        writer.literal("]}")
        whole = _joined(writer.write())
        nothing.start[alerts], nothing.length[alerts] = whole.start, whole.length
        return Spans(whole.buffer, nothing.start, nothing.length)

    def _entries(self, decisions: Decisions, alerts: Int64s, base: Floats, rest: Floats) -> _Entries:
        """The rules that hit, then the model's reasons; fills in what the model began with and what is not shown."""
        hits = decisions.rule_hits[self._rules][:, alerts].T
        by_rule, rule = np.nonzero(hits & (np.cumsum(hits, axis=1) <= MOST_REASONS))
        parts = [(by_rule, rule, *_without_input(len(rule)))]
        bare = np.flatnonzero(decisions.by_model[alerts])
        found = decisions.contributions(alerts[bare]) if len(bare) else None
        if found is not None:
            place, bare = bare, bare[:0]
            chosen, added, leading, others = choose_reasons(found[1], self._group, self._groups, MOST_REASONS)
            base[place], rest[place] = found[0], others
            row, rank = np.nonzero(chosen >= 0)
            leads = leading[row, rank]
            parts.append((place[row], self._input_text[leads], leads, added[row, rank]))
        others_of = {MODEL_SCORE: bare}
        for code, rows in ((BY_AMOUNT, decisions.by_amount), (OVER_LIMIT, decisions.over_limit)):
            if rows is not None:
                others_of[code] = np.flatnonzero(rows[alerts])
        for code, place in others_of.items():
            parts.append((place, np.full(len(place), self._place[code]), *_without_input(len(place))))
        alert, text, column, contribution = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.argsort(alert, kind="stable")
        return _Entries(alert[order], text[order], column[order], contribution[order])

    def _values(self, decisions: Decisions, alerts: Int64s, entries: _Entries) -> Floats:
        """float64[names, alerts], null as NaN: of those fields and features that the entries may show."""
        inputs = entries.column >= 0
        wanted = np.zeros(len(self._names), np.bool_)
        wanted[entries.column[inputs]] = True
        slots = self._texts.slot[(entries.text[inputs, None] + np.arange(4)).ravel()]
        wanted[slots[slots >= 0]] = True
        values = np.full((max(len(self._names), 1), len(alerts)), np.nan)
        for place in np.flatnonzero(wanted).tolist():
            name = self._names[place]
            columns = decisions.features if name in decisions.features else decisions.batch.columns
            values[place] = columns[name].take(alerts).as_float()
        return values

    def _write_entries(self, entries: _Entries, values: Floats) -> list[bytes]:
        table, column = self._texts, entries.column
        own = np.where(column < 0, np.nan, values[column, entries.alert])
        text = self._spoken(entries, values, own)
        is_first = np.diff(entries.alert, prepend=-1) != 0
        writer = RecordWriter(np.arange(len(text), dtype=np.int64))
        writer.choice(is_first, (",", ""))
        writer.span(table.buffer, table.start[text, 0], table.length[text, 0])
        for place in range(table.slot.shape[1]):
            slot = table.slot[text, place]
            there = slot >= 0
            shown = np.where(there, values[slot, entries.alert], 0.0)
            out = np.empty(LONGEST_VALUE * len(text) + PADDING, np.uint8)
            start, length = write_values(shown, table.style[text, place], table.scale[text, place], out)
            writer.span(out, start, np.where(there, length, 0))
            writer.span(table.buffer, table.start[text, place + 1], table.length[text, place + 1])
        writer.literal(',"contribution":')
        writer.number(entries.contribution)
        writer.literal(',"value":')
        writer.number(own)
        writer.literal("}")
        return writer.write()

    def _spoken(self, entries: _Entries, values: Floats, own: Floats) -> Int64s:
        """int64[e], the text that is true of each entry: of its four, or its only one."""
        first, is_input = entries.text, entries.column >= 0
        slots = self._texts.slot[first]
        missing = ((slots >= 0) & np.isnan(values[slots, entries.alert[:, None]])).any(axis=1)
        has_otherwise = is_input & self._texts.is_said[np.where(is_input, first + _OTHERWISE, 0)]
        variant = np.where(missing, _OWN, _HOLDS)
        variant = np.where(has_otherwise & (own == 0.0), _OTHERWISE, variant)
        return first + np.where(is_input & np.isnan(own), _UNKNOWN, np.where(is_input, variant, _HOLDS))


class _Text(NamedTuple):
    """What is said with a reason code."""

    code: str
    sentence: Sentence
    letter: str

    def pieces(self) -> list[str]:
        """The JSON between the values."""
        first, *others = (_inside(text) for text in self.sentence.texts)
        pieces = [f'{{"code":"{self.code}","sentence":"{first}', *others]
        pieces[-1] += f'","letter":"{_inside(self.letter)}"'
        return pieces


class _Table:
    """Texts as arrays: pieces of JSON in one buffer, and between them whose value goes there and how.

    Attributes:
        buffer, start, length: uint8, int64[texts, pieces], int64[texts, pieces].
        slot: int64[texts, pieces - 1], an index into the names, -1: nothing.
        style, scale: int8[texts, pieces - 1].
        is_said: bool[texts], whether the sentence is not empty.
    """

    def __init__(self, texts: Sequence[_Text], names: tuple[str, ...]) -> None:
        pieces = [text.pieces() for text in texts]
        slots: list[tuple[Slot, ...]] = [text.sentence.slots for text in texts]
        most = max(map(len, pieces))
        encoded = [piece.encode() for row in pieces for piece in (*row, *[""] * (most - len(row)))]
        self.buffer = np.frombuffer(bytearray(b"".join(encoded) + bytes(PADDING)), np.uint8)
        self.length = np.array([len(piece) for piece in encoded], np.int64).reshape(-1, most)
        self.start = (np.cumsum(self.length) - self.length.ravel()).reshape(-1, most)
        self.slot = np.full((len(slots), most - 1), -1, np.int64)
        self.style, self.scale = (np.zeros(self.slot.shape, np.int8) for _ in range(2))
        for row, given in enumerate(slots):
            for place, slot in enumerate(given):
                self.slot[row, place] = names.index(slot.name)
                self.style[row, place], self.scale[row, place] = STYLES[slot.style], slot.scale
        self.is_said = np.array([text.sentence.texts != ("",) for text in texts], np.bool_)


def _without_input(count: int) -> tuple[Int64s, Floats]:
    """No column and no contribution, for so many entries."""
    return np.full(count, -1), np.full(count, np.nan)


def _said(when: str) -> str:
    return f"It is so that {' '.join(when.split())}."


def _inside(text: str) -> str:
    """A text as it stands between the quotes of a JSON string."""
    return orjson.dumps(text).decode()[1:-1]


def _joined(records: list[bytes]) -> Spans:
    buffer = np.frombuffer(bytearray(b"".join(records) + bytes(PADDING)), np.uint8)
    length = np.array([len(record) for record in records], np.int64)
    return Spans(buffer, np.cumsum(length) - length, length)
