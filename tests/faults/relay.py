"""python3 relay.py PORT DELAY RATE: passes redirected TCP on, DELAY seconds late each way, at RATE bytes a second.

RATE 0 takes and never answers. Runs on a node of the lab as nobody, so that the firewall rule that redirects to it leaves it alone.
"""

import asyncio
import socket
import struct
import sys

ORIGINAL = 80  # SO_ORIGINAL_DST
PIECE = 1 << 16


async def passed(source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float, rate: int) -> None:
    """What was read waits for its time, not for what was read before it."""
    loop, waiting = asyncio.get_running_loop(), asyncio.Queue()  # type: ignore[var-annotated]

    async def read() -> None:
        while piece := await source.read(PIECE):
            await waiting.put((loop.time() + delay, piece))
            await asyncio.sleep(len(piece) / rate)
        await waiting.put((loop.time() + delay, b""))

    reading = asyncio.create_task(read())
    try:
        while True:
            due, piece = await waiting.get()
            await asyncio.sleep(max(due - loop.time(), 0))
            if not piece:
                break
            sink.write(piece)
            await sink.drain()
        sink.write_eof()
    except OSError:
        sink.close()
    finally:
        reading.cancel()


async def relay(port: int, delay: float, rate: int) -> None:
    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not rate:
            await asyncio.sleep(3600)
        found = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, ORIGINAL, 16)
        to, address = struct.unpack("!2xH4s8x", found)
        try:
            far_reader, far_writer = await asyncio.open_connection(socket.inet_ntoa(address), to)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(passed(reader, far_writer, delay, rate), passed(far_reader, writer, delay, rate), return_exceptions=True)
        writer.close()
        far_writer.close()

    server = await asyncio.start_server(taken, "0.0.0.0", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
