/// The sessions that a test made at a daemon that it did not start, to be ended when the test ends.
final class SessionsMade {
    /// Requests that are under way at a time.
    private static let batch = 200
    /// How long it goes on after somebody wanted the program to end.
    static let patience = Duration.seconds(30)

    private var tokens = TokenPool()

    func note(_ made: TokenPool) { tokens.bytes += made.bytes }

    /// Ends them all, by their SIDs, since tokens were replaced. After a signal, also one that came before, it takes no
    /// longer than `patience`; a second signal ends the process (`Interruption`).
    /// - Parameter say: called once if a signal came, with what to tell the user.
    /// - Returns: how many are left; those end by themselves within an hour.
    func end(at socketPath: String, say: (String) -> Void) -> Int {
        guard tokens.count > 0, let connection = try? ControlConnection(path: socketPath, patience: Self.patience)
        else { return tokens.count }
        var ended = 0
        var isSaid = false
        do throws(LoadTestError) {
            for start in stride(from: 0, to: tokens.count, by: Self.batch) {
                try connection.heedSignal()
                if !isSaid, connection.deadline != nil {
                    isSaid = true
                    say(Self.announcement(tokens.count - start))
                }
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

    private static func announcement(_ count: Int) -> String {
        let signal = Interruption.received.map(Interruption.name) ?? "a signal"
        return "\(signal) came: ending the \(Figures.grouped(count)) sessions it made, for at most "
            + "\(patience.components.seconds) s; a second one stops at once"
    }
}
