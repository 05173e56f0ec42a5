internal import EventLoop
internal import TokenCache
internal import TokenCacheServer

/// The steps after the first look.
extension Migration {
    func copy() throws(MigrationFault) {
        let start = MonotonicInstant.now()
        var carried = 0
        for _ in 0..<Self.rounds {
            if changes.isIncomplete {
                changes.beginWalk()
                try source.walk { keys throws(MigrationFault) in
                    try carry(keys)
                    carried += keys.count
                    tell(.progress("\(carried) keys copied, \(changes.count) changed meanwhile"))
                }
            } else {
                carried += try carryChanges()
            }
            if !changes.isIncomplete, changes.count < Self.few { break }
        }
        tell(.done("copied", "\(carried) keys in \(Self.seconds(since: start))"))
    }

    /// - Returns: when it was raised, here and by the source's clock.
    func raiseFence() throws(MigrationFault) -> (instant: MonotonicInstant, time: Int64) {
        let instant = MonotonicInstant.now()
        stage = .fenced
        if let fence {
            if !report.undo.isEmpty { try target.remember(report.undo, of: fence.user) }
            do throws(MigrationFault) { try fence.raise() } catch {
                // One server that refuses has changed nothing.
                if case .refused = error, report.fencedServers.count == 1 { stage = .copying }
                throw error
            }
            guard try fence.stands() else {
                throw .refused(
                    "\(fence.user) may still write at the source, by a selector or a rule of its own: take its rights "
                        + "yourself, and go on with --resume --fenced. To undo\(report.everywhere): \(Self.text(report.undo))"
                )
            }
            tell(
                .done(
                    "fenced",
                    "\(fence.user) cannot write at the source any more. To undo\(report.everywhere): \(Self.text(report.undo))"
                ))
        }
        return (instant, try source.time())
    }

    func carryRest(since: (instant: MonotonicInstant, time: Int64)) throws(MigrationFault) {
        // What was written before is told by then.
        try pump.pause(.milliseconds(300))
        var carried = 0
        for _ in 0..<Self.rounds where changes.count > 0 { carried += try carryChanges() }
        let start = MonotonicInstant.now()
        var comparison = try Comparison()
        for round in 0... {
            changes.beginWalk()
            let lineUp = try target.lineUp()
            comparison = try Comparison()
            try compare(&comparison)
            if !changes.isIncomplete, try target.keepsAll(since: lineUp) { break }
            guard round < Self.rounds else {
                throw .refused(
                    "the source has lost what it told, or the target has changed its master, again and again: \(Self.again)"
                )
            }
        }
        let compared = Self.seconds(since: start)
        if fence == nil, since.instant.duration(to: .now()) < Self.listening { try pump.pause(Self.listening) }
        try proveSilence(since: since.time)
        guard comparison.isEqual else { throw .refused("source and target differ: start again with --resume") }
        (report.keys, report.digest) = (comparison.rows, comparison.digest)
        tell(
            .done(
                "compared",
                "\(report.total) keys in \(compared), none differs (\(carried + Int(clamping: comparison.repaired)) came last)"
            ))
    }

    /// Whoever writes at the source now would not be found at the target.
    private func proveSilence(since: Int64) throws(MigrationFault) {
        if let fence, !(try fence.stands()) {
            throw .refused("\(fence.user) may write at the source again: who did that? \(Self.again)")
        }
        let names = changes.take()
        let keys = names.compactMap { StoredKey($0, prefix: source.place.prefix) }
        let isMarked = names.contains(StoredKey.marks(prefix: source.place.prefix))
        var isWritten = changes.lastBeat > since + 400 || isMarked
        for part in keys.batches where !isWritten {
            let now = try source.read(part)
            let copies = try target.read(part)
            // What ended by itself is told, too.
            isWritten = zip(now, copies).contains { now, copy in now != nil && now?.parts != copy?.parts }
        }
        guard !isWritten else {
            throw .refused(
                "somebody still writes at the source: a daemon that is another user there, or was not stopped. Find it "
                    + "(CLIENT LIST there; \(daemonList)), then \(Self.again)")
        }
        let living = try target.livingDaemons()
        guard living.isEmpty else {
            throw .refused(
                "daemons went to the target before all was there: \(living.map(\.name).joined(separator: ", ")). "
                    + "Stop them, wait three minutes, then \(Self.again)")
        }
    }

    /// What was the outage is over for each daemon as it leaves its mark at the target.
    func awaitDaemons(since: MonotonicInstant) throws(MigrationFault) {
        var awaited = Set(report.daemons)
        while !awaited.isEmpty {
            guard since.duration(to: .now()) < Self.patience else {
                throw .refused("not seen at the target within an hour: \(awaited.sorted().joined(separator: ", "))")
            }
            for daemon in try target.livingDaemons() where awaited.remove(daemon.name) != nil {
                tell(.done("arrived", "\(daemon.name), \(Self.seconds(since: since)) after the fence"))
            }
            if !awaited.isEmpty { try pump.pause(.milliseconds(250)) }
        }
        report.outage = since.duration(to: .now())
        tell(.done("outage", "\(Self.seconds(since: since)), from the fence until all daemons were at the target"))
    }

    static let again = "go on with --resume"

    /// Commands, for somebody who reads them.
    static func text(_ undo: [String]) -> String {
        undo.isEmpty ? "its rights were taken before" : undo.map { "redis-cli \($0)" }.joined(separator: "; ")
    }
}
