import Testing
import TokenCrypto
import Tokens

@testable import TokenCache

/// What was asked and answered in one session's life, and what the invariants say about it.
struct History {
    enum Operation: Sendable { case validate, login, rotate, revoke }

    enum Outcome {
        case accepted(generation: Int64, newToken: SessionToken?)
        case refused(Refusal)
        case ended
    }

    struct Entry {
        var operation: Operation
        var token: SessionToken
        var daemon: Int
        /// Places in the order of all beginnings and ends.
        var began: Int
        var finished = Int.max
        var outcome: Outcome?
        /// Sent by the browser with the newest token it had.
        var isHonest: Bool
    }

    private(set) var entries: [Entry] = []
    private var moment = 0
    let seed: UInt64

    init(seed: UInt64) { self.seed = seed }

    mutating func begin(_ operation: Operation, _ token: SessionToken, daemon: Int, isHonest: Bool) -> Int {
        moment += 1
        entries.append(
            Entry(operation: operation, token: token, daemon: daemon, began: moment, isHonest: isHonest))
        return entries.count - 1
    }

    mutating func finish(_ entry: Int, _ outcome: Outcome) {
        moment += 1
        #expect(entries[entry].outcome == nil, "an answer comes once (seed \(seed))")
        entries[entry].finished = moment
        entries[entry].outcome = outcome
    }

    var isComplete: Bool { entries.allSatisfy { $0.outcome != nil } }

    // MARK: The invariants

    /// `genuine`: every token that was ever given out.
    func check(genuine: [SessionToken]) {
        checkSuccessors()
        checkForged(genuine)
        checkDeaths()
        checkHonest()
    }

    /// S2: one successor per token, one token per generation, whoever asked and wherever.
    private func checkSuccessors() {
        var successors: [[UInt8]: SessionToken] = [:]
        var generations: [Int64: SessionToken] = [:]
        for entry in entries where entry.operation == .validate {
            guard case .accepted(let generation, let token?) = entry.outcome else { continue }
            let known = successors[entry.token.secretText]
            #expect(known == nil || known == token, "S2: two successors of one token (seed \(seed))")
            successors[entry.token.secretText] = token
            #expect(
                generations[generation] == nil || generations[generation] == token,
                "S2: two tokens of one generation (seed \(seed))")
            generations[generation] = token
        }
    }

    /// S4: a made-up verifier is never accepted and ends nothing.
    private func checkForged(_ genuine: [SessionToken]) {
        for entry in entries where !genuine.contains(entry.token) {
            switch entry.outcome {
            case .refused: break
            case .ended:
                #expect(
                    entries.contains {
                        $0.operation == .revoke && $0.began < entry.finished && genuine.contains($0.token)
                    }, "S4: a made-up verifier ended the session (seed \(seed))")
            case .accepted(_, let token):
                // LOGIN gives whoever showed credentials a session, but another one.
                #expect(
                    entry.operation == .login && token?.sid != entry.token.sid,
                    "S1: a made-up verifier was accepted (seed \(seed))")
            case nil: break
            }
        }
    }

    /// S5: what was acknowledged dead is not accepted by any request that came later.
    private func checkDeaths() {
        for death in entries {
            let survivor: SessionToken?
            switch (death.operation, death.outcome) {
            case (.revoke, .ended): survivor = nil
            case (.login, .accepted(_, let token)), (.rotate, .accepted(_, let token)): survivor = token
            default: continue
            }
            // A LOGIN that was given another session ends nothing here.
            if let survivor, survivor.sid != death.token.sid { continue }
            let successors = descendants(of: survivor)
            for entry in entries where entry.began > death.finished && entry.token.sid == death.token.sid {
                guard entry.operation == .validate || entry.operation == .rotate, case .accepted = entry.outcome
                else { continue }
                #expect(
                    successors.contains(entry.token),
                    "S5: a token was accepted after its death was acknowledged (seed \(seed))")
            }
        }
    }

    /// A token and all that came after it.
    private func descendants(of token: SessionToken?) -> [SessionToken] {
        guard let token else { return [] }
        var found = [token]
        for entry in entries where found.contains(entry.token) {
            if case .accepted(_, let next?) = entry.outcome, !found.contains(next) { found.append(next) }
        }
        return found
    }

    /// S12: an honest request is refused only if something ended or replaced its token while it was under way or
    /// before.
    private func checkHonest() {
        for entry in entries where entry.isHonest {
            guard case .refused = entry.outcome else { continue }
            let isExcused = entries.contains { other in
                guard other.operation != .validate, other.began < entry.finished else { return false }
                return other.operation != .revoke || other.token.sid == entry.token.sid
            }
            #expect(isExcused, "S12: an honest request was refused (seed \(seed))")
        }
    }
}
