public import Tokens

/// What happened to tokens since the start, for INFO.
public struct TokenCounters: Sendable, Equatable {
    public var issued: UInt64 = 0
    public var logins: UInt64 = 0
    public var valid: UInt64 = 0
    public var rotated: UInt64 = 0
    public var unknown: UInt64 = 0
    public var replayed: UInt64 = 0
    public var revoked: UInt64 = 0
    /// Rotations that this daemon wrote.
    public var rotations: UInt64 = 0
    public var forcedRotations: UInt64 = 0
    public var confirmations: UInt64 = 0
    /// Lost successors that were told again.
    public var recoveries: UInt64 = 0
    public var touches: UInt64 = 0
    /// Sessions that this daemon ended, by what for.
    public var ended: [EndReason: UInt64] = [:]
    /// ISSUE and LOGIN that were refused because their subject has as many as it may.
    public var refusedByLimit: UInt64 = 0
    /// Sessions that the last REVOKEEVERYONE of this daemon has ended by now.
    public var swept = 0
    /// The moment of the last REVOKEEVERYONE that is known, Unix ms; 0: none is.
    public var everyoneEndedAt = 0
    /// Members without a session that this daemon took out of subjects' indexes.
    public var indexRemovals: UInt64 = 0
    /// Changes that another change overtook, so that they were decided anew.
    public var overtaken: UInt64 = 0
    public var unavailable: UInt64 = 0
    public var expired: UInt64 = 0
    public var mismatch: UInt64 = 0
    /// Good, and not what REQUIRE asked for: counted there and not as valid or rotated.
    public var anonymous: UInt64 = 0
    public var reauthenticate: UInt64 = 0
    public var guestsIssued: UInt64 = 0
    public var guestsRenewed: UInt64 = 0
    /// Guests without a token of their own, for a page only.
    public var pageGuests: UInt64 = 0
    /// Guests' tokens found good.
    public var guestsValid: UInt64 = 0
    /// Questions to Redis whether a session was made of a guest.
    public var guestsLookedUp: UInt64 = 0
    /// SETs whose IF did not hold.
    public var conflicts: UInt64 = 0
    /// Guests that became sessions by what there was to remember.
    public var guestsPromoted: UInt64 = 0
    public var csrfIssued: UInt64 = 0
    public var csrfPassed: UInt64 = 0
    public var csrfFailed: UInt64 = 0
    /// From before a LOGIN or ROTATE.
    public var csrfOutdated: UInt64 = 0
    public var captchasIssued: UInt64 = 0
    public var captchasPassed: UInt64 = 0
    /// Wrong, late, or for another form, holder or client.
    public var captchasFailed: UInt64 = 0
    public var captchasSpent: UInt64 = 0

    public init() {}
}
