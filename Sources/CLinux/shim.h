#pragma once
// Calls of Linux and glibc that Swift's Glibc module leaves out: it is made without _GNU_SOURCE, and cannot import
// calls with a variable number of arguments.
#pragma clang module import SwiftGlibc
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int ppoll(struct pollfd *entries, nfds_t count, const struct timespec *limit, const sigset_t *mask);
int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *actions, int folder);
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
int pipe2(int ends[2], int flags);
int accept4(int descriptor, struct sockaddr *address, socklen_t *length, int flags);

// What SO_PEERCRED answers (unix(7)); glibc's own declaration needs _GNU_SOURCE.
struct peer_credentials {
    int pid;
    unsigned int uid;
    unsigned int gid;
};

// openat(2) with the mode of a file that it makes.
static inline int openat_with_mode(int folder, const char *path, int flags, unsigned int mode) {
    return openat(folder, path, flags, mode);
}

// prctl(2), for options with one argument.
static inline int process_control(int option, unsigned long argument) {
    return prctl(option, argument, 0, 0, 0);
}

// Cores 0 to 1023, a bit each, as sched_setaffinity(2) takes them.
struct core_set {
    unsigned long bits[16];
};

static inline long get_cores(int process, struct core_set *cores) {
    return syscall(SYS_sched_getaffinity, process, sizeof *cores, cores);
}

static inline long set_cores(int process, const struct core_set *cores) {
    return syscall(SYS_sched_setaffinity, process, sizeof *cores, cores);
}

// epoll_pwait2(2): waits for events until `nanoseconds` have passed; epoll_wait(2) knows milliseconds only.
static inline int wait_for_events(int epoll, struct epoll_event *events, int most, long long nanoseconds) {
    struct timespec time = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    return (int)syscall(SYS_epoll_pwait2, epoll, events, most, &time, (void *)0, (size_t)8);
}

// Begins to fetch `count` bytes into the processor's cache; wherever they are, nothing is read or changed.
static inline void prefetch_memory(const void *start, long count) {
    for (long offset = 0; offset < count; offset += 64) __builtin_prefetch((const char *)start + offset);
}
