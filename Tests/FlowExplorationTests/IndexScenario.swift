import Testing
import UnixTime

@testable import TokenCache

/// The rules of the index that an exploration can take away, each by a lens on what is sent, or in the store.
enum RemovedIndexRule: String, CaseIterable {
    /// A member without a session stays for two minutes.
    case twoMinutes
    /// Nothing is done about a member whose score is not the one that was read.
    case scoreIsUnchanged
    /// The absolute end of a session that lives is put back.
    case livingIsPutBack
    /// A session enters its index before it is written.
    case entersFirst
    /// That it entered is acknowledged before it is written.
    case entryIsAwaited
    /// A later end enters the index first, too.
    case laterEndEnters
    /// Whoever's session becomes the subject's enters the index, too.
    case newSubjectEnters
    /// A write past its not-after does nothing.
    case lateDoesNothing
    /// Who enters never lowers a score.
    case scoreOnlyRises
    /// Who enters never shortens the life of the index.
    case lifeOnlyGrows
    /// What was found of sessions is told while it is new.
    case findingsAge
    /// That a session was ended is told while it is new.
    case endsAge
    /// That a session was ended takes its member out at once only where its tombstone outlives that.
    case tombstoneOutlives

    /// The first letters of the scenario that misses it soon.
    var scenario: String {
        switch self {
        case .twoMinutes, .entersFirst, .entryIsAwaited, .lateDoesNothing, .findingsAge: "ISSUE beside two COUNTs"
        case .livingIsPutBack: "ISSUE beside two COUNTs"
        case .scoreIsUnchanged: "LOGIN with a guest's token again"
        case .laterEndEnters, .scoreOnlyRises, .lifeOnlyGrows: "two EXPIREs"
        case .newSubjectEnters: "a LOGIN that a master lost"
        case .endsAge: "a REVOKE whose daemon stands still"
        case .tombstoneOutlives: "a REVOKE, a short tombstone"
        }
    }
}

/// One world of S13 to explore.
struct IndexScenario: CustomTestStringConvertible {
    enum Command: Equatable {
        /// With an absolute end after so many ticks.
        case issue(Int)
        case login(Int)
        case expire(Int)
        case rotate(Int)
        /// A LOGIN over the session is carried out once more, on a master that lost it.
        case repetition(Int)
        case revoke, revokeAll, count, list
        /// What a login does about others of the index.
        case look

        var isMaker: Bool {
            switch self {
            case .issue, .login: true
            case .expire, .rotate, .repetition, .revoke, .revokeAll, .count, .list, .look: false
            }
        }
    }

    /// What there is of the one session that commands are called with.
    enum Start: Equatable {
        /// A guest, of whom no session was made yet.
        case guest
        /// A session of the subject, for so many ticks.
        case living(Int)
        /// Somebody else's; the empty name: nobody's.
        case anothers(String)
        /// A guest, of whose session nothing is left but its place in the index.
        case condemned
    }

    enum Master { case daemons, session, index }

    var name: String
    var start: Start
    var commands: [Command]
    /// How far the clock may go.
    var ticks: Int
    /// How many replies may be lost.
    var losses = 0
    /// How many sessions may die of their idle limit, at any moment.
    var deaths = 0
    var clocks = IndexWorld.Clocks()
    /// A master is replaced by one whose clock is so many ticks ahead, at any moment.
    var failover: (of: Master, to: Int)?
    var tombstone: Milliseconds = 10 * 60_000
    /// Whether a daemon may stand still between what it read and what it sends.
    var standsStill = false
    /// Whether a login looks at other members.
    var looks = false

    var testDescription: String {
        "\(name), clocks \(clocks.daemons) \(clocks.session) \(clocks.index)"
            + (failover.map { ", failover of \($0.of) to \($0.to)" } ?? "")
    }
}
