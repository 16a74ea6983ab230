"""Asks the processor to fetch a row of an array before it is needed.

With large states a kernel's time is waiting for memory. The keys of the next events in the batch are known, so their
rows can be on their way while the present event is computed.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


@intrinsic
def prefetch_row(typing_context, array, row):
    """Starts fetching the cache line at which row `row` of a C-contiguous 2-D array begins; no bounds are checked."""
    signature = types.void(array, types.int64)

    def generate(context, builder, _signature, arguments):
        structure = context.make_array(array)(context, builder, arguments[0])
        row_bytes = cgutils.unpack_tuple(builder, structure.strides, 2)[0]
        address = builder.ptrtoint(structure.data, ir.IntType(64))
        place = builder.inttoptr(builder.add(address, builder.mul(arguments[1], row_bytes)), cgutils.voidptr_t)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, *[ir.IntType(32)] * 3]),
            "llvm.prefetch.p0i8",
        )
        constant = ir.IntType(32)
        # For reading, keep in all cache levels, data.
        builder.call(function, [place, constant(0), constant(3), constant(1)])
        return context.get_dummy_value()

    return signature, generate
