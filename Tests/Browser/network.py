"""The way from the browsers to the site, as long as it is told to be: what is sent later on one connection may arrive sooner."""
import asyncio
import contextlib
import random
import threading


class Network:
    """Connects to this port whatever connects to `port`, the one that it serves itself."""

    def __init__(self, port):
        self.to = port
        # The most that it takes to get there, or back.
        self.seconds = 0.0
        started = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(started)), daemon=True).start()
        started.wait()

    async def serve(self, started):
        server = await asyncio.start_server(self.connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await server.serve_forever()

    async def connect(self, reader, writer):
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
            await asyncio.gather(self.carry(reader, back), self.carry(there, writer))

    async def carry(self, reader, writer):
        with contextlib.suppress(OSError):
            while some := await reader.read(65536):
                if self.seconds:
                    await asyncio.sleep(random.uniform(0, self.seconds))
                writer.write(some)
                await writer.drain()
        writer.close()
