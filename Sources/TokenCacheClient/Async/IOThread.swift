internal import CLinux
internal import Glibc

/// A thread that moves bytes for tasks.
enum IOThread {
    /// - Throws: ``TokenCacheError/connection(reason:)`` if the system has no thread left.
    static func start(_ body: @escaping @Sendable () -> Void) throws(TokenCacheError) {
        final class Work: Sendable {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        let work = Unmanaged.passRetained(Work(body))
        // Signals are for the threads of the program: a handler must not run here.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                // So that `top -H` tells it from the program's own threads.
                "tokencache-io".withCString { _ = process_control(PR_SET_NAME, UInt(bitPattern: $0)) }
                if let argument { Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body() }
                return nil
            }, work.toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard result == 0 else {
            work.release()
            throw TokenCacheError(UnixSocket.Failure.system(code: result))
        }
        pthread_detach(thread)
    }
}
