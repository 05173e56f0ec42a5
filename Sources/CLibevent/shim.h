#pragma once
// The same feature macros as Swift's Glibc module sees; with others the two would disagree about `fd_set`.
#undef _GNU_SOURCE
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
