internal import EventLoop

/// What the Sentinels said, and which Redis is the master after it, as a value: answers and the time go in, decisions
/// come out. `SentinelWatch` asks them and carries out what is decided.
///
/// *Start* on a master only where a majority names it with one epoch: the last master's or a later one, and no Sentinel
/// names any with a later one. *Stop* as soon as one names another with a higher epoch. *Confirmed* while a majority named
/// it within two seconds. So whoever starts on a new master has a majority, and so has a confirmation: one Sentinel is in
/// both, and its epoch only grows.
///
/// *Confirmed, too,* while every replica that could take the master's place has a write that the master took within the
/// last second, and nobody names another master. A replica that is promoted is first told to follow nobody, and has
/// nothing from then on; only then does any Sentinel name it. So when the write was sent none was promoted, and whoever
/// starts on a new master does so later: the bound is the second for which a write counts. Which replicas those are the
/// last majority said, dead ones among them, as a replica that is dead for one Sentinel may be promoted by another. Whoever
/// is heard of since counts from then on, and whoever follows the master, which is asked all the time: a Sentinel learns of
/// a new one some seconds before or after the others. They are known by address: a new one in the place of one that is
/// missing makes no whole. And this goes on from a majority's word without a gap, in which one could come that nobody here
/// hears of.
///
/// *A lower epoch* is followed only where a majority of as many as there ever were at the last one names it for a while, and
/// nobody a later one (`followsReset`).
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
        /// The replicas that it knows, dead ones among them; nil where it does not say.
        var replicas: Set<Address>?
    }

    enum Decision: Equatable {
        /// This is the master from now on.
        case lead(Address)
        /// The master is none any more, and no other one is yet.
        case leave
        /// The master is still the one, as a majority's word would say that was asked for at this moment.
        case confirmed(askedAt: MonotonicInstant)
    }

    /// How long an answer counts, from the moment at which it was asked for.
    static let answerLifetime = Duration.seconds(2)
    /// How long a write counts that all replicas have, from the moment at which it was sent.
    static let writeLifetime = Duration.seconds(1)
    /// So old is the last confirmation when the replicas are asked: two questions were not answered by enough.
    static let patience = Duration.seconds(1)
    /// How long nothing may be confirmed before only a majority's word counts. A Sentinel asks a master for its replicas every
    /// ten seconds.
    static let longestGap = Duration.seconds(10)
    /// So long a majority names a master of a lower epoch before it is followed: longer than anybody is confirmed without it.
    static let resetPatience = Duration.seconds(10)
    /// How long one is remembered that was not heard again: it says how many Sentinels there are.
    static let memory = Duration.seconds(60)
    /// Sentinels that are asked at most, the configured ones among them.
    static let mostSentinels = 64
    /// Replicas that are remembered: past that nobody knows all of them.
    static let mostFollowers = 256

    private struct Vote {
        let answer: Answer
        let askedAt: MonotonicInstant
    }

    /// What a majority names although its epoch is a lower one.
    private struct Reset {
        let master: Address
        let epoch: Int64
        let since: MonotonicInstant
        var seenAt: MonotonicInstant
    }

    private let configured: Int
    /// By id, the newest.
    private var votes: [String: Vote] = [:]
    /// Of the configuration that was followed last.
    private(set) var epoch: Int64 = -1
    /// Nil before the first, and while it is left.
    private(set) var master: Address?
    private var confirmedAt: MonotonicInstant?
    /// Whose word that was.
    private(set) var confirmer = RedisNode.Confirmer.sentinels
    /// How many Sentinels there were at the last majority's word.
    private var electorate = 0
    /// Those that Sentinels know; nil where nobody knows all of them.
    private var replicas: Set<Address>?
    /// Those that followed the master, and when they were seen last.
    private var followers: [Address: MonotonicInstant] = [:]
    private var reset: Reset?

    /// - Parameter configured: how many Sentinels `redis.url` names.
    init(configured: Int) { self.configured = configured }

    /// How many there are, as far as is known.
    var known: Int { max(configured, votes.values.map(\.answer.sentinels).max() ?? 0) }
    var majority: Int { known / 2 + 1 }
    /// Those who may take the master's place; nil where nobody knows all of them.
    var promotable: Set<Address>? { replicas?.union(followers.keys) }

    /// What a Sentinel named last.
    func named(by id: String) -> Address? { votes[id]?.answer.master }

    /// A Sentinel answered.
    /// - Parameter id: its own; it does not change with its address.
    mutating func answered(
        _ id: String, _ answer: Answer, askedAt: MonotonicInstant, now: MonotonicInstant
    ) -> [Decision] {
        forgetSilent(now)
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
        let isNamed =
            answer.epoch >= max(epoch, newest) && supporters(of: answer.master, answer.epoch, at: now).count >= majority
        if followsReset(answer, now: now) || isNamed {
            if answer.master != master {
                confirmedAt = nil
                replicas = nil
                followers = [:]
                decisions.append(.lead(answer.master))
            }
            master = answer.master
            epoch = answer.epoch
        }
        if answer.master == master, let others = answer.replicas { replicas?.formUnion(others) }
        return decisions + confirmation(now: now)
    }

    private mutating func forgetSilent(_ now: MonotonicInstant) {
        votes = votes.filter { $0.value.askedAt.duration(to: now) <= Self.memory }
        followers = followers.filter { $0.value.duration(to: now) <= Self.memory }
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
        electorate = known
        let lists = votes.values.filter { $0.answer.master == master }.map(\.answer.replicas)
        replicas = lists.contains(nil) ? nil : lists.reduce(into: []) { $0.formUnion($1 ?? []) }
        return confirm(askedAt, by: .sentinels)
    }

    private mutating func confirm(_ askedAt: MonotonicInstant, by confirmer: RedisNode.Confirmer) -> [Decision] {
        guard confirmedAt.map({ askedAt > $0 }) ?? true else { return [] }
        (confirmedAt, self.confirmer) = (askedAt, confirmer)
        return [.confirmed(askedAt: askedAt)]
    }

    // MARK: The replicas' word

    /// Whether the replicas are to be asked: too few Sentinels answer.
    func needsReplicas(at now: MonotonicInstant) -> Bool {
        guard master != nil, let promotable, !promotable.isEmpty, let confirmedAt else { return false }
        return (Self.patience...Self.longestGap).contains(confirmedAt.duration(to: now))
    }

    /// The master told who follows it.
    mutating func told(_ followers: Set<Address>, now: MonotonicInstant) {
        for follower in followers {
            guard self.followers[follower] != nil || self.followers.count < Self.mostFollowers else {
                replicas = nil
                return
            }
            self.followers[follower] = now
        }
    }

    /// The master told which of its replicas have a write.
    /// - Parameter sentAt: when the write was sent that some of them have by now.
    mutating func told(_ roll: ReplicaRoll, sentAt: MonotonicInstant, now: MonotonicInstant) -> [Decision] {
        forgetSilent(now)
        told(roll.listed, now: now)
        guard needsReplicas(at: now), let promotable, promotable.isSubset(of: roll.inStep),
            sentAt.duration(to: now) <= Self.writeLifetime, votes.values.allSatisfy({ $0.answer.master == master })
        else { return [] }
        // It counts for as long as a majority's word would that is older by what a write counts less.
        return confirm(sentAt - (Self.answerLifetime - Self.writeLifetime), by: .replicas)
    }

    // MARK: Sentinels that begin anew

    /// A Sentinel's epoch of a master only grows, unless the Sentinel was told of the master anew (SENTINEL REMOVE and
    /// MONITOR) or is a new one. A majority with a lower epoch, of as many as there were when the present one was
    /// confirmed, has one at least in common with the majority then: so that one was reset, or others stand in the place of
    /// all. Nobody can be confirmed by the former majority any more; who was is so for two seconds, and by replicas for one,
    /// which `resetPatience` outlasts. A replica's word confirms nobody who hears of another master.
    private mutating func followsReset(_ answer: Answer, now: MonotonicInstant) -> Bool {
        if let reset,
            !isReset(reset.master, reset.epoch, at: now)
                || reset.seenAt.duration(to: now) > Self.answerLifetime
        {
            self.reset = nil
        }
        reset?.seenAt = now
        guard isReset(answer.master, answer.epoch, at: now) else { return false }
        guard let reset, reset.master == answer.master, reset.epoch == answer.epoch else {
            self.reset = Reset(master: answer.master, epoch: answer.epoch, since: now, seenAt: now)
            return false
        }
        return reset.since.duration(to: now) >= Self.resetPatience
    }

    private func isReset(_ master: Address, _ epoch: Int64, at now: MonotonicInstant) -> Bool {
        epoch < self.epoch && !livingVotes(at: now).contains { $0.answer.epoch > epoch }
            && supporters(of: master, epoch, at: now).count >= max(majority, electorate / 2 + 1)
    }
}

/// What a master says of those who follow it.
struct ReplicaRoll: Equatable {
    /// All of them, whatever their state.
    var listed: Set<SentinelMachine.Address> = []
    /// Those that have a certain write.
    var inStep: Set<SentinelMachine.Address> = []
}
