"""Bytes and machine words in memory: what Numba does not offer and byte-level kernels are built from.

Nothing is bounds-checked. Whoever reads words past the end of a text gives its buffer `PADDING` spare bytes.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

PADDING = 32
"""Spare zero bytes at the end of every buffer that kernels read in words."""

Address = int
"""Where an array's first element stands in memory. Kernels that touch single bytes take addresses instead of arrays,
because Numba counts an array's references at every call, which costs more than the byte."""

_BYTE, _WORD = ir.IntType(8), ir.IntType(64)


def _pointer(builder: Any, base: Any, index: Any, kind: Any) -> Any:
    offset = builder.mul(index, ir.Constant(_WORD, kind.width // 8 if isinstance(kind, ir.IntType) else 8))
    return builder.inttoptr(builder.add(base, offset), kind.as_pointer())


@intrinsic
def address_of(typing_context: Any, array: Any) -> Any:
    """The address of an array's first element. Whoever uses it keeps the array alive."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(data, _WORD)

    return types.int64(array), generate


@intrinsic
def byte_at(typing_context: Any, base: Any, index: Any) -> Any:
    """The byte at an index, as int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.load(_pointer(builder, arguments[0], arguments[1], _BYTE)), _WORD)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def put_byte(typing_context: Any, base: Any, index: Any, value: Any) -> Any:
    """Write the low eight bits of an int64 as the byte at an index."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base, index, value = arguments
        builder.store(builder.trunc(value, _BYTE), _pointer(builder, base, index, _BYTE))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def word_at(typing_context: Any, base: Any, index: Any) -> Any:
    """The eight bytes from a byte index on, little-endian, as uint64; any alignment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(builder.add(*arguments), _WORD.as_pointer())
        return builder.load(pointer, align=1)

    return types.uint64(types.int64, types.int64), generate


@intrinsic
def put_word(typing_context: Any, base: Any, index: Any, value: Any) -> Any:
    """Write a uint64 as eight bytes from a byte index on, little-endian; any alignment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base, index, value = arguments
        builder.store(value, builder.inttoptr(builder.add(base, index), _WORD.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.uint64), generate


@intrinsic
def int_at(typing_context: Any, base: Any, index: Any) -> Any:
    """Element `index` of an int64 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, arguments[0], arguments[1], _WORD))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def put_int(typing_context: Any, base: Any, index: Any, value: Any) -> Any:
    """Set element `index` of an int64 or uint64 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        base, index, value = arguments
        builder.store(value, _pointer(builder, base, index, _WORD))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def float_at(typing_context: Any, base: Any, index: Any) -> Any:
    """Element `index` of a float64 array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_pointer(builder, arguments[0], arguments[1], ir.DoubleType()))

    return types.float64(types.int64, types.int64), generate


@intrinsic
def copy_bytes(typing_context: Any, target: Any, at: Any, source: Any, start: Any, length: Any) -> Any:
    """Copy `length` bytes from `start` of one address to `at` of another; the two must not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, at, source, start, length = arguments
        to = _pointer(builder, target, at, _BYTE)
        origin = _pointer(builder, source, start, _BYTE)
        cgutils.raw_memcpy(builder, to, origin, length, 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64, types.int64), generate


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
