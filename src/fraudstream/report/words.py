"""A few events' reasons in words: the sentences that their alerts would have carried."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fraudstream.engine.explanation import STYLES
from fraudstream.engine.kernels.memory import PADDING
from fraudstream.engine.kernels.reason_text import LONGEST_VALUE, write_values
from fraudstream.plan.plan import PlannedReason, ReasonInput, Sentence, Slot

Floats = npt.NDArray[np.float64]


_LEAST = 0.005
"""What contributes less is not worth a sentence."""


class Speaker:
    """Says what a model's inputs are.

    Args:
        reasons: The model's reasons.
        inputs: The names of its inputs, in order.
        missing: What stands for null.
    """

    def __init__(self, reasons: tuple[PlannedReason, ...], inputs: tuple[str, ...], missing: float) -> None:
        self._place = {name: place for place, name in enumerate(inputs)}
        self._missing = np.float64(np.float32(missing))
        self._spoken = {each.name: each for reason in reasons for each in reason.inputs}
        self.codes = [reason.code for reason in reasons]
        self.group = np.zeros(len(inputs), np.int64)
        for number, reason in enumerate(reasons):
            for each in reason.inputs:
                self.group[self._place[each.name]] = number
        self._names = inputs

    def strongest(self, row: Floats, contributions: Floats, *, most: int, against: bool = False) -> tuple[str, ...]:
        """What raised an event's score most, or lowered it, one sentence a code with the size of its contribution.

        Args:
            row: float64[inputs], as the model takes them.
            contributions: float64[inputs].
            most: How many sentences at most.
            against: Whether what lowered the score is asked for.
        """
        sign = -1.0 if against else 1.0
        sums = np.bincount(self.group, weights=sign * contributions, minlength=len(self.codes))
        found = []
        for code in np.argsort(-sums, kind="stable")[:most].tolist():
            if sums[code] > _LEAST:
                members = np.flatnonzero(self.group == code)
                leading = int(members[np.argmax(sign * contributions[members])])
                found.append(f"{self.sentence(leading, row)} ({sign * sums[code]:+.2f})")
        return tuple(found)

    def sentence(self, column: int, row: Floats) -> str:
        """What is said of an input of an event."""
        said = self._spoken[self._names[column]]
        value = self._value(said.name, row)
        return self._filled(self._chosen(said, value, row), row)

    def _chosen(self, said: ReasonInput, value: float, row: Floats) -> Sentence:
        if np.isnan(value):
            return said.unknown
        if value == 0.0 and said.otherwise.texts != ("",):
            return said.otherwise
        missing = any(np.isnan(self._value(slot.name, row)) for slot in said.holds.slots)
        return said.own if missing else said.holds

    def _value(self, name: str, row: Floats) -> float:
        """The value of an input; NaN where it is null, or no input of the model."""
        place = self._place.get(name)
        if place is None or row[place] == self._missing:
            return float("nan")
        return float(row[place])

    def _filled(self, sentence: Sentence, row: Floats) -> str:
        said = [text + self._shown(slot, row) for text, slot in zip(sentence.texts, sentence.slots, strict=False)]
        return "".join(said) + sentence.texts[-1]

    def _shown(self, slot: Slot, row: Floats) -> str:
        out = np.empty(LONGEST_VALUE + PADDING, np.uint8)
        style, scale = np.array([STYLES[slot.style]], np.int8), np.array([slot.scale], np.int8)
        start, length = write_values(np.array([self._value(slot.name, row)]), style, scale, out)
        return out[start[0] : start[0] + length[0]].tobytes().decode()
