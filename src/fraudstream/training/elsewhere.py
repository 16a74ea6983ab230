"""Models made elsewhere, in ONNX form: brought to the one shape that scorers take, or refused with the reason.

A scorer gives a model float32[n, features] and takes one number a row, or the last of several columns. Exporters write
other things, too: float64 inputs, a second output with the chosen class, probabilities as a list of mappings (ZipMap),
log-odds instead of probabilities. What can be brought into shape by a node more or less is; no number changes by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fraudstream.errors import ModelError
from fraudstream.models.artifact import Golden, Manifest, version_of
from fraudstream.training.forest import Floats

Matrix = npt.NDArray[np.float32]

ELSEWHERE = "onnx"
"""What manifests give as the trainer."""
_INPUT, _SCORE = "fraudstream_features", "fraudstream_score"
_TRIAL_ROWS = 32


class GivenModel:
    """A model as it was given, in the shape that scorers take.

    Args:
        onnx: The file.
        features: The pipeline's inputs, in their order.
        output: Which of its outputs is the score; None: the only one that can be.
        log_odds: Whether it gives log-odds, which a sigmoid is to make probabilities of.

    Raises:
        ModelError: It does not fit; says why, and what to export instead.
    """

    output = _SCORE
    largest_difference = 1e-6

    def __init__(self, onnx: bytes, features: Sequence[str], output: str | None, *, log_odds: bool) -> None:
        self._onnx = _in_shape(onnx, features, output, log_odds)
        self._session = _session(self._onnx)
        self._try(len(features), log_odds)

    def predict(self, matrix: Matrix) -> Floats:
        """float64[n]: its raw scores."""
        raw = self._session.run([_SCORE], {_INPUT: matrix})[0]
        return np.asarray(raw if raw.ndim == 1 else raw[:, -1], np.float64)

    def to_onnx(self) -> bytes:
        """The file in shape."""
        return self._onnx

    def contributions(self) -> bytes:
        """None: nothing is known of what is inside."""
        return b""

    def manifest(self, name: str, features: tuple[str, ...], missing: float, trained_at: str, data: str) -> Manifest:
        """What is known of it without a history: its scores are taken as they are."""
        version, sha256 = version_of(self._onnx)
        rows = _trial(len(features))
        return Manifest(
            name=name,
            version=version,
            sha256=sha256,
            trainer=ELSEWHERE,
            features=features,
            missing=missing,
            output=_SCORE,
            trained_at=trained_at,
            data=data,
            golden=Golden(
                inputs=tuple(map(tuple, rows.astype(np.float64).tolist())),
                scores=tuple(np.clip(self.predict(rows), 0, 1).tolist()),
            ),
        )

    def _try(self, inputs: int, log_odds: bool) -> None:
        """It scores several events at once, each by itself, with numbers from 0 to 1."""
        rows = _trial(inputs)
        try:
            raw = self._session.run([_SCORE], {_INPUT: rows})[0]
        except Exception as failed:  # ONNX Runtime has no common base for its errors
            reason = str(failed).splitlines()[0]
            raise ModelError(
                f"The model fails on {len(rows)} events of {inputs} inputs: {reason}.",
                "Export it with a batch dimension of any length, and with one column for each input.",
            ) from None
        shape = list(raw.shape)
        if raw.ndim not in (1, 2) or shape[0] != len(rows) or (raw.ndim == 2 and shape[1] not in (1, 2)):
            raise ModelError(
                f"The model gives {shape} for {len(rows)} events.",
                "Allowed are one number an event, [n] or [n, 1], or the probabilities of genuine and fraud, [n, 2].",
            )
        scores = self.predict(rows)
        if not np.isfinite(scores).all():
            raise ModelError("The model gives scores that are no numbers.", "Look for divisions by 0 in it.")
        if scores.min() < 0 or scores.max() > 1:
            raise ModelError(
                f"The model gives scores from {scores.min():g} to {scores.max():g}, and a score is from 0 to 1.",
                "Name the output of probabilities with --output, or say --log-odds if these are log-odds."
                if not log_odds
                else "Name the output of log-odds with --output.",
            )
        alone = np.concatenate([self.predict(row.reshape(1, -1)) for row in rows])
        if np.abs(alone - scores).max() > self.largest_difference:
            raise ModelError(
                "The model scores an event otherwise when it comes alone than among others.",
                "Export it for inference: normalise over what it was trained on, not over the batch.",
            )


def _in_shape(raw: bytes, features: Sequence[str], output: str | None, log_odds: bool) -> bytes:
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import TensorProto, helper

    try:
        model = onnx.load_model_from_string(raw)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError) as failed:
        reason = str(failed).strip().splitlines()[0]
        raise ModelError(f"This is not an ONNX model: {reason}.", "Give the file that was exported.") from None
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [each for each in graph.input if each.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs) or "none"
        raise ModelError(f"The model has {len(inputs)} inputs ({names}).", "Export it with one: [n, features].")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type not in (TensorProto.FLOAT, TensorProto.DOUBLE):
        raise ModelError(
            f"The model's input {inputs[0].name!r} is of {TensorProto.DataType.Name(tensor.elem_type)}.",
            "Export it for FLOAT or DOUBLE.",
        )
    sizes = [part.dim_value if part.HasField("dim_value") else None for part in tensor.shape.dim]
    if len(sizes) != 2 or sizes[0] is not None or sizes[1] not in (None, len(features)):
        shown = ", ".join("any" if size is None else str(size) for size in sizes)
        raise ModelError(
            f"The model's input {inputs[0].name!r} has the shape [{shown}]; the pipeline gives [any, {len(features)}].",
            "Export it with a batch dimension of any length and one column for each of the pipeline's inputs: "
            f"{', '.join(features)}.",
        )
    score, kind = _score_of(graph, output)
    before = [helper.make_node("Cast", [_INPUT], [inputs[0].name], to=tensor.elem_type)]
    after = [helper.make_node("Sigmoid" if log_odds else "Identity", [score], [_SCORE])]
    whole = helper.make_graph(
        [*before, *(node for node in graph.node if node.op_type != "ZipMap"), *after],
        graph.name or "model",
        [helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, ["n", len(features)])],
        [helper.make_tensor_value_info(_SCORE, kind, None)],
        list(graph.initializer),
    )
    made = helper.make_model(
        whole, opset_imports=model.opset_import, ir_version=model.ir_version, functions=list(model.functions)
    )
    return bytes(made.SerializeToString(deterministic=True))


def _score_of(graph: Any, wanted: str | None) -> tuple[str, int]:
    """The tensor of the score, and its type: an output of floats, or what a ZipMap makes mappings of."""
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.DOUBLE)
    mapped = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ZipMap"}
    found = {}
    for each in graph.output:
        if each.name in mapped:
            found[each.name] = (mapped[each.name], int(TensorProto.FLOAT))  # what a ZipMap takes
        elif each.type.tensor_type.elem_type in floats:
            found[each.name] = (each.name, int(each.type.tensor_type.elem_type))
    if wanted is not None:
        if wanted not in found:
            raise ModelError(
                f"The model has no output {wanted!r} of numbers.", f"It has: {', '.join(found) or 'none'}."
            )
        return found[wanted]
    if len(found) != 1:
        names = ", ".join(each.name for each in graph.output)
        raise ModelError(
            f"Of the model's outputs ({names}) {len(found)} could be the score.",
            "Name it with --output." if found else "Export the probability of fraud as an output of floats.",
        )
    return next(iter(found.values()))


def _session(raw: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(raw, options, providers=["CPUExecutionProvider"])
    except Exception as failed:  # ONNX Runtime has no common base for its errors
        reason = str(failed).splitlines()[0]
        raise ModelError(
            f"ONNX Runtime cannot run the model: {reason}.", "Export it with operators that it knows."
        ) from None


def _trial(inputs: int) -> Matrix:
    """Rows of all kinds of size: amounts, shares, counts, and nulls' number."""
    chance = np.random.default_rng(1)
    rows = chance.normal(size=(_TRIAL_ROWS, inputs)) * 10.0 ** chance.integers(-1, 4, (_TRIAL_ROWS, inputs))
    rows[chance.random(rows.shape) < 0.2] = -1.0
    return rows.astype(np.float32)
