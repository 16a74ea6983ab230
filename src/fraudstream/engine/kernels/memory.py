"""Machine words over byte arrays: what NumPy and Numba do not offer and byte-level kernels are built from.

Reads are not bounds-checked. Whoever reads words past the end of a text gives its buffer `PADDING` spare bytes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

PADDING = 32
"""Spare zero bytes at the end of every buffer that kernels read in words."""

_WORD = ir.IntType(64)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@intrinsic
def byte_at(typing_context: Any, array: Any, index: Any) -> Any:
    """The byte at an index of a uint8 array, as int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments)
        return builder.zext(builder.load(address), _WORD)

    return types.int64(array, types.int64), generate


@intrinsic
def word_at(typing_context: Any, array: Any, index: Any) -> Any:
    """The eight bytes from an index of a uint8 array, little-endian, as uint64; any alignment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments)
        return builder.load(builder.bitcast(address, _WORD.as_pointer()), align=1)

    return types.uint64(array, types.int64), generate


@intrinsic
def copy_bytes(typing_context: Any, target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:
    """Copy `length` bytes of `source` from `start` to `target` from `at`; the two must not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, at, source, start, length = arguments
        to = _address(context, builder, signature.args[0], target, at)
        origin = _address(context, builder, signature.args[2], source, start)
        cgutils.raw_memcpy(builder, to, origin, length, 1)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


@intrinsic
def trailing_zeros(typing_context: Any, word: Any) -> Any:
    """How many of a uint64's lowest bits are zero; 64 for zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def leading_zeros(typing_context: Any, word: Any) -> Any:
    """How many of a uint64's highest bits are zero; 64 for zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate


@intrinsic
def multiply_high(typing_context: Any, left: Any, right: Any) -> Any:
    """The high 64 bits of the 128-bit product of two uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), _WORD)

    return types.uint64(types.uint64, types.uint64), generate


@intrinsic
def float_of_bits(typing_context: Any, bits: Any) -> Any:
    """The float64 whose IEEE 754 representation is this uint64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@intrinsic
def bits_of_float(typing_context: Any, number: Any) -> Any:
    """The IEEE 754 representation of a float64, as int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], _WORD)

    return types.int64(types.float64), generate
