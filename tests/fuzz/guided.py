"""Coverage-guided fuzzing with atheris: one target a process, as libFuzzer wants it.

    python -m fuzz.guided decoder|pipeline|expression FOLDER [libFuzzer's options]

The decoder's target runs the scan as interpreted Python (`interpreted.py`), whose branches atheris can see, and
compares it with the reference. What is worth keeping is put into the folder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import atheris

from fraudstream.define.feature import FeatureKind


def _decoder() -> Callable[[bytes], None]:
    from . import interpreted

    with atheris.instrument_imports(include=["fraudstream.engine", "json"]):
        from fraudstream.engine import decode  # noqa: F401 - imported to be instrumented

        from .differential import Differential
    from .poison import EVERY_TYPE, NOW_MS, ODD

    interpreted.check_the_scan()
    checks = (Differential(EVERY_TYPE), Differential(ODD))
    known = interpreted.REGIONS.known()

    def once(data: bytes) -> None:
        interpreted.REGIONS.keep_only(known)
        # Two records in one buffer: what the first leaves behind must not change the second.
        half = len(data) // 2
        checks[0].check([data], NOW_MS)
        if len(data) % 8 == 0:
            checks[1].check([data[:half], data[half:]], NOW_MS)

    return once


def _texts(check: str) -> Callable[[bytes], None]:
    with atheris.instrument_imports(include=["fraudstream.define", "fraudstream.plan"]):
        from . import texts
    function = getattr(texts, check)

    def once(data: bytes) -> None:
        function(data.decode("utf-8", "surrogateescape"))

    return once


TARGETS: dict[str, Callable[[], Callable[[bytes], None]]] = {
    "decoder": _decoder,
    "pipeline": lambda: _texts("check_pipeline"),
    "expression": lambda: _texts("check_expression"),
}


def seeds(target: str) -> list[bytes]:
    """What a target begins with."""
    if target == "decoder":
        from .mutate import Mutator

        return [record for record in Mutator(0).records(600) if record is not None and len(record) < 1_500]
    from fraudstream.pipelines import SHIPPED

    if target == "pipeline":
        return [path.read_bytes() for path in sorted(SHIPPED.glob("*.yaml"))]
    from .texts import WORDS

    return [
        b"amount > 10 and not flag",
        b"case when score > 0.5 then 1 else null end",
        " ".join(WORDS).encode("utf-8", "ignore"),
    ]


_LANGUAGE = """
    name description event fields id time key amount path type format sensitive scale input labels routes topic carries
    form partitions lists values file features by over of prior where delay steps rules when action reason score model
    trainer policy medium high critical precedence decimal(2) string? ${A:-b} $${ &a *a !!python/object:x --- |2- {over}
    1h
"""


def dictionary(target: str) -> list[bytes]:
    """The words of a target's language."""
    if target == "decoder":
        from .mutate import _TOKENS

        return list(_TOKENS)
    from .texts import WORDS

    pipeline = (*_LANGUAGE.split(), *(f"{kind}: " for kind in FeatureKind), "- ", "? ")
    return [word.encode() for word in (WORDS if target == "expression" else pipeline)]


def main() -> None:
    target, folder, *options = sys.argv[1:]
    once = TARGETS[target]()
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (place / f"seed-{number:03d}").write_bytes(seed)
    words = place.with_suffix(".dict")
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in dictionary(target)))
    atheris.Setup([sys.argv[0], str(place), f"-dict={words}", *options], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
