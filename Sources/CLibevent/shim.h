#pragma once
// libevent's own configuration asks for _GNU_SOURCE, Swift's Glibc module does without: the two would disagree about
// `fd_set`. The feature macros are evaluated once, so whoever comes first decides.
#undef _GNU_SOURCE
#include <features.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
// Not in Swift's Glibc module: a process as a descriptor that the loop can wait for, and accepting a connection
// with its flags in one call (accept4 is a GNU extension, hence declared here).
#include <sys/pidfd.h>
#include <sys/socket.h>
int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
