"""Unaligned loads, prefetch and the 128-bit product, which numba has no spelling for."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_U64 = ir.IntType(64)
_U32 = ir.IntType(32)
_U8 = ir.IntType(8)


def _loader(width: ir.IntType) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(builder.inttoptr(args[0], width.as_pointer()))
        value.align = 1
        return value if width is _U64 else builder.zext(value, _U64)

    return codegen


@intrinsic
def load64(typingctx: Any, address: Any) -> Any:
    """Eight little-endian bytes at an address, as uint64."""
    return types.uint64(types.int64), _loader(_U64)


@intrinsic
def load32(typingctx: Any, address: Any) -> Any:
    """Four bytes at an address, as uint64."""
    return types.uint64(types.int64), _loader(_U32)


@intrinsic
def load8(typingctx: Any, address: Any) -> Any:
    """One byte at an address, as uint64."""
    return types.uint64(types.int64), _loader(_U8)


@intrinsic
def store64(typingctx: Any, address: Any, value: Any) -> Any:
    """Write eight bytes at an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        instruction = builder.store(args[1], builder.inttoptr(args[0], _U64.as_pointer()))
        instruction.align = 1
        return context.get_dummy_value()

    return types.void(types.int64, types.uint64), codegen


def _storer(width: ir.IntType) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.trunc(args[1], width)
        instruction = builder.store(value, builder.inttoptr(args[0], width.as_pointer()))
        instruction.align = 1
        return context.get_dummy_value()

    return codegen


@intrinsic
def store32(typingctx: Any, address: Any, value: Any) -> Any:
    """Write the low four bytes of a uint64 at an address."""
    return types.void(types.int64, types.uint64), _storer(_U32)


@intrinsic
def store8(typingctx: Any, address: Any, value: Any) -> Any:
    """Write the low byte of a uint64 at an address."""
    return types.void(types.int64, types.uint64), _storer(_U8)


@intrinsic
def copy_bytes(typingctx: Any, to: Any, source: Any, size: Any) -> Any:
    """``memcpy``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _U8.as_pointer()
        function = builder.module.declare_intrinsic("llvm.memcpy", [pointer, pointer, _U64])
        to, source = (builder.inttoptr(a, pointer) for a in args[:2])
        builder.call(function, [to, source, args[2], ir.IntType(1)(0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def prefetch(typingctx: Any, address: Any) -> Any:
    """Ask for the cache line of an address."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _U8.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _U32, _U32, _U32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [pointer], kind)
        builder.call(function, [builder.inttoptr(args[0], pointer), _U32(0), _U32(3), _U32(1)])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


@intrinsic
def mul128(typingctx: Any, left: Any, right: Any) -> Any:
    """The low and the high half of the 128-bit product of two uint64."""
    pair = types.UniTuple(types.uint64, 2)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        low = builder.trunc(product, _U64)
        high = builder.trunc(builder.lshr(product, wide(64)), _U64)
        return context.make_tuple(builder, pair, [low, high])

    return pair(types.uint64, types.uint64), codegen
