import EventLoop
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// One moment of an exploration of S13: a subject's index and its sessions, each on a master with a clock of its own, and
/// what is on its way there. Times are ticks of 20 seconds; what is written are milliseconds, as always.
struct IndexWorld {
    /// Whose clock is how many ticks ahead of the true time; all of them within a minute.
    struct Clocks: Equatable {
        /// By which daemons decide.
        var daemons = 0
        var session = 0
        var index = 0
    }

    /// What an actor waits for.
    enum Pending {
        case read(SessionID)
        case note
        /// A session enters the index, and is written behind it.
        case enter(SessionWrite, SessionID, notAfter: Int64)
        case commit(SessionWrite, SessionID, notAfter: Int64)
        case page(IndexQuery)
        case parts([Part])
    }

    /// A session of many that a walk looks at, or ends.
    enum Part {
        case facts(SessionID)
        case revoke(RevokeFlow, Pending)
        case done(Result<PartAnswer, ServiceFault>)
    }

    enum Flow {
        case issue(LimitedFlow<IssueFlow>)
        case login(LimitedFlow<LoginFlow>)
        case expire(ExpireFlow)
        case rotate(RotateFlow)
        case repetition(RepeatFlow)
        case revoke(RevokeFlow)
        case revokeAll(RevokeAllFlow)
        case tally(TallyFlow)
        case list(ListFlow)
        case look(LookFlow)
    }

    struct Actor {
        enum Phase {
            case unsent
            case waiting(Flow, Pending)
            /// An end was written; its daemon has not read that yet.
            case written(Flow, SessionWrite, SessionID)
            case over
        }

        let command: IndexScenario.Command
        var phase = Phase.unsent
        /// Of the request, or of the part that it does now.
        var arrival = 0
        /// All that its flow was told.
        var seen: UInt64 = 0
        /// Sessions that were acknowledged before it came.
        var owed: [Int] = []
    }

    /// An index is told; or a session enters it whose write did not wait for that.
    struct Script {
        enum Kind {
            case tidy([IndexFinding])
            case enter(SessionID, UnixMilliseconds)
        }
        var kind: Kind
        var notAfter: Int64
    }

    static let tick: Milliseconds = 20_000
    static let start: Int64 = 1_700_000_000_000
    static let subject = Array("alice".utf8)

    var now = 0
    var clocks: Clocks
    /// What is left of a scenario's: failovers, replies that are lost, deaths by the idle limit.
    var failovers: Int
    var losses: Int
    var deaths: Int

    /// Key → session, by its number, and when it runs out.
    var sessions: [StoredSession]
    var ends: [UnixMilliseconds]
    /// How often it was made.
    var lives: [Int]
    /// The life that somebody was told of.
    var acknowledged: [Int]
    /// Scores of the index, by number, and when the whole of it runs out.
    var scores: [Double?]
    /// Whether somebody who found no session has shortened its place, and nobody has put that back.
    var condemned: [Bool]
    var indexEnd: UnixMilliseconds?

    var actors: [Actor]
    var scripts: [Script] = []

    init(_ scenario: IndexScenario, sessions count: Int) {
        clocks = scenario.clocks
        (failovers, losses, deaths) = (scenario.failover == nil ? 0 : 1, scenario.losses, scenario.deaths)
        sessions = Array(repeating: .absent, count: count)
        ends = Array(repeating: .earliest, count: count)
        lives = Array(repeating: 0, count: count)
        acknowledged = lives
        scores = Array(repeating: nil, count: count)
        condemned = Array(repeating: false, count: count)
        actors = scenario.commands.map { Actor(command: $0) }
    }

    // MARK: Time

    func time(_ ahead: Int) -> UnixMilliseconds { UnixMilliseconds(Self.start + Int64(now + ahead) * Self.tick) }
    var daemonTime: UnixMilliseconds { time(clocks.daemons) }
    var sessionTime: UnixMilliseconds { time(clocks.session) }
    var indexTime: UnixMilliseconds { time(clocks.index) }

    /// The true time as an instant of a host.
    static func instant(_ tick: Int) -> MonotonicInstant {
        MonotonicInstant(nanoseconds: Int64(tick) * Self.tick * 1_000_000)
    }
    static func ticks(_ instant: MonotonicInstant) -> Int { Int(instant.nanoseconds / (tick * 1_000_000)) }

    /// What has run out is gone.
    mutating func expire() {
        for number in sessions.indices where ends[number] <= sessionTime { sessions[number] = .absent }
        guard let end = indexEnd, end <= indexTime || scores.allSatisfy({ $0 == nil }) else { return }
        for number in scores.indices { leave(number) }
        indexEnd = nil
    }

    func record(_ number: Int) -> SessionRecord? {
        if case .live(let record) = sessions[number], record.subject == Self.subject { record } else { nil }
    }

    // MARK: Redis

    /// `commit.lua`.
    /// - Returns: nil where another change came first.
    mutating func commit(_ write: SessionWrite, _ number: Int, _ change: Change) -> Bool {
        switch (change.basis, sessions[number]) {
        case (.absent, .absent): lives[number] += 1
        case (.revision(let revision), .live(let record)) where record.revision == revision: break
        default: return false
        }
        sessions[number] = write.next
        if let end = change.expireAt { ends[number] = end }
        return true
    }

    /// `enter.lua`.
    mutating func enter(_ number: Int, until end: UnixMilliseconds, without removed: RemovedIndexRule?) {
        let score = Double(end.sinceEpoch)
        let stands = removed == .scoreOnlyRises ? nil : scores[number]
        scores[number] = max(stands ?? score, score)
        raise(to: end, without: removed)
    }

    /// `tidy.lua`.
    mutating func tidy(_ findings: [IndexFinding], _ sids: [SessionID], without removed: RemovedIndexRule?) {
        let margin = removed == .twoMinutes ? 0 : Double(Self.margin)
        let now = Double(indexTime.sinceEpoch)
        for finding in findings {
            guard let number = sids.firstIndex(of: finding.sid), let stands = scores[number] else { continue }
            guard let (score, end) = finding.read else {
                leave(number)
                continue
            }
            guard stands == score || removed == .scoreIsUnchanged else { continue }
            if let end {
                guard Double(end.sinceEpoch) > score, removed != .livingIsPutBack else { continue }
                scores[number] = max(stands, Double(end.sinceEpoch))
                condemned[number] = false
                raise(to: end, without: removed)
            } else if (Self.isCondemned(score) && score <= now) || score + margin <= now {
                leave(number)
            } else if score > now + margin {
                scores[number] = now + margin + 0.5
                condemned[number] = true
            }
        }
        expire()
    }

    private mutating func leave(_ number: Int) {
        scores[number] = nil
        condemned[number] = false
    }

    private mutating func raise(to end: UnixMilliseconds, without removed: RemovedIndexRule?) {
        let end = end + Self.margin
        indexEnd = removed == .lifeOnlyGrows ? end : max(indexEnd ?? end, end)
    }

    static func isCondemned(_ score: Double) -> Bool { score != score.rounded() }
    static let margin: Milliseconds = 120_000

    // MARK: What is the same

    /// Equal for worlds whose future is the same.
    var key: UInt64 {
        var key = stored
        key += [now, clocks.session, clocks.index, failovers, losses, deaths].map { UInt64(bitPattern: Int64($0)) }
        for number in lives.indices {
            key += [UInt64(lives[number]), UInt64(acknowledged[number])]
        }
        for actor in actors {
            switch actor.phase {
            case .unsent: key.append(0)
            case .over: key.append(1)
            case .written: key += [2, actor.seen]
            case .waiting(_, let pending): key += [3, actor.seen] + pending.mark
            }
        }
        key += scripts.map(\.mark).sorted()
        return .mixed(key)
    }

    /// Of what stands in Redis.
    var stored: [UInt64] {
        var key: [UInt64] = []
        for number in sessions.indices {
            key += [sessions[number].mark, UInt64(bitPattern: ends[number].sinceEpoch)]
            key += [scores[number].map(\.bitPattern) ?? 1, condemned[number] ? 1 : 0]
        }
        key.append(indexEnd.map { UInt64(bitPattern: $0.sinceEpoch) } ?? 0)
        return key
    }
}

extension IndexFinding {
    var sid: SessionID {
        switch self {
        case .living(let member, _), .gone(let member): member.sid
        case .ended(let sid, _): sid
        }
    }

    /// The score that was read, and the end of the session that was found; nil where the score makes no difference.
    fileprivate var read: (score: Double, end: UnixMilliseconds?)? {
        switch self {
        case .living(let member, let end): (member.number, end)
        case .gone(let member): (member.number, nil)
        case .ended: nil
        }
    }
}

extension IndexMember {
    var number: Double { Double(String(decoding: score, as: UTF8.self)) ?? 0 }
}

extension StoredSession {
    /// All that makes a difference.
    var mark: UInt64 {
        switch self {
        case .absent: return 0
        case .ended: return 1
        case .live(let record):
            return .mixed([
                2, UInt64(bitPattern: record.revision), record.current.prefix, UInt64(record.subject.count),
                UInt64(bitPattern: record.absoluteEnd.sinceEpoch), UInt64(bitPattern: record.lastAccess.sinceEpoch),
            ])
        }
    }
}

extension IndexWorld.Script {
    var mark: UInt64 {
        var parts = [UInt64(bitPattern: notAfter)]
        switch kind {
        case .enter(let sid, let end): parts += [sid.mark, UInt64(bitPattern: end.sinceEpoch)]
        case .tidy(let findings):
            for finding in findings {
                let (score, end) = finding.read ?? (-1, nil)
                parts += [finding.sid.mark, score.bitPattern, UInt64(bitPattern: end?.sinceEpoch ?? 0)]
            }
        }
        return .mixed(parts)
    }
}

extension IndexWorld.Pending {
    var mark: [UInt64] {
        switch self {
        case .read: [0]
        case .note: [1]
        case .page: [2]
        case .parts: [3]
        case .enter(_, _, let notAfter): [4, UInt64(bitPattern: notAfter)]
        case .commit(_, _, let notAfter): [5, UInt64(bitPattern: notAfter)]
        }
    }
}

extension SessionID {
    var mark: UInt64 { withUnsafeBytes { UInt64($0[0]) } }
}

extension UInt64 {
    /// One number of many: two of them are equal by chance only.
    static func mixed(_ numbers: [UInt64], from start: UInt64 = 0xcbf2_9ce4_8422_2325) -> UInt64 {
        numbers.reduce(start) { mixed, number in
            var next = (mixed ^ number) &* 0x9e37_79b9_7f4a_7c15
            next ^= next >> 29
            return next &* 0xbf58_476d_1ce4_e5b9 ^ next >> 32
        }
    }
}
