#pragma once
// Calls of Linux and glibc that Swift's Glibc module leaves out: it is made without _GNU_SOURCE, and cannot import
// calls with a variable number of arguments.
#pragma clang module import SwiftGlibc
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

int ppoll(struct pollfd *entries, nfds_t count, const struct timespec *limit, const sigset_t *mask);
int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);

// What SO_PEERCRED answers (unix(7)); glibc's own declaration needs _GNU_SOURCE.
struct peer_credentials {
    int pid;
    unsigned int uid;
    unsigned int gid;
};

// prctl(2), for options with one argument.
static inline int process_control(int option, unsigned long argument) {
    return prctl(option, argument, 0, 0, 0);
}

// Begins to fetch `count` bytes into the processor's cache; wherever they are, nothing is read or changed.
static inline void prefetch_memory(const void *start, long count) {
    for (long offset = 0; offset < count; offset += 64) __builtin_prefetch((const char *)start + offset);
}
