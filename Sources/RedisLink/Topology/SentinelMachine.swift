internal import EventLoop

/// What the Sentinels said, and which Redis is the master after it, as a value: answers and the time go in, decisions
/// come out. `SentinelWatch` asks them and carries out what is decided.
///
/// *Start* on a master only where a majority names it with one epoch: the last master's or a later one, and no Sentinel
/// names any with a later one. *Stop* as soon as one names another with a higher epoch. *Confirmed* while a majority named it within two
/// seconds. So whoever starts on a new master has a majority, and so has a confirmation: one Sentinel is in both, and its
/// epoch only grows.
///
/// Sentinels are counted by their own ids: one may be known under several addresses.
/// Source: redis.io/docs/management/sentinel.
struct SentinelMachine {
    struct Address: Hashable, Sendable {
        let host: String
        let port: UInt16
    }

    /// One Sentinel's answer about the master.
    struct Answer: Equatable {
        let master: Address
        /// Of the configuration that made it the master.
        let epoch: Int64
        /// How many Sentinels it knows, itself among them.
        let sentinels: Int
    }

    enum Decision: Equatable {
        /// This is the master from now on.
        case lead(Address)
        /// The master is none any more, and no other one is yet.
        case leave
        /// A majority named the master when it was asked at this moment.
        case confirmed(askedAt: MonotonicInstant)
    }

    /// How long an answer counts, from the moment at which it was asked for.
    static let answerLifetime = Duration.seconds(2)
    /// How long one is remembered that was not heard again: it says how many Sentinels there are.
    static let memory = Duration.seconds(60)
    /// Sentinels that are asked at most, the configured ones among them.
    static let mostSentinels = 64

    private struct Vote {
        let answer: Answer
        let askedAt: MonotonicInstant
    }

    private let configured: Int
    /// By id, the newest.
    private var votes: [String: Vote] = [:]
    /// Of the configuration that was followed last.
    private(set) var epoch: Int64 = -1
    /// Nil before the first, and while it is left.
    private(set) var master: Address?
    private var confirmedAt: MonotonicInstant?

    /// - Parameter configured: how many Sentinels `redis.url` names.
    init(configured: Int) { self.configured = configured }

    /// How many there are, as far as is known.
    var known: Int { max(configured, votes.values.map(\.answer.sentinels).max() ?? 0) }
    var majority: Int { known / 2 + 1 }

    /// What a Sentinel named last.
    func named(by id: String) -> Address? { votes[id]?.answer.master }

    /// A Sentinel answered.
    /// - Parameter id: its own; it does not change with its address.
    mutating func answered(
        _ id: String, _ answer: Answer, askedAt: MonotonicInstant, now: MonotonicInstant
    ) -> [Decision] {
        votes = votes.filter { $0.value.askedAt.duration(to: now) <= Self.memory }
        guard votes[id].map({ $0.askedAt <= askedAt }) ?? (votes.count < Self.mostSentinels) else { return [] }
        votes[id] = Vote(answer: answer, askedAt: askedAt)
        var decisions: [Decision] = []
        if let master, answer.master != master, answer.epoch > epoch {
            self.master = nil
            confirmedAt = nil
            decisions.append(.leave)
        }
        // Not while somebody names a newer one: but one that nobody confirms, and nobody names any more, is forgotten.
        let newest = livingVotes(at: now).map(\.answer.epoch).max() ?? answer.epoch
        if answer.epoch >= max(epoch, newest), supporters(of: answer.master, answer.epoch, at: now).count >= majority {
            if answer.master != master {
                confirmedAt = nil
                decisions.append(.lead(answer.master))
            }
            master = answer.master
            epoch = answer.epoch
        }
        return decisions + confirmation(now: now)
    }

    private func livingVotes(at now: MonotonicInstant) -> [Vote] {
        votes.values.filter { $0.askedAt.duration(to: now) <= Self.answerLifetime }
    }

    /// The moments at which those who name the same were asked, the latest first.
    private func supporters(of master: Address, _ epoch: Int64, at now: MonotonicInstant) -> [MonotonicInstant] {
        livingVotes(at: now).filter { $0.answer.master == master && $0.answer.epoch == epoch }.map(\.askedAt)
            .sorted(by: >)
    }

    /// The latest moment at which a majority named the master, where that is news.
    private mutating func confirmation(now: MonotonicInstant) -> [Decision] {
        guard let master else { return [] }
        let times = supporters(of: master, epoch, at: now)
        guard times.count >= majority else { return [] }
        let askedAt = times[majority - 1]
        guard confirmedAt.map({ askedAt > $0 }) ?? true else { return [] }
        confirmedAt = askedAt
        return [.confirmed(askedAt: askedAt)]
    }
}
