internal import EventLoop
internal import RedisLink
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
        var instant = MonotonicInstant.now()
        stage = .fenced
        if let fence {
            // Who is fenced may be the one who leaves it.
            try leaveMark(.moving)
            if !report.undo.isEmpty { try target.remember(report.undo + report.unmark, of: fence.user) }
            instant = .now()
            do throws(MigrationFault) { try fence.raise() } catch {
                // One server that refuses has changed nothing.
                if case .refused = error, report.fencedServers.count == 1 { try takeMarkAway() }
                throw error
            }
            guard try fence.stands() else {
                // The daemons go on, also those that connect anew.
                try takeMarkAway()
                throw .refused(
                    "\(fence.user) may still write at the source, by a selector or a rule of its own: take its rights "
                        + "yourself, and go on with --resume --fenced. To undo: \(report.undoing)")
            }
            tell(.done("fenced", "\(fence.user) cannot write at the source any more. To undo: \(report.undoing)"))
            try keepFence(fence)
        }
        return (instant, try source.time())
    }

    /// What stands among the data holds where the rights do not: after a restart, at a replica that was away.
    private func leaveMark(_ stage: MoveMark.Stage) throws(MigrationFault) {
        let mark = MoveMark(stage, to: report.target)
        // Those that stood there at the beginning, and those of its servers as they are by now.
        sourceMarks = source.markNames(beside: sourceMarks)
        do throws(MigrationFault) { try source.leave(mark, sourceMarks) } catch {
            guard case .server(let text) = error else { throw error }
            // A run before this one may have left it, and taken the right to write.
            guard let standing = try source.mark(sourceMarks), standing.place == mark.place else {
                return tell(.done("marked", "NOT: a daemon that is started at the source may serve from it. \(text)"))
            }
            if stage == .moved, standing.stage == .moving {
                tell(
                    .done("marked", "NOT as moved: daemons at the source go on saying that it is being moved. \(text)"))
            }
        }
        report.unmark = MigrationSide.unmarking(sourceMarks)
    }

    private func takeMarkAway() throws(MigrationFault) {
        try source.unmark(sourceMarks)
        (stage, report.unmark) = (.copying, [])
    }

    private func keepFence(_ fence: Fence) throws(MigrationFault) {
        let (kept, lost) = try fence.keep()
        report.keptServers = kept
        let parts = [
            kept.isEmpty ? "" : "after a restart, too: \(kept.joined(separator: ", "))",
            lost.isEmpty
                ? ""
                : "until a restart: \(lost.joined(separator: ", ")); "
                    + (report.unmark.isEmpty ? "let it not be started anew" : "then the mark alone keeps daemons away"),
        ]
        tell(.done("kept", parts.filter { !$0.isEmpty }.joined(separator: "; ")))
    }

    /// Nobody is to serve from the source any more, and everybody may from the target. All is there: what cannot be done at the
    /// source from now on is told, and undoes nothing.
    func settle() throws(MigrationFault) {
        try target.unmark(targetMarks)
        stage = .moved
        do throws(MigrationFault) {
            // Without a fence of ours it is known only now that nobody writes there.
            guard let fence else { return try leaveMark(.moved) }
            if fence.isOurs { try fence.allowMark() }
            try leaveMark(.moved)
            try fence.close()
            _ = try fence.keep()
        } catch {
            tell(.done("closed", "NOT: a daemon that is left at the source may still read there. \(error.message)"))
        }
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
}
