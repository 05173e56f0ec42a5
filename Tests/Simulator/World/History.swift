import TokenCrypto
import Tokens

@testable import TokenCache

/// Who asks.
enum Actor: Equatable, CustomStringConvertible {
    case browser(Int)
    case thief(Int)
    case forger
    case admin

    var description: String {
        switch self {
        case .browser(let number): "browser \(number)"
        case .thief(let number): "thief \(number)"
        case .forger: "forger"
        case .admin: "admin"
        }
    }
}

enum Operation: String {
    case visit, validate, get, set, login, rotate, logout, issue
    /// SET with IF, INCR, GETDEL.
    case setIf = "set-if", incr, getDel = "getdel"
    case expire
    case revoke, revokeAll = "revoke-all", revokeEveryone = "revoke-everyone", list

    /// Makes every older token of the session dead.
    var isForced: Bool {
        switch self {
        case .login, .rotate, .logout, .revoke, .revokeAll: true
        default: false
        }
    }
    var isAccess: Bool { self == .visit || self == .validate }
    /// Whether it may write data. A guest becomes a session by it, but for GETDEL.
    var changesData: Bool { self == .set || self == .setIf || self == .incr || self == .getDel }
}

/// What a request brings.
enum Brought {
    case nothing
    case session(SessionToken)
    case guest([UInt8])
    case sid(SessionID)

    var secret: [UInt8]? {
        switch self {
        case .session(let token): token.secretText
        case .guest(let text): text
        case .nothing, .sid: nil
        }
    }
}

enum Outcome {
    case accepted(SessionView)
    case refused(Refusal, guest: SessionView?)
    case ended(EndReason)
    case notFound
    case allEnded(Int)
    case listed([SessionID])
    case unavailable(String)

    var isAccepted: Bool { if case .accepted = self { true } else { false } }
    var isUnavailable: Bool { if case .unavailable = self { true } else { false } }
    var newToken: HandedToken? {
        switch self {
        case .accepted(let view): view.newToken
        case .refused(_, let guest): guest?.newToken
        default: nil
        }
    }
    var newSession: SessionToken? { if case .session(let token)? = newToken { token } else { nil } }
}

/// What a request asks for besides.
struct Wish {
    var subject: [UInt8] = []
    var change = DataChange.set([])
    var limits = SessionLimits()
}

/// One request, from its arrival at a daemon on.
final class Request {
    let number: Int
    let actor: Actor
    let operation: Operation
    let daemon: Int
    let brought: Brought
    let wish: Wish
    /// Of the session that it speaks of, once known.
    let sid: SessionID?
    /// Of the verifier that it brought; of a guest, the one that stands for its token.
    let digest: Digest?
    let guest: Guest?
    /// When its client sent it.
    let sent: SimulatedTime
    let began: SimulatedTime
    var finished: SimulatedTime?
    var outcome: Outcome?
    /// What became of the data, where it was told.
    var told: DataOutcome?
    /// When the client had the answer; nil where it was lost, or is on its way.
    var delivered: SimulatedTime?
    /// The process died with it.
    var isAbandoned = false

    init(
        number: Int, actor: Actor, operation: Operation, daemon: Int, brought: Brought, wish: Wish,
        sid: SessionID?, digest: Digest?, guest: Guest?, sent: SimulatedTime, began: SimulatedTime
    ) {
        self.number = number
        self.actor = actor
        self.operation = operation
        self.daemon = daemon
        self.brought = brought
        self.wish = wish
        self.sid = sid
        self.digest = digest
        self.guest = guest
        self.sent = sent
        self.began = began
    }
}

extension Request {
    var subject: [UInt8] { wish.subject }

    /// What it brought, without what is secret.
    var name: String {
        let session = sid.map { String($0.description.prefix(8)) } ?? ""
        let verifier = digest.map { String($0.prefix & 0xfff, radix: 16) } ?? ""
        let kind =
            switch brought {
            case .nothing: "with nothing"
            case .session: "with \(session)/\(verifier)"
            case .guest: "with guest \(session)/\(verifier)"
            case .sid: "of \(session)"
            }
        return subject.isEmpty ? kind : "\(text(subject)) \(kind)"
    }
}

struct Violation: Equatable, Sendable, CustomStringConvertible {
    var invariant: String
    var detail: String
    var at: SimulatedTime

    var description: String { "\(invariant) at \(at / 1_000_000) ms: \(detail)" }
}
