"""`python -m fraudstream.pipelines.warm`: compiles the kernels of every shipped pipeline into Numba's cache, once."""

from __future__ import annotations

import time

import msgspec
import numpy as np

from fraudstream.define.pipeline import Format
from fraudstream.engine.decode import Decoder
from fraudstream.engine.decode_framed import FramedDecoder
from fraudstream.engine.program import Program
from fraudstream.engine.wire_writer import WireWriter
from fraudstream.models.contributions import LEAF, Tree, TreeContributor
from fraudstream.pipelines import SHIPPED, find_plan, names
from fraudstream.plan.compile import plan_of
from fraudstream.runner.warmup import warm_up
from fraudstream.tokens.held import use_keys
from fraudstream.tokens.keys import TokenKeys
from fraudstream.tokens.secret import Secret


class _NoSchemas:
    def schema(self, schema_id: int) -> None:
        return None


def main() -> None:
    """Warms each pipeline up in turn; kernels they share are compiled by the first."""
    began = time.monotonic()
    use_keys(lambda: TokenKeys("warm", {"warm": Secret.of(bytes(32))}))  # nothing is kept of what they make
    for name in names():
        shipped = find_plan(name, SHIPPED, {})
        for plan in (shipped, plan_of(msgspec.structs.replace(shipped.pipeline, max_keys=1_000))):
            warm_up(Program(plan), Decoder(plan.pipeline.event))
    for form in (Format.AVRO, Format.PROTOBUF):
        FramedDecoder(shipped.pipeline.event, form, _NoSchemas())
    WireWriter(np.empty(0, np.int64), zigzag=True).write()
    leaf = Tree(*(np.array([value]) for value in (LEAF, 0.0, 0, 0, 0.0, 1.0)))
    TreeContributor([leaf])(np.zeros((1, 1)))
    print(f"kernels compiled in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
