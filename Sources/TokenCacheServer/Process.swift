internal import CLinux
internal import Glibc
internal import Logging

/// What the daemon asks of the kernel for its own process.
enum Process {
    /// No core dump, and no other process of this user may read this one's memory: it holds tokens.
    static func forbidCoreDumps() {
        var none = rlimit(rlim_cur: 0, rlim_max: 0)
        _ = setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
        _ = process_control(PR_SET_DUMPABLE, 0)
    }

    /// Large buffers come from the kernel one by one and go back to it as soon as they are freed.
    ///
    /// Left alone, the allocator begins to keep them after the first: many half commands then leave a heap full of holes
    /// (mallopt(3), the dynamic threshold).
    static func returnLargeBuffers() {
        _ = mallopt(M_MMAP_THRESHOLD, largeBuffer)
    }

    /// Bytes; the allocator's own threshold at the start.
    private static let largeBuffer: Int32 = 128 << 10

    /// Undoes what a parent may have left: blocked signals, through which no SIGTERM would come.
    ///
    /// What ends a process unless it is said otherwise, and means nothing to this one, is ignored: it would leave the
    /// embedded Redis behind.
    /// A file past a limit of size is an error of that write, not the end of the daemon.
    ///
    /// And ends a crash in silence: the Swift runtime's handlers print registers and the memory they point to, where
    /// tokens may be.
    static func resetSignals() {
        var none = sigset_t()
        sigemptyset(&none)
        sigprocmask(SIG_SETMASK, &none, nil)
        for idle in [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGPOLL, SIGPWR, SIGSTKFLT, SIGXCPU, SIGXFSZ] {
            signal(idle, SIG_IGN)
        }
        for number in __libc_current_sigrtmin()...__libc_current_sigrtmax() { signal(number, SIG_IGN) }
        for fatal in [SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV] { signal(fatal, SIG_DFL) }
    }

    /// How many clients descriptors suffice for.
    struct Capacity: Equatable {
        /// At the socket of the workers: `limits.max-clients`, or fewer where the limit of open files cannot be raised to match.
        var workers: Int
        /// Over HTTP: as many again, or what the workers leave.
        var http: Int
        /// However few are left.
        static let leastHTTP = 64
    }

    /// The clients that descriptors suffice for. What the daemon itself needs, and admins' places, are kept out of it.
    static func capacity(_ maxClients: Int, hasHTTP: Bool, logger: Logger) -> Capacity {
        let kinds = hasHTTP ? 2 : 1
        let kept = Server.reservedDescriptors + ClientPlaces.forAdmins * kinds
        let needed = maxClients * kinds + kept
        let allowed = raiseDescriptorLimit(to: needed)
        guard allowed < needed else { return Capacity(workers: maxClients, http: hasHTTP ? maxClients : 0) }
        let least = hasHTTP ? min(Capacity.leastHTTP, maxClients) : 0
        let workers = min(maxClients, max(1, allowed - kept - least))
        let capacity = Capacity(workers: workers, http: hasHTTP ? max(least, allowed - kept - workers) : 0)
        if workers < maxClients {
            logger.warning(
                "the limit of open files is lower than limits.max-clients needs: fewer clients are served",
                metadata: [
                    "limit": "\(allowed)", "needed": "\(maxClients + kept + least)", "maxclients": "\(workers)",
                ])
        }
        return capacity
    }

    /// Raises `RLIMIT_NOFILE` as far as is needed and allowed.
    /// - Returns: what it is then.
    private static func raiseDescriptorLimit(to needed: Int) -> Int {
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        var limit = rlimit()
        guard getrlimit(resource, &limit) == 0 else { return 0 }
        guard limit.rlim_cur < UInt(clamping: needed) else { return needed }
        var wanted = limit
        wanted.rlim_cur = UInt(clamping: needed)
        // Root may raise the hard limit, too.
        wanted.rlim_max = max(limit.rlim_max, wanted.rlim_cur)
        if setrlimit(resource, &wanted) == 0 { return needed }
        wanted.rlim_max = limit.rlim_max
        wanted.rlim_cur = min(limit.rlim_max, UInt(clamping: needed))
        return Int(clamping: setrlimit(resource, &wanted) == 0 ? wanted.rlim_cur : limit.rlim_cur)
    }

    /// The kernel cuts the listen backlog to `net.core.somaxconn` without a word.
    static func warnOfShortBacklog(logger: Logger) {
        guard let file = fopen("/proc/sys/net/core/somaxconn", "r") else { return }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 32)
        guard fgets(&line, Int32(line.count), file) != nil else { return }
        let digits = line.prefix { $0 >= 48 && $0 <= 57 }.map(UInt8.init(bitPattern:))
        guard let limit = Int(String(decoding: digits, as: UTF8.self)), limit < 4_096 else { return }
        logger.notice(
            "net.core.somaxconn cuts the backlog of waiting clients",
            metadata: ["somaxconn": "\(limit)", "asked": "4096"])
    }
}
