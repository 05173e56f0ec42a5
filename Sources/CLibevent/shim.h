#pragma once
// The system's headers as Swift's Glibc module has them: libevent's own would bring a second copy of every
// declaration, made with other feature macros, and the two would disagree about `fd_set`.
#pragma clang module import SwiftGlibc
#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
// Not in Swift's Glibc module: a process as a descriptor that the loop can wait for, and accepting a connection
// with its flags in one call (accept4 is a GNU extension, hence declared here).
#include <sys/pidfd.h>
#include <sys/socket.h>
int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);
