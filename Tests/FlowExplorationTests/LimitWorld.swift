import Testing
import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

/// The rules of the limit that an exploration can take away, each by a lens on what is sent or in the store.
enum RemovedLimitRule: String, CaseIterable {
    /// A login ends a session only as it was when its number was read: not one that was renewed since.
    case renewedIsLeft
    /// A LOGIN that renews a session is its subject's latest.
    case renewedIsNumberedAnew
    /// A number counts when it was written into the session, not when it was given: another LOGIN may have come first.
    case numberIsWritten
    /// A login that others overtook ends its own session, too.
    case overtakenEndsItself
    /// `on-limit: refuse`: the place is taken in the index, in one step with the count.
    case placeIsTakenFirst
}

struct LimitScenario: CustomTestStringConvertible {
    enum Maker: Equatable, CustomStringConvertible {
        case issue
        /// LOGIN with the token of a session from before.
        case login(over: Int)
        /// LOGIN with the token of a session that is nobody's.
        case loginOverAnonymous

        var description: String {
            switch self {
            case .issue: "ISSUE"
            case .login(let number): "LOGIN over \(number)"
            case .loginOverAnonymous: "LOGIN over nobody's"
            }
        }
    }

    var makers: [Maker]
    var limit: Int
    /// The subject's sessions at the start.
    var before: Int
    var policy = SessionLimitPolicy.endOldest
    var losses = 0

    var testDescription: String {
        "\(makers.map(\.description).joined(separator: ", ")) beside \(before), limit \(limit), \(policy.rawValue), "
            + "\(losses) losses"
    }
}

/// What stands in Redis, and how far each login is. Sessions have numbers: those from before, the anonymous one, then one
/// for each login.
struct LimitWorld {
    struct Login {
        enum Flow {
            case issue(LimitedFlow<IssueFlow>)
            case login(LimitedFlow<LoginFlow>)
        }

        let maker: LimitScenario.Maker
        var flow: Flow
        var step: FlowStep<LoginAnswer>
        var hasEntered = false
        /// The number that it was given last.
        var given: Int64?
        /// Ends that it decided on, and has not written.
        var ending: [(RevokeFlow, FlowStep<RevokeAnswer>)]?
        /// All that it was told.
        var seen: [Int] = []
        var answer: Answer?
    }

    enum Answer: Equatable {
        case issued(Int)
        case refused
        case unavailable
    }

    /// Each with the number that was given last.
    var index: [Int: Int64]
    var lastNumber: Int64
    /// Of each login that was written, the number that it was given, whatever rule is removed; by session.
    var written: [Int: Int64]
    var sessions: [Int: StoredSession]
    var logins: [Login]
    var losses: Int

    static let subject = Array("alice".utf8)

    func record(_ number: Int) -> SessionRecord? {
        if case .live(let record)? = sessions[number] { record } else { nil }
    }

    func lives(_ number: Int) -> Bool { record(number).map { $0.subject == Self.subject } ?? false }
    var living: [Int] { sessions.keys.filter(lives).sorted() }
    /// The sessions that logged in last, of these or of all that there were.
    func latest(_ count: Int, of sessions: [Int]? = nil) -> [Int] {
        let order = written.filter { sessions?.contains($0.key) ?? true }.sorted { $0.value < $1.value }
        return order.suffix(count).map(\.key).sorted()
    }

    /// Of a session, all that makes a difference.
    func mark(_ number: Int) -> [Int] {
        switch sessions[number] {
        case nil, .absent?: [0]
        case .ended?: [1]
        case .live(let record)?:
            [
                2, Int(record.revision), Int(truncatingIfNeeded: record.current.prefix),
                Int(record.loginNumber ?? 0),
            ]
        }
    }

    /// Equal for worlds whose future is the same.
    var key: [Int] {
        var key = [losses, Int(lastNumber)]
        for number in index.keys.sorted() { key += [number, Int(index[number] ?? 0)] }
        key.append(-1)
        for number in sessions.keys.sorted() { key += [number, Int(written[number] ?? 0)] + mark(number) }
        for login in logins {
            key += [-2, login.hasEntered ? Int(login.given ?? 0) : 0, login.ending == nil ? 0 : 1] + login.seen
            switch login.answer {
            case nil: key.append(-3)
            case .issued(let number)?: key += [-4, number]
            case .refused?: key.append(-5)
            case .unavailable?: key.append(-6)
            }
        }
        return key
    }

    // MARK: Redis

    /// `enter.lua`.
    /// - Returns: the number that stands in the reply.
    mutating func enter(_ number: Int, by login: Int, removed: RemovedLimitRule?) -> Int64? {
        lastNumber += 1
        logins[login].given = lastNumber
        if removed == .renewedIsNumberedAnew, index[number] != nil { return nil }
        index[number] = lastNumber
        return lastNumber
    }

    func isFull(for number: Int, limit: Int) -> Bool { index[number] == nil && index.count >= limit }

    func copy(_ number: Int) -> StoredCopy { StoredCopy(session: sessions[number] ?? .absent, data: []) }

    /// `commit.lua`.
    /// - Parameter given: the number of the login that it is.
    mutating func commit(_ write: SessionWrite, _ number: Int, given: Int64? = nil) -> FlowEvent {
        guard record(number)?.revision == write.over?.revision, write.over != nil || sessions[number] == nil else {
            return .overtaken(copy(number))
        }
        sessions[number] = write.next
        if let given, lives(number) { written[number] = given }
        return .written(.changed(0))
    }

    func facts(_ number: Int, removed: RemovedLimitRule?) -> FoundSession {
        guard let record = record(number) else { return .gone }
        let facts = SessionFacts(
            subject: record.subject, generation: record.generation, created: record.created,
            lastAccess: record.lastAccess, idle: record.idle, absoluteEnd: record.absoluteEnd,
            authTime: record.authTime,
            loginNumber: removed == .numberIsWritten ? index[number] : record.loginNumber)
        return .living(facts, [])
    }
}
