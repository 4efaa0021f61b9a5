"""A TCP proxy that misbehaves: delay, reset, half-open, corruption. Seeded, controlled by lines.

    python -m tests.fault.proxy --listen 127.0.0.1:0 --seed 7 [--to HOST:PORT] [--mark N]

Without ``--to`` it is transparent: connections reach it by an iptables REDIRECT, and it asks the
kernel where they were meant to go; ``--mark`` is set on its own connections, to except them from
that rule. It prints ``port N``, then obeys JSON lines on standard input and answers each with its
counts:

    {"delay_ms": [5, 50]}      each chunk waits, drawn anew; order is kept
    {"corrupt": 1e-5}          each byte is changed with this probability
    {"corrupt_from": 400}      but none of the first bytes of a direction of a connection
    {"reset": true}            all connections end with RST, in the middle of what they carry
    {"reset_after": 100000}    each connection ends with RST after so many bytes
    {"half_open": true}        nothing is carried any more, connections stay open
    {"half_open": false}       carried again, nothing was lost
"""

import argparse
import asyncio
import contextlib
import json
import random
import socket
import struct
import sys

CHUNK_BYTES = 65_536
SO_ORIGINAL_DST = 80
#: Unread bytes of one connection before its sender is stopped.
BUFFER_BYTES = 1 << 20
#: Chunks under way in one direction of a connection.
CHUNKS_MAX = 64


class Faults:
    """What is being done to connections now, and what was done."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.delay_ms = (0, 0)
        self.corrupt = 0.0
        self.corrupt_from = 0
        self.reset_after = 0
        self.open = asyncio.Event()
        self.open.set()
        self.connections = set()
        self.counts = {"connections": 0, "bytes": 0, "corrupted": 0, "resets": 0, "failed": 0}

    def obey(self, command):
        """Take a command."""
        for name, value in command.items():
            match name:
                case "delay_ms":
                    self.delay_ms = tuple(value)
                case "corrupt" | "reset_after" | "corrupt_from":
                    setattr(self, name, value)
                case "half_open":
                    (self.open.clear if value else self.open.set)()
                case "reset":
                    for connection in list(self.connections):
                        self.reset(connection)
                case _:
                    raise ValueError(f"no such fault: {name}")

    def reset(self, writers):
        """End both sides of a connection with RST."""
        self.counts["resets"] += 1
        self.connections.discard(writers)
        for writer in writers:
            with contextlib.suppress(OSError):
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
            writer.transport.abort()

    def damaged(self, chunk, before):
        """The chunk with some bytes changed; ``before`` bytes of the direction came earlier."""
        if not self.corrupt:
            return chunk
        data = None
        # Distances between changed bytes are geometric: no draw for each byte.
        at = int(self.rng.expovariate(self.corrupt))
        while at < len(chunk):
            if before + at >= self.corrupt_from:
                data = data or bytearray(chunk)
                data[at] ^= self.rng.randrange(1, 256)
                self.counts["corrupted"] += 1
            at += 1 + int(self.rng.expovariate(self.corrupt))
        return chunk if data is None else bytes(data)


def original_destination(writer):
    """Where a redirected connection was going."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, SO_ORIGINAL_DST, 16)
    port, address = struct.unpack("!2xH4s8x", raw)
    return socket.inet_ntoa(address), port


async def _read(faults, reader, queue):
    """Take chunks, and note when each is due at the other end; order is kept."""
    loop = asyncio.get_running_loop()
    due = 0.0
    chunk = b"?"
    while chunk:
        chunk = await reader.read(CHUNK_BYTES)
        due = max(due, loop.time() + faults.rng.uniform(*faults.delay_ms) / 1000)
        await queue.put((due, chunk))


async def _write(faults, queue, writer, connection):
    loop = asyncio.get_running_loop()
    carried = 0
    while True:
        due, chunk = await queue.get()
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        await faults.open.wait()
        if not chunk:
            if writer.can_write_eof():
                writer.write_eof()
            return
        chunk = faults.damaged(chunk, carried)
        carried += len(chunk)
        faults.counts["bytes"] += len(chunk)
        if faults.reset_after and carried > faults.reset_after:
            writer.write(chunk[: len(chunk) // 2])  # in the middle of a message
            faults.reset(connection)
            return
        writer.write(chunk)
        await writer.drain()


async def _pump(faults, reader, writer, connection):
    """One direction of a connection, to its end."""
    queue = asyncio.Queue(CHUNKS_MAX)
    reading = asyncio.ensure_future(_read(faults, reader, queue))
    try:
        await _write(faults, queue, writer, connection)
        await reading
    finally:
        reading.cancel()
        # The other direction may have more to say only while this one is whole.
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await reading


async def _serve(faults, to, mark, reader, writer):
    faults.counts["connections"] += 1
    host, port = to or original_destination(writer)
    raw = socket.socket()
    raw.setblocking(False)
    if mark:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    try:
        await asyncio.get_running_loop().sock_connect(raw, (host, port))
    except OSError:
        faults.counts["failed"] += 1
        raw.close()
        writer.transport.abort()
        return
    there_reader, there_writer = await asyncio.open_connection(sock=raw, limit=BUFFER_BYTES)
    connection = (writer, there_writer)
    faults.connections.add(connection)
    pumps = [
        asyncio.ensure_future(_pump(faults, reader, there_writer, connection)),
        asyncio.ensure_future(_pump(faults, there_reader, writer, connection)),
    ]
    try:
        done = await asyncio.gather(*pumps, return_exceptions=True)
    except asyncio.CancelledError:
        return  # the proxy ends; asyncio would print a trace of each connection
    finally:
        faults.connections.discard(connection)
        for one in connection:
            one.transport.abort()
    odd = [e for e in done if isinstance(e, BaseException) and not isinstance(e, OSError)]
    if odd:
        raise odd[0]


async def serve(listen, to, mark, seed):
    """Serve until standard input ends."""
    faults = Faults(seed)
    host, port = listen
    server = await asyncio.start_server(
        lambda r, w: _serve(faults, to, mark, r, w), host, port, limit=BUFFER_BYTES
    )
    print(f"port {server.sockets[0].getsockname()[1]}", flush=True)
    lines = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(lines)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await lines.readline():
        faults.obey(json.loads(line))
        print(json.dumps(faults.counts), flush=True)
    server.close()
    for connection in list(faults.connections):
        faults.reset(connection)


def address(text):
    """host:port."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", type=address, default=("127.0.0.1", 0))
    parser.add_argument("--to", type=address)
    parser.add_argument("--mark", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    asyncio.run(serve(args.listen, args.to, args.mark, args.seed))


if __name__ == "__main__":
    main()
