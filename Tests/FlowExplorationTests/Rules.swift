import Testing
import UnixTime

@testable import Tokens

/// The rules of the session model that an exploration can take away: each must be missed by some invariant.
enum RemovedRule: String, CaseIterable, Sendable {
    /// Rule 4: an access that confirms never also rotates.
    case confirmationNeverRotates
    /// Rule 2: a daemon returns the successor that stands in Redis, never its own candidate.
    case loserReturnsWhatStands
    /// Rule 4: the previous token is retired when the overlap has passed.
    case previousIsRetired
    /// Rule 4: until its successor was used the old token is accepted.
    case previousWaitsForConfirmation
    /// Rule 4: the old token is told its successor however often it comes.
    case waitingTokenIsToldAgain
    /// Rule 5: a retired token ends the session only after the grace.
    case graceBeforePunishment
    /// Rule 5: tokens from before a LOGIN or ROTATE never end the session.
    case noPunishmentFromBeforeForced
    /// Rule 5: a made-up verifier harms nothing.
    case forgedIsHarmless
    /// Rule 6: a forced rotation leaves no previous token.
    case forcedRetiresPrevious
    /// Rule 6: LOGIN remembers its answer.
    case loginIsRemembered
    /// Rule 6: a repeated command recognises its own candidate.
    case candidateIsRecognised
    /// A change is written only over the revision it was decided on.
    case revisionIsChecked
    /// An ended session leaves a tombstone, and a late touch cannot resurrect it.
    case touchNeverCreates
    /// S6: only LOGIN moves the absolute end.
    case absoluteEndStays
    /// An end is acknowledged when it was written, or stands there already.
    case endIsAcknowledgedWhenWritten
    /// A daemon that does not know whether a session was ended does not call it good.
    case unknownEndIsDenied

    /// Which of the scenarios misses it soon.
    var scenario: Int {
        switch self {
        case .confirmationNeverRotates, .loserReturnsWhatStands, .previousIsRetired, .previousWaitsForConfirmation,
            .waitingTokenIsToldAgain, .revisionIsChecked, .absoluteEndStays:
            0
        case .graceBeforePunishment: 2
        case .forcedRetiresPrevious, .loginIsRemembered, .candidateIsRecognised: 3
        case .noPunishmentFromBeforeForced: 5
        case .endIsAcknowledgedWhenWritten, .unknownEndIsDenied: 6
        case .touchNeverCreates: 8
        case .forgedIsHarmless: 9
        }
    }
}

/// What an invariant of the session model says against a behaviour.
struct Violation: Equatable, CustomStringConvertible {
    enum Invariant: String {
        case s1 = "S1"
        case s2 = "S2"
        case s3 = "S3"
        case s4 = "S4"
        case s5 = "S5"
        case s6 = "S6"
        case s12 = "S12"
    }
    var invariant: Invariant
    var detail: String

    var description: String { "\(invariant.rawValue): \(detail)" }
}

/// One world to explore: who asks for what, and how much may go wrong.
struct Scenario: Sendable, CustomTestStringConvertible {
    enum Operation: UInt8, Sendable { case validate, login, rotate, revoke }
    /// Whose token a request carries.
    enum Presenter: UInt8, Sendable {
        /// The browser: whatever its cookie jar holds when the request is sent.
        case jar
        /// A thief, a tab left open: the session's first token, always.
        case firstToken
        case forger
    }

    var name: String
    var requests: [(operation: Operation, presenter: Presenter)]
    /// How far the clock may go.
    var ticks: Int
    /// How many commands, replies and responses may be lost, repeated or given up, together.
    var losses: Int
    var onReplay: ReplayPolicy = .reject
    /// Whose session it is at the start; empty for an anonymous one.
    var subject: [UInt8] = []
    /// Ticks until the absolute end.
    var absoluteTicks = 50
    /// Whether a copy arrives in the moment it is taken: fewer worlds, for more requests.
    var readsAtOnce = false

    var testDescription: String { readsAtOnce ? "\(name), reads at once" : name }

    var coarse: Scenario {
        var coarse = self
        coarse.readsAtOnce = true
        return coarse
    }

    var short: Scenario {
        var short = self
        short.requests = Array(requests.prefix(3))
        short.losses = min(losses, 1)
        short.ticks = min(ticks, 3)
        return short
    }

    var policy: TokenPolicy {
        TokenPolicy(
            rotationAfter: Milliseconds(Ticks.rotationAfter) * 1_000,
            rotationOverlap: Milliseconds(Ticks.overlap) * 1_000,
            onReplay: onReplay, replayGrace: Milliseconds(Ticks.grace) * 1_000, idle: 10_000_000, absolute: 50_000,
            touchInterval: 1_000)
    }
}
