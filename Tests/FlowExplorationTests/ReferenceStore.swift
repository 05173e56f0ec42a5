import UnixTime

@testable import Tokens

/// Redis as far as the scripts see it: one key, its expiry, compare-and-set on the revision, not-after.
extension World {
    enum Outcome { case done, overtaken, late }

    /// `commit.lua`: writes over the revision that the change was decided on, and tells the reference what that means.
    mutating func execute(_ commit: Commit, removed: RemovedRule?) -> (Outcome, Violation?) {
        if now > commit.notAfter { return (.late, nil) }
        guard case .live(let record) = stored, record.revision == commit.revision || removed == .revisionIsChecked
        else { return (.overtaken, nil) }
        let before = record.absoluteEnd
        stored = commit.next
        if case .live(let after) = stored, after.absoluteEnd != before, commit.effect != .login {
            return (.done, Violation(invariant: .s6, detail: "\(commit.effect) moved the absolute end"))
        }
        return (.done, note(commit))
    }

    private mutating func note(_ commit: Commit) -> Violation? {
        let token = requests[commit.request].token
        let candidate = UInt8(commit.request + 1)
        switch commit.effect {
        case .confirm: return reference.confirmed(token, at: commit.decidedAt)
        case .confirmAndRotate:
            return reference.confirmed(token, at: commit.decidedAt) ?? reference.rotated(token, to: candidate)
        case .rotate: return reference.rotated(token, to: candidate)
        case .rotateByForce: return reference.forced(to: candidate, at: commit.decidedAt)
        case .login:
            let violation = reference.forced(to: candidate, at: commit.decidedAt)
            guard case .live(let record) = commit.next else { return violation }
            let end = Int((record.absoluteEnd - Ticks.time(0)) / 1_000)
            reference.loggedIn(to: candidate, decidedAt: commit.decidedAt, absoluteEnd: end)
            return violation
        case .endByLogout:
            let isOutdated = reference.generation(of: token).map { $0 < reference.forcedGeneration } ?? false
            reference.ended(replacedBy: nil)
            if isOutdated {
                return Violation(invariant: .s4, detail: "token \(token) from before a LOGIN ended the session")
            }
        case .endByLogin: reference.ended(replacedBy: (candidate, commit.decidedAt))
        case .endByReplay:
            let isDeserved = reference.mayEndSession(token, at: commit.decidedAt)
            reference.ended(replacedBy: nil)
            if !isDeserved {
                return Violation(invariant: .s4, detail: "the return of token \(token) ended the session")
            }
        }
        return nil
    }

    /// `touch.lua`: records an access of a living session, creates nothing.
    mutating func execute(_ touch: Touch, removed: RemovedRule?) -> Violation? {
        guard now <= touch.notAfter else { return nil }
        guard case .live(var record) = stored else {
            guard removed == .touchNeverCreates else { return nil }
            stored = .live(touch.record)
            return Violation(invariant: .s6, detail: "a late touch brought an ended session back")
        }
        if Ticks.time(now) - record.lastAccess >= 1_000 { record.lastAccess = Ticks.time(now) }
        stored = .live(record)
        return nil
    }

    /// The clock moves on; what has expired is gone, what came too late will not act.
    mutating func tick() {
        now += 1
        if case .live(let record) = stored, record.expireAt <= Ticks.time(now) { stored = .absent }
        touches.removeAll { now > $0.notAfter }
        noteRights()
    }
}
