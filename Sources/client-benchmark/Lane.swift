internal import CHiredis
internal import Glibc
internal import LoadTest
internal import Synchronization
internal import TokenCacheClient

/// One way to ask the daemon. All of them ask for the same tokens in turn and look at what comes back.
enum Lane: CaseIterable {
    /// `redisCommandArgv` and nothing else, on one connection.
    case hiredis
    /// ``BlockingClient``, on one connection.
    case blocking
    /// ``AsyncClient``, many callers on one connection.
    case async

    func title(callers: Int) -> String {
        switch self {
        case .hiredis: "bare hiredis, one caller"
        case .blocking: "BlockingClient, one caller"
        case .async: "AsyncClient, \(callers) callers"
        }
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// What one turn gave.
    struct Figures {
        /// Validations a second.
        let rate: Double
        /// CPU time of this process for each, all threads, in the program and in the kernel.
        let microseconds: Double
    }

    func run(at socket: String, tokens: [SessionToken], callers: Int, duration: Duration) async throws -> Figures {
        let start = ContinuousClock.now
        let used = Self.processorSeconds
        let end = start + duration
        let count =
            switch self {
            case .hiredis: try Self.hiredis(socket, tokens, until: end)
            case .blocking: try Self.blocking(socket, tokens, until: end)
            case .async: try await Self.async(socket, tokens, callers, until: end)
            }
        return Figures(
            rate: Double(count) / start.duration(to: .now).inSeconds,
            microseconds: (Self.processorSeconds - used) * 1e6 / Double(max(count, 1)))
    }

    private static var processorSeconds: Double {
        var usage = rusage()
        getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }

    /// The clock is read once for so many calls, the same for all.
    private static let batch = 32

    private static func hiredis(_ socket: String, _ tokens: [SessionToken], until end: ContinuousClock.Instant) throws
        -> Int
    {
        guard let context = redisConnectUnix(socket), context.pointee.err == 0 else {
            throw Failure(description: "hiredis cannot connect")
        }
        defer { redisFree(context) }
        let name = Array("TOKEN.VALIDATE".utf8CString)
        let texts = tokens.map { $0.revealedBytes.map { CChar(bitPattern: $0) } }
        var count = 0
        while ContinuousClock.now < end {
            for _ in 0..<batch {
                let isGood = name.withUnsafeBufferPointer { name in
                    texts[count % texts.count].withUnsafeBufferPointer { token in
                        var words = [name.baseAddress, token.baseAddress]
                        var lengths = [name.count - 1, token.count]
                        guard let reply = redisCommandArgv(context, 2, &words, &lengths) else { return false }
                        defer { freeReplyObject(reply) }
                        return reply.assumingMemoryBound(to: redisReply.self).pointee.type == REDIS_REPLY_ARRAY
                    }
                }
                guard isGood else { throw Failure(description: "hiredis: no map came back") }
                count += 1
            }
        }
        return count
    }

    private static func blocking(_ socket: String, _ tokens: [SessionToken], until end: ContinuousClock.Instant) throws
        -> Int
    {
        let client = BlockingClient(socketPath: socket)
        var count = 0
        while ContinuousClock.now < end {
            for _ in 0..<batch {
                guard case .session = try client.call(.validate(tokens[count % tokens.count], require: .anyone)) else {
                    throw Failure(description: "BlockingClient: a token was refused")
                }
                count += 1
            }
        }
        return count
    }

    private static func async(
        _ socket: String, _ tokens: [SessionToken], _ callers: Int, until end: ContinuousClock.Instant
    ) async throws -> Int {
        let client = try AsyncClient(socketPath: socket)
        let count = try await withThrowingTaskGroup(of: Int.self) { group in
            for caller in 0..<callers {
                group.addTask {
                    var count = 0
                    while ContinuousClock.now < end {
                        for _ in 0..<batch {
                            let token = tokens[(caller * 31 + count) % tokens.count]
                            guard case .session = try await client.call(.validate(token, require: .anyone)) else {
                                throw Failure(description: "AsyncClient: a token was refused")
                            }
                            count += 1
                        }
                    }
                    return count
                }
            }
            return try await group.reduce(0, +)
        }
        await client.close()
        return count
    }
}
