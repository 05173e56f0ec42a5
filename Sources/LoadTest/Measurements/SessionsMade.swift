/// The sessions that a test made at a daemon that is somebody's, to be ended with it.
final class SessionsMade {
    /// Requests that are under way at a time.
    private static let batch = 200

    private var tokens = TokenPool()

    func note(_ made: TokenPool) { tokens.bytes += made.bytes }

    /// Ends them all, by their SIDs: tokens were replaced since.
    /// - Returns: how many are left; those end by themselves within an hour.
    func end(at socketPath: String) -> Int {
        guard tokens.count > 0, let connection = try? ControlConnection(path: socketPath) else { return tokens.count }
        var ended = 0
        do throws(LoadTestError) {
            for start in stride(from: 0, to: tokens.count, by: Self.batch) {
                let batch = tokens.slice(start, count: Self.batch)
                try connection.send(
                    (0..<batch.count).flatMap { at in
                        let sid = String(decoding: batch[at].prefix(TokenPool.sidLength), as: UTF8.self)
                        return RESP.command(["TOKEN.REVOKE", "SID", sid])
                    })
                for _ in 0..<batch.count {
                    if case .error = try connection.reply() { continue }
                    ended += 1
                }
            }
        } catch {}
        return tokens.count - ended
    }
}
