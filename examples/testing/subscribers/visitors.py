"""Browsers at the WebSocket example: visitors.py PORT TOKEN…; says what each is sent, and how it is closed."""
import asyncio
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


async def visit(number, port, token):
    async with connect(f"ws://localhost:{port}/", additional_headers={"Cookie": f"other=1; tc={token}"}) as socket:
        try:
            while True:
                print(number, await socket.recv(), flush=True)
        except ConnectionClosed as end:
            print(number, "closed", end.rcvd.code, end.rcvd.reason, flush=True)


async def main(port, *tokens):
    await asyncio.gather(*(visit(number, port, token) for number, token in enumerate(tokens)))


asyncio.run(main(*sys.argv[1:]))
