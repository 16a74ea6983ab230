"""Scores events with a model in ONNX form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fraudstream.errors import DamagedModel, ModelError
from fraudstream.models.artifact import ADVICE, Artifact, load_version
from fraudstream.models.contributions import Contributions, Contributor, read_contributor

Floats = npt.NDArray[np.float64]
GOLDEN_TOLERANCE = 1e-6
"""Between a golden score and what a scorer gives on whatever machine: float32 models differ in their last digits."""

_LANES = 16
"""Rows are filled up to a multiple of it: ONNX Runtime computes what does not fill a vector register by other
instructions, and then the last bit of a score would depend on how many events were scored together."""


class OnnxScorer:
    """A model ready to score.

    Args:
        artifact: The verified artefact.
        features: The inputs the pipeline declares; they must be the model's.

    Raises:
        ModelError: The artefact was trained for other features.
        DamagedModel: It is not a model that ONNX Runtime can run, or gives other scores than when it was made.
    """

    def __init__(self, artifact: Artifact, features: tuple[str, ...]) -> None:
        import onnxruntime  # 100 ms that commands without a model should not pay

        manifest = artifact.manifest
        if manifest.features != features:
            differing = sorted(set(manifest.features) ^ set(features)) or ["their order"]
            raise ModelError(
                f"The model {manifest.name!r}, version {manifest.version}, was trained on other features than the "
                f"pipeline declares; they differ in {', '.join(differing)}.",
                "Train it again with `fraudstream train`, or restore the pipeline's `model.features`.",
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(artifact.onnx, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common base for its errors
            raise DamagedModel(
                f"The model {manifest.name!r}, version {manifest.version}, cannot be loaded: {error}.",
                ADVICE,
            ) from error
        self._input = self._session.get_inputs()[0].name
        self._contributor = _contributor(artifact)
        self._quantiles = np.array(manifest.quantiles, np.float64)
        self.manifest = manifest
        self._check_golden()

    def _check_golden(self) -> None:
        """The model still gives what it gave when it was made: on this machine, with this version of ONNX Runtime."""
        golden = self.manifest.golden
        if golden is None:
            return
        name = f"The model {self.manifest.name!r}, version {self.manifest.version},"
        try:
            found = self.score([np.array(column, np.float64) for column in zip(*golden.inputs, strict=True)])
            difference = float(np.abs(found - np.array(golden.scores)).max())
        except Exception as error:  # ONNX Runtime has no common base for its errors
            raise DamagedModel(f"{name} fails on its golden inputs: {error}.", ADVICE) from error
        if not difference <= GOLDEN_TOLERANCE:  # also where it is not a number
            raise DamagedModel(
                f"{name} gives its {len(golden.scores)} golden inputs scores that differ by up to {difference:g} from "
                f"those it gave when it was made; {GOLDEN_TOLERANCE:g} is allowed.",
                ADVICE,
            )

    @property
    def version(self) -> str:
        """The model's version, as decisions carry it."""
        return self.manifest.version

    def score(self, inputs: list[Floats]) -> Floats:
        """float64[n] in 0…1 from one float64[n] an input, null as NaN. A score that is not finite is NaN."""
        n = len(inputs[0])
        matrix = self._matrix(inputs, -(-n // _LANES) * _LANES)
        raw = self._session.run([self.manifest.output], {self._input: matrix})[0]
        scores: Floats = (raw if raw.ndim == 1 else raw[:, -1])[:n].astype(np.float64)
        scores = scores_of(scores, self._quantiles)
        return np.where(np.isfinite(scores), np.clip(scores, 0.0, 1.0), np.nan)

    def contributions(self, inputs: list[Floats]) -> Contributions | None:
        """What each input contributed to the margins of the events, given as to `score`; None where nothing says it."""
        if self._contributor is None:
            return None
        return self._contributor(self._matrix(inputs, len(inputs[0])).astype(np.float64))

    def _matrix(self, inputs: list[Floats], rows: int) -> npt.NDArray[np.float32]:
        """float32[rows, inputs], as the model takes them; zeros where there are fewer events."""
        matrix = np.zeros((rows, len(inputs)), np.float32)
        for column, values in enumerate(inputs):
            matrix[: len(values), column] = values
        np.nan_to_num(matrix, copy=False, nan=self.manifest.missing)
        return matrix


def scores_of(raw: Floats, quantiles: Floats | tuple[float, ...]) -> Floats:
    """float64[n]: the scores of raw ones by a manifest's curve."""
    return np.interp(raw, quantiles, np.linspace(0.0, 1.0, len(quantiles))) if len(quantiles) else raw


def load_whole(folder: Path, name: str, version: str, features: tuple[str, ...]) -> OnnxScorer:
    """One version of a model, found whole: read, verified and tried.

    Raises:
        ModelError: It was trained for other features.
        DamagedModel: It is not there, is not the file its manifest was written for, or cannot score.
    """
    scorer = OnnxScorer(load_version(folder, name, version), features)
    try:
        trial = [np.array([0.0, np.nan])] * len(features)
        scores = scorer.score(trial)
        scorer.contributions(trial)  # and its kernel is compiled before the first alert
    except Exception as error:  # ONNX Runtime has no common base for its errors
        raise DamagedModel(f"The model {name!r}, version {version}, fails on a trial: {error}.", ADVICE) from error
    if scores.shape != (2,) or np.isnan(scores).all():
        raise DamagedModel(f"The model {name!r}, version {version}, gave no score on a trial.", ADVICE)
    return scorer


def _contributor(artifact: Artifact) -> Contributor | None:
    if not artifact.contributions:
        return None
    manifest = artifact.manifest
    try:
        return read_contributor(artifact.contributions, len(manifest.features))
    except (ValueError, IndexError) as error:  # msgspec's errors are ValueErrors
        raise DamagedModel(
            f"The contributions of the model {manifest.name!r}, version {manifest.version}, cannot be read: {error}.",
            ADVICE,
        ) from error
