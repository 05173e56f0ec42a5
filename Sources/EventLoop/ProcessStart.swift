public import Glibc

/// Why a process could not be started.
public struct ProcessStartFault: Error {
    /// As in errno(3).
    public let number: Int32
}

/// Starts a program in a process group of its own, so that a terminal's Ctrl-C does not reach it, with no signal ignored or
/// blocked: what this process does with signals is its own affair.
/// - Parameters:
///   - program: its path.
///   - arguments: the name that it sees first.
///   - environment: all of it, `name=value`.
///   - actions: what becomes of descriptors and folder.
/// - Returns: its number; whoever starts it reaps it.
public func startProcess(
    _ program: String, _ arguments: [String], environment: [String], _ actions: inout posix_spawn_file_actions_t
) -> Result<pid_t, ProcessStartFault> {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var signals = sigset_t()
    sigemptyset(&signals)
    posix_spawnattr_setsigmask(&attributes, &signals)
    sigfillset(&signals)
    posix_spawnattr_setsigdefault(&attributes, &signals)
    posix_spawnattr_setpgroup(&attributes, 0)
    posix_spawnattr_setflags(
        &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    var processID: pid_t = 0
    let number = withCStrings(arguments) { arguments in
        withCStrings(environment) { environment in
            posix_spawn(&processID, program, &actions, &attributes, arguments, environment)
        }
    }
    return number == 0 ? .success(processID) : .failure(ProcessStartFault(number: number))
}

/// Calls `body` with a NULL-terminated array of C strings, as exec takes it.
private func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
) -> Result {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return body(copies + [nil])
}
