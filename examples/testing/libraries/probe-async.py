"""Libraries for asyncio, for clients.py: probe-async.py LIBRARY SOCKET; LIBRARY is redis.asyncio, coredis, valkey-glide or aioredis"""
import asyncio
import concurrent.futures
import importlib.metadata
import sys
import threading

from words import serve

library, path = sys.argv[1:]


async def connect():
    if library == "redis.asyncio":
        import redis.asyncio
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        return redis.asyncio.Redis(unix_socket_path=path, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    if library == "coredis":
        import coredis
        from coredis.retry import NoRetryPolicy
        client = coredis.Redis(unix_socket_path=path, stream_timeout=2, retry_policy=NoRetryPolicy())
        await client.__aenter__()
        return client
    if library == "valkey-glide":
        from glide import GlideClient, GlideClientConfiguration, Logger, LogLevel, NodeAddress
        # Its log goes to standard output.
        Logger.set_logger_config(LogLevel.OFF)
        address = NodeAddress(unix_socket_path=path)
        return await GlideClient.create(GlideClientConfiguration([address], request_timeout=2000))
    import aioredis
    return await asyncio.wait_for(aioredis.create_redis(path), 2)


async def call(client, words):
    if library == "coredis":
        from coredis.response._callbacks import NoopCallback
        return await client.create_request(words[0].encode(), *words[1:], callback=NoopCallback())
    if library == "valkey-glide":
        return await client.custom_command(words)
    if library == "aioredis":
        return await asyncio.wait_for(client.execute(*words), 2)
    return await client.execute_command(*words)


async def pipeline(client, commands):
    if library == "redis.asyncio":
        pipe = client.pipeline(transaction=False)
        for words in commands:
            pipe.execute_command(*words)
        return await pipe.execute(raise_on_error=False)
    return await asyncio.gather(*(call(client, words) for words in commands), return_exceptions=True)


async def disconnect(client):
    if library == "redis.asyncio":
        await client.connection_pool.disconnect()
    elif library == "coredis":
        await client.__aexit__(None, None, None)
    elif library == "valkey-glide":
        await client.close()
    else:
        client.close()


async def work():
    """One task for everything: what a library enters must be left by the same task."""
    while True:
        function, arguments, done = await jobs.get()
        try:
            done.set_result(await function(*arguments))
        except Exception as failure:
            done.set_exception(failure)


def wait(function):
    def run(*arguments):
        done = concurrent.futures.Future()
        loop.call_soon_threadsafe(jobs.put_nowait, (function, arguments, done))
        return done.result()
    return run


loop, jobs = asyncio.new_event_loop(), asyncio.Queue()
threading.Thread(target=loop.run_forever, daemon=True).start()
asyncio.run_coroutine_threadsafe(work(), loop)
serve(importlib.metadata.version(library.partition(".")[0]), wait(connect), wait(call), wait(pipeline), wait(disconnect))
