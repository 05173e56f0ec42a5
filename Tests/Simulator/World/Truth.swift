import TokenCache
import TokenCrypto
import Tokens
import UnixTime

/// What stood under each session's key, and since when: Redis's own word, which no daemon sees whole.
struct Truth {
    struct Moment {
        let at: SimulatedTime
        let session: StoredSession
        /// The key's end by Redis's clock.
        let expireAt: UnixMilliseconds?

        /// What stands there at a time: a session past its limits is none, whether its key is gone or not.
        func session(at time: UnixMilliseconds) -> StoredSession {
            if let expireAt, expireAt <= time { return .absent }
            return session
        }
    }

    /// Until when whatever was made is over (REVOKEEVERYONE), and since when Redis says so; nil: it says nothing, or no more.
    private(set) var epochs: [(at: SimulatedTime, moment: UnixMilliseconds?)] = []
    /// What each server's key says.
    private var servers: [String: UnixMilliseconds] = [:]
    private(set) var timelines: [SessionID: [Moment]] = [:]
    private var offsets: [(at: SimulatedTime, offset: Int64)]
    let policy: TokenPolicy

    /// For so long after a jump of Redis's clock a daemon may count by the old one: until the next heartbeat is answered.
    static let jumpMemory = SimulatedTime.milliseconds(2_500)

    init(policy: TokenPolicy, offset: Int64) {
        self.policy = policy
        offsets = [(0, offset)]
    }

    mutating func noteClock(_ offset: Int64, at now: SimulatedTime) { offsets.append((now, offset)) }

    mutating func noteEpoch(_ key: String, _ entry: ModelEntry?, at now: SimulatedTime) {
        var moment: UnixMilliseconds?
        if case .string(let content)? = entry?.value { moment = number(content).map(UnixMilliseconds.init) }
        servers[key] = moment
        epochs.append((now, servers.values.max()))
    }

    /// Since when what was made then is over, in a span; nil: it is not.
    private func end(ofMade made: UnixMilliseconds, from start: SimulatedTime, to end: SimulatedTime) -> SimulatedTime?
    {
        for (index, epoch) in epochs.enumerated() {
            guard let moment = epoch.moment, made <= moment, epoch.at <= end else { continue }
            let until = index + 1 < epochs.count ? epochs[index + 1].at : SimulatedTime.max
            if until > start { return max(start, epoch.at) }
        }
        return nil
    }

    /// Whether a daemon may know of an epoch, though Redis has lost it.
    private func wasOver(made: UnixMilliseconds, at time: SimulatedTime) -> Bool {
        epochs.contains { $0.at <= time && $0.moment.map { made <= $0 } ?? false }
    }

    /// Redis's time at a moment, and what a daemon may still take it for.
    func clocks(at time: SimulatedTime) -> [UnixMilliseconds] {
        var found: [UnixMilliseconds] = []
        for (index, change) in offsets.enumerated() where change.at <= time {
            let end = index + 1 < offsets.count ? offsets[index + 1].at + Self.jumpMemory : .max
            if end >= time { found.append(SimulatedLoop.epoch + (change.offset + time / 1_000_000)) }
        }
        return found
    }

    /// Redis's time at a moment.
    func clock(at time: SimulatedTime) -> UnixMilliseconds { clocks(at: time).last ?? UnixMilliseconds(0) }

    func hasJumped(since time: SimulatedTime) -> Bool { offsets.dropFirst().contains { $0.at >= time } }

    mutating func note(_ sid: SessionID, _ moment: Moment) { timelines[sid, default: []].append(moment) }

    func last(_ sid: SessionID) -> Moment? { timelines[sid]?.last }

    /// What a session was in a span: each state with the part of the span in which it was.
    func states(
        of sid: SessionID, from start: SimulatedTime, to end: SimulatedTime
    ) -> [(session: StoredSession, from: SimulatedTime, to: SimulatedTime)] {
        let standing = standing(of: sid, from: start, to: end)
        guard !epochs.isEmpty else { return standing }
        return standing.flatMap { state -> [(session: StoredSession, from: SimulatedTime, to: SimulatedTime)] in
            guard case .live(let record) = state.session,
                let over = self.end(ofMade: record.created, from: state.from, to: state.to)
            else { return [state] }
            let ended = (StoredSession.ended(Tombstone(reason: .admin)), over, state.to)
            return over > state.from ? [(state.session, state.from, over), ended] : [ended]
        }
    }

    /// What stood in Redis in a span.
    private func standing(
        of sid: SessionID, from start: SimulatedTime, to end: SimulatedTime
    ) -> [(session: StoredSession, from: SimulatedTime, to: SimulatedTime)] {
        let timeline = timelines[sid] ?? []
        var states: [(StoredSession, SimulatedTime, SimulatedTime)] = []
        var from = start
        for (index, moment) in timeline.enumerated() {
            let until = index + 1 < timeline.count ? timeline[index + 1].at : SimulatedTime.max
            if moment.at > from, states.isEmpty { states.append((.absent, from, min(end, moment.at))) }
            guard until >= start, moment.at <= end else { continue }
            from = max(start, moment.at)
            let to = min(end, until)
            // Past its end the key holds nothing, whether it is gone or not.
            let gone = moment.expireAt.map { expireAt in
                from + SimulatedTime.milliseconds(expireAt - clock(at: from))
            }
            if let gone, gone < to {
                if gone > from { states.append((moment.session, from, gone)) }
                states.append((.absent, max(from, gone), to))
            } else {
                states.append((moment.session, from, to))
            }
        }
        return states.isEmpty ? [(.absent, start, end)] : states
    }

    /// Whether a verifier of a session was good at some moment of a span.
    func isAccepted(
        _ digest: Digest, of sid: SessionID, guest: Guest?, from start: SimulatedTime, to end: SimulatedTime
    ) -> Bool {
        states(of: sid, from: start, to: end).contains { state in
            switch state.session {
            case .absent:
                guard let made = guest?.made.milliseconds else { return false }
                return self.end(ofMade: made, from: state.from, to: state.from) == nil
            case .ended: return false
            // An overlap ends, and nothing begins by itself; but a clock may be set back.
            case .live(let record):
                return (clocks(at: state.from) + clocks(at: state.to)).contains {
                    record.standing(of: digest, policy: policy, now: $0).isAccepted
                }
            }
        }
    }

    /// Whether a refusal was right at some moment of a span.
    /// - Parameter known: that everyone was logged out later than this, whoever refuses need not know: another key says it than
    ///   the session's.
    func isRefused(
        _ refusal: Refusal, _ digest: Digest, of sid: SessionID, guest: Guest?, from start: SimulatedTime,
        to end: SimulatedTime, knowing known: SimulatedTime
    ) -> Bool {
        let unaware = standing(of: sid, from: start, to: end).filter { state in
            if case .live(let record) = state.session {
                self.end(ofMade: record.created, from: known, to: known) == nil
            } else {
                false
            }
        }
        return (states(of: sid, from: start, to: end) + unaware).contains { state in
            switch (state.session, refusal) {
            case (.absent, .unknown): return guest == nil
            case (.absent, .revoked(.admin)):
                return guest.map { wasOver(made: $0.made.milliseconds, at: state.to) } ?? false
            case (.live(let record), .revoked(.admin)): return wasOver(made: record.created, at: state.to)
            case (.ended, .revoked): return true
            case (.live(let record), .unknown):
                return record.standing(of: digest, policy: policy, now: clock(at: state.to)) == .forged
            case (.live(let record), .replayed):
                return clocks(at: state.to).contains {
                    if case .retired = record.standing(of: digest, policy: policy, now: $0) { true } else { false }
                }
            default: return false
            }
        }
    }

    /// Whether the session's current token was this at some moment of a span.
    func wasCurrent(_ digest: Digest, of sid: SessionID, from start: SimulatedTime, to end: SimulatedTime) -> Bool {
        standing(of: sid, from: start, to: end).contains { state in
            if case .live(let record) = state.session { record.current == digest } else { false }
        }
    }
}
