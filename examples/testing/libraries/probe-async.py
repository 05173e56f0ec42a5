"""Libraries for asyncio, for clients.py: probe-async.py LIBRARY SOCKET; LIBRARY is redis.asyncio, coredis, aioredis or glide"""
import asyncio
import importlib.metadata
import sys

from words import serve

library, path = sys.argv[1:]
loop = asyncio.new_event_loop()


async def connect():
    if library == "redis.asyncio":
        import redis.asyncio
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        return redis.asyncio.Redis(unix_socket_path=path, socket_timeout=2, retry=Retry(NoBackoff(), 0))
    if library == "coredis":
        import coredis
        from coredis.retry import NoRetryPolicy
        client = coredis.Redis(connection_pool=coredis.ConnectionPool(
            connection_class=coredis.connection.UnixDomainSocketConnection, path=path, stream_timeout=2),
            retry_policy=NoRetryPolicy())
        await client.__aenter__()
        return client
    if library == "glide":
        import glide
        return await glide.GlideClient.create(glide.GlideClientConfiguration([glide.NodeAddress(path, 6379)], request_timeout=2000))
    import aioredis
    return await asyncio.wait_for(aioredis.create_redis(path), 2)


async def call(client, words):
    if library == "coredis":
        from coredis.response._callbacks import NoopCallback
        return await client.create_request(words[0].encode(), *words[1:], callback=NoopCallback())
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
    else:
        client.close()


def wait(function):
    return lambda *arguments: loop.run_until_complete(function(*arguments))


serve(importlib.metadata.version(library.partition(".")[0].replace("glide", "valkey-glide")), wait(connect), wait(call), wait(pipeline), wait(disconnect))
