#!/usr/bin/python3
"""Subscribes to sessions with redis-py: subscriber.py SOCKET PROTOCOL SID…; ends when all of them were told.

Prints a line for the confirmations, then one for each message.
"""
import sys

import redis

path, protocol, *sids = sys.argv[1:]
# Debian's knows RESP2 alone, and no word for it.
options = {} if protocol == "2" and redis.VERSION[0] < 5 else {"protocol": int(protocol)}
client = redis.Redis(unix_socket_path=path, socket_timeout=None, **options)
subscription = client.pubsub()
subscription.subscribe(*(f"session:{sid}" for sid in sids))
confirmed, told = 0, 0
for message in subscription.listen():
    if message["type"] == "subscribe":
        confirmed += 1
        if confirmed == len(sids):
            print("subscribed", message["data"], flush=True)
    elif message["type"] == "message":
        print(message["channel"].decode().removeprefix("session:"), message["data"].decode(), flush=True)
        told += 1
        if told == len(sids):
            subscription.unsubscribe()
# It can be used for others again.
assert client.ping()
