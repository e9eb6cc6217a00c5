"""A slow Scenext API: `get_status/hang` never answers, and any other path answers after LATENCY seconds.

Usage: `python slow_upstream.py PORT ANSWER`. Listens on loopback, with keep-alive.
"""

import asyncio
import sys

LATENCY = 0.2  # seconds


def main() -> None:
    """Serve until the process is terminated."""
    port, body = int(sys.argv[1]), sys.argv[2].encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(3600 if b"/get_status/hang " in request else LATENCY)
                writer.write(head + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
