"""Loops behind ``lesto.kernels.hashing``; the pure-Python twin is in ``lesto.kernels.scalar``."""

from typing import Any

import numpy as np

from lesto.kernels import constants as c
from lesto.kernels.compiled.decorator import inline, kernel
from lesto.kernels.compiled.memory import load8, load32, load64, mul128

_S0, _S1, _S2 = np.uint64(c.S0), np.uint64(c.S1), np.uint64(c.S2)
_M1, _M2 = np.uint64(c.M1), np.uint64(c.M2)
_COMBINE = np.uint64(c.COMBINE)
_INT, _FLOAT, _NAN = np.uint64(c.INT), np.uint64(c.FLOAT), np.uint64(c.NAN)
_BIG, _DECIMAL = np.uint64(c.BIG_INT), np.uint64(c.DECIMAL)
_U30, _U27, _U31 = np.uint64(30), np.uint64(27), np.uint64(31)


@inline
def mix(x: Any) -> Any:
    """A bijection of uint64 in which every input bit moves every output bit (splitmix64)."""
    x = (x ^ (x >> _U30)) * _M1
    x = (x ^ (x >> _U27)) * _M2
    return x ^ (x >> _U31)


@inline
def combine(h: Any, other: Any) -> Any:
    """Order-sensitive combination of two hashes."""
    return mix(h * _COMBINE + other)


@inline
def fold(a: Any, b: Any) -> Any:
    """Multiply to 128 bits and fold."""
    low, high = mul128(a, b)
    return low ^ high


@inline
def hash_bytes(at: Any, n: Any, seed: Any) -> Any:
    """Hash of ``n`` bytes at address ``at``; never reads outside them."""
    a = np.uint64(0)
    b = np.uint64(0)
    h = seed
    if n <= 16:
        if n >= 8:
            a = load64(at)
            b = load64(at + n - 8)
        elif n >= 4:
            a = load32(at)
            b = load32(at + n - 4)
        elif n > 0:
            a = load8(at) | (load8(at + (n >> 1)) << np.uint64(8))
            a |= load8(at + n - 1) << np.uint64(16)
    else:
        end = at + n
        while end - at > 16:
            h = fold(load64(at) ^ _S1, load64(at + 8) ^ h)
            at += 16
        a = load64(end - 16)
        b = load64(end - 8)
    low, high = mul128(a ^ _S1, b ^ h)
    return fold(low ^ _S0 ^ np.uint64(n), high ^ _S2)


@inline
def hash_float(x: Any) -> Any:
    """Integral values hash as the integer, NaNs alike."""
    if x != x:  # noqa: PLR0124 - NaN
        return _NAN
    if -9223372036854775808.0 <= x < 9223372036854775808.0:
        whole = np.int64(x)
        if np.float64(whole) == x:
            return mix(np.uint64(whole) ^ _INT)
    return mix(np.float64(x).view(np.uint64) ^ _FLOAT)


@kernel("void(uint64[::1], uint64, uint64[::1])")
def hash_words(words: Any, seed: Any, out: Any) -> None:
    """Hash 64-bit words: integers, and dates and times with their own seeds."""
    for i in range(words.size):
        out[i] = mix(words[i] ^ seed)


@kernel("void(float64[::1], uint64[::1])")
def hash_floats(values: Any, out: Any) -> None:
    """Hash float64 values."""
    for i in range(values.size):
        out[i] = hash_float(values[i])


@kernel("void(uint64[::1], uint64[::1])")
def hash_unsigned(values: Any, out: Any) -> None:
    """Hash uint64; above int64's range as the equal float if there is one, else as a big int."""
    for i in range(values.size):
        v = values[i]
        if v < np.uint64(1 << 63):
            out[i] = mix(v ^ _INT)
            continue
        x = np.float64(v)
        if x < 18446744073709551616.0 and np.uint64(x) == v:
            out[i] = mix(x.view(np.uint64) ^ _FLOAT)
        else:
            low, high = mul128(v ^ _S1, v ^ _BIG)  # the bytes of one full word, as hash_bytes
            out[i] = fold(low ^ _S0 ^ np.uint64(8), high ^ _S2)


@kernel(
    "void(int32[::1], uint8[::1], uint64, uint64[::1])",
    "void(int64[::1], uint8[::1], uint64, uint64[::1])",
)
def hash_strings(offsets: Any, data: Any, seed: Any, out: Any) -> None:
    """Hash strings or binaries by absolute offsets."""
    base = data.ctypes.data
    begin = np.int64(offsets[0])
    for i in range(out.size):
        end = np.int64(offsets[i + 1])
        out[i] = hash_bytes(base + begin, end - begin, seed)
        begin = end


@kernel("void(uint8[::1], int64, uint64, uint64[::1])")
def hash_fixed(data: Any, width: Any, seed: Any, out: Any) -> None:
    """Hash fixed-size binary values."""
    base = data.ctypes.data
    for i in range(out.size):
        out[i] = hash_bytes(base + i * width, width, seed)


@kernel("void(int64[::1], int64, uint64[::1])")
def hash_decimals(unscaled: Any, scale: Any, out: Any) -> None:
    """Hash ``unscaled / 10**scale``, 0 <= scale <= 18, as the equal int or float if any."""
    for i in range(unscaled.size):
        m = unscaled[i]
        s = scale
        while s > 0 and m % 10 == 0:
            m //= 10
            s -= 1
        if s == 0 or m == 0:
            out[i] = mix(np.uint64(m) ^ _INT)
            continue
        n = m
        power = 1.0
        k = s
        while k > 0 and n % 5 == 0:
            n //= 5
            power *= 2.0
            k -= 1
        odd = n
        while odd % 2 == 0:
            odd //= 2
        if k == 0 and -(1 << 53) < odd < (1 << 53):
            x = np.float64(np.float64(n) / power)
            out[i] = mix(x.view(np.uint64) ^ _FLOAT)
        else:
            out[i] = combine(mix(np.uint64(m) ^ _DECIMAL), np.uint64(s))


@kernel("void(int64[::1], uint64, uint64[::1])")
def hash_nanos(nanos: Any, seed: Any, out: Any) -> None:
    """Hash int64 nanoseconds: the whole microseconds, then the rest if there is one."""
    for i in range(nanos.size):
        whole = nanos[i] // 1000
        rest = nanos[i] - whole * 1000
        h = mix(np.uint64(whole) ^ seed)
        out[i] = combine(h, np.uint64(rest)) if rest != 0 else h


@kernel("void(uint64[::1], uint64[::1])")
def combine_into(h: Any, other: Any) -> None:
    """``h = combine(h, other)`` in place, elementwise."""
    for i in range(h.size):
        h[i] = combine(h[i], other[i])


@kernel("void(uint8[::1], int64, uint64, uint64[::1])")
def fill_nulls(bitmap: Any, offset: Any, value: Any, out: Any) -> None:
    """Overwrite rows whose Arrow validity bit is 0."""
    for i in range(out.size):
        p = i + offset
        if not (bitmap[p >> 3] >> (p & 7)) & 1:
            out[i] = value


@kernel("void(uint64[::1], int64, uint16[::1])")
def key_groups(hashes: Any, max_parallelism: Any, out: Any) -> None:
    """Key group of every hash."""
    for i in range(hashes.size):
        out[i] = np.uint32(hashes[i] >> np.uint64(32)) % np.uint32(max_parallelism)


@kernel("void(uint64[::1], int32[::1], int32[::1])")
def channels(hashes: Any, owner: Any, out: Any) -> None:
    """``owner`` maps each key group to its operator index."""
    groups = np.uint32(owner.size)
    for i in range(hashes.size):
        out[i] = owner[np.uint32(hashes[i] >> np.uint64(32)) % groups]
