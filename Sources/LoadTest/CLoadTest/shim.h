#pragma once
// Calls of Linux that Swift's Glibc module leaves out: it is made without _GNU_SOURCE, and cannot import calls with
// a variable number of arguments.
#pragma clang module import SwiftGlibc
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);

// What SO_PEERCRED answers (unix(7)); glibc's own declaration needs _GNU_SOURCE.
struct load_peer_credentials {
    int pid;
    unsigned int uid;
    unsigned int gid;
};

// Cores 0 to 1023, a bit each, as sched_setaffinity(2) takes them.
struct load_cores {
    unsigned long bits[16];
};

static inline long load_get_cores(int process, struct load_cores *cores) {
    return syscall(SYS_sched_getaffinity, process, sizeof *cores, cores);
}

static inline long load_set_cores(int process, const struct load_cores *cores) {
    return syscall(SYS_sched_setaffinity, process, sizeof *cores, cores);
}

// The kernel sends this process `signal` when the thread that started it ends.
static inline int load_end_with_parent(int signal) {
    return prctl(PR_SET_PDEATHSIG, (unsigned long)signal, 0, 0, 0);
}

// Waits for events until `nanoseconds` have passed: epoll_wait(2) knows milliseconds only.
static inline int load_epoll_wait(int epoll, struct epoll_event *events, int most, long long nanoseconds) {
    struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    return (int)syscall(SYS_epoll_pwait2, epoll, events, most, &time, (void *)0, (size_t)8);
}
