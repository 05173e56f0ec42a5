import RedisLink
