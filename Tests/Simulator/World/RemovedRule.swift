import TokenCrypto
import Tokens
import UnixTime

@testable import RedisLink
@testable import TokenCache

/// The rules that a simulation can take away, each from outside: by another policy, a store that is bent, a network that
/// answers for Redis, or by undoing what the service has just done. The program has no switch for any of them.
enum RemovedRule: String, CaseIterable, Sendable {
    // Another policy than the one that the run is held to.
    case previousIsRetired, overlapIsGranted, graceBeforePunishment, replayIsOnlyRefused, staleIsBounded
    case touchWaitsForItsInterval
    // A store that is bent.
    case changeIsOverItsRevision, creationIsOverNothing, lateScriptChangesNothing, loserGetsWhatStands
    case touchNeverCreates, touchLooksAtTheAge, touchLeavesTheEnd, writeLeavesTheEnd
    case indexComesFirst, indexHasAnEnd, sessionHasAnEnd, goneHasItsTime
    case endLeavesATombstone, loginIsRemembered, forcedRetiresPrevious, successorIsPending, olderTokensAreRemembered
    case conditionIsHeld, takenIsGone, redisAdds, unknownFateIsLeft, limitsAreWritten
    case everyoneEndsAtOnce, endOfEveryoneIsTold, endOfEveryoneIsPassedOn
    case sealedIsChecked, accessWorksOnAFullRedis, flushIsTold
    // What a daemon sees of Redis, and of time.
    case silentFeedIsNoProof, pausesCount
    // What the service has just done is undone.
    case unconfirmedEndIsDenied, guestsChangedHereAreKnown, toldChangeMarksReads, toldChangeDropsEntry
    case toldChangeReachesGuests, armingDropsAll, ownWriteDropsEntry
    // The beat.
    case beatIsToldWithTheChanges, beatIsOfItsTime, beatIsWrittenOnce
    case feedIsOfTheServerAsked
    // A server that answers, and must not be written to.
    case readOnlyIsNotRead, cutOffIsNotRead, staleIsForSilence
    // Masters that change.
    case majorityLeads, oneNameEnds, majorityConfirms, allReplicasConfirm, acknowledgedIsRepeated, successionDropsAll
    case wordIsDatedAtItsQuestion, repeatedIsAwaited
    case silentIsLost, acknowledgedIsRepeatedInClusters, newOwnerDropsEntries, askedIsNotKept
    case placesArePutBack
    case replicasAreAwaited, waitComesBehindAWrite
    // Data that is moved away.
    case moveMarkIsHeeded

    /// How servers are found in the runs that are to miss it.
    var topology: Topology {
        switch self {
        case .majorityLeads, .oneNameEnds, .majorityConfirms, .allReplicasConfirm, .acknowledgedIsRepeated,
            .successionDropsAll, .wordIsDatedAtItsQuestion, .repeatedIsAwaited, .replicasAreAwaited,
            .waitComesBehindAWrite:
            .sentinels
        // On one server nothing comes between a login's place in the index and its session, but under `refuse`.
        case .silentIsLost, .acknowledgedIsRepeatedInClusters, .placesArePutBack, .newOwnerDropsEntries,
            .askedIsNotKept, .goneHasItsTime:
            .cluster
        case .moveMarkIsHeeded: .moving
        default: .one
        }
    }

    /// What it is in the words of the design.
    var rule: String {
        switch self {
        case .previousIsRetired: "the previous token is retired when its overlap is over"
        case .overlapIsGranted: "the previous token is accepted for the overlap"
        case .graceBeforePunishment: "a retired token ends its session only after the grace"
        case .replayIsOnlyRefused: "`on-replay: reject` refuses and no more"
        case .staleIsBounded: "stale answers end with `near-cache.serve-stale`"
        case .touchWaitsForItsInterval: "an access is recorded once a touch interval"
        case .changeIsOverItsRevision: "a change is written only over the revision it was decided on"
        case .creationIsOverNothing: "a session is made only where nothing stands"
        case .lateScriptChangesNothing: "a script past its not-after changes nothing"
        case .loserGetsWhatStands: "who was overtaken returns what stands, never its own candidate"
        case .touchNeverCreates: "a touch never creates a key"
        case .touchLooksAtTheAge: "the touch script looks at the age of the access again"
        case .touchLeavesTheEnd: "a touch never moves the absolute end"
        case .writeLeavesTheEnd: "rotation and SET never move the absolute end"
        case .indexComesFirst: "a session that is written has its place in the index"
        case .indexHasAnEnd: "the index has a TTL"
        case .sessionHasAnEnd: "every session has a TTL"
        case .goneHasItsTime: "a member without a session stays in the index for two minutes"
        case .endLeavesATombstone: "an ended session leaves a tombstone"
        case .loginIsRemembered: "LOGIN remembers its answer"
        case .forcedRetiresPrevious: "a forced rotation leaves no previous token"
        case .successorIsPending: "a successor is pending until it is used"
        case .olderTokensAreRemembered: "seven older tokens are recognised"
        case .conditionIsHeld: "the condition of a SET is held against what stands when it is written"
        case .takenIsGone: "GETDEL takes what it tells"
        case .redisAdds: "INCR adds to what stands, not to what was read"
        case .unknownFateIsLeft: "INCR, GETDEL and SET with IF are sent at most once"
        case .limitsAreWritten: "EXPIRE is acknowledged when its limits stand"
        case .everyoneEndsAtOnce: "REVOKEEVERYONE is acknowledged when Redis says so"
        case .endOfEveryoneIsTold: "REVOKEEVERYONE is told with the changes"
        case .endOfEveryoneIsPassedOn: "who knows more of REVOKEEVERYONE's moment tells a server that knows less"
        case .sealedIsChecked: "a successor stands sealed under the token it replaces"
        case .accessWorksOnAFullRedis: "rotation, touch and revoke work on a full Redis (`allow-oom`)"
        case .flushIsTold: "FLUSHALL's null drops everything"
        case .silentFeedIsNoProof: "a hit needs a proof of life at most 1 s old"
        case .pausesCount: "proofs age on the boot-time clock, also while the daemon is stopped"
        case .unconfirmedEndIsDenied: "a revoke whose fate is unknown denies locally"
        case .guestsChangedHereAreKnown: "a daemon knows the guests that became sessions by it"
        case .toldChangeMarksReads: "an invalidation marks the read under way"
        case .toldChangeDropsEntry: "an invalidation drops the entry"
        case .toldChangeReachesGuests: "a guest whose session changed is asked about"
        case .armingDropsAll: "suspect entries are dropped when armed again"
        case .ownWriteDropsEntry: "an own write drops the entry before its reply"
        case .beatIsToldWithTheChanges: "the beat comes under the prefix of the changes"
        case .beatIsOfItsTime: "a beat is of the present 200 ms or those before"
        case .beatIsWrittenOnce: "one beat for the whole fleet (`NX`)"
        case .feedIsOfTheServerAsked: "the feed and the commands are of one `run_id`"
        case .readOnlyIsNotRead: "a server that says READONLY is not read from"
        case .cutOffIsNotRead: "nor is one that says NOREPLICAS"
        case .staleIsForSilence: "stale answers are for a Redis that does not answer at all, not for one that refuses"
        case .majorityLeads: "a majority of the Sentinels leads to a master, and not one"
        case .oneNameEnds: "one Sentinel that names another master ends the present one"
        case .majorityConfirms: "nothing is served without a majority's word of the last 2 s"
        case .allReplicasConfirm: "where too few of them answer, replicas count that have what the master wrote"
        case .acknowledgedIsRepeated: "ends, LOGINs and ROTATEs are repeated on a new master"
        case .wordIsDatedAtItsQuestion: "a Sentinel's word counts from its question on, not from its answer"
        case .repeatedIsAwaited: "requests with tokens of what is repeated wait until it stands"
        case .silentIsLost: "a server of a cluster that was silent is used again only when another one names it"
        case .acknowledgedIsRepeatedInClusters: "in a cluster they are, on the new owner of their slots"
        case .placesArePutBack: "places in an index that were lost with a master are put back"
        case .newOwnerDropsEntries: "a slot's entries go when its owner or the owner's epoch changed"
        case .askedIsNotKept: "answers under ASK are not kept"
        case .successionDropsAll: "what is remembered goes when the master is another"
        case .replicasAreAwaited: "with `redis.wait-replicas` a change is acknowledged when the replicas have it"
        case .moveMarkIsHeeded: "nothing is served from a Redis that has the mark of a move"
        case .waitComesBehindAWrite: "WAIT is sent behind a write of its own connection"
        }
    }

    /// One that misses it, of those that are looked for long.
    var seed: UInt64 {
        switch self {
        case .staleIsBounded: 80
        case .creationIsOverNothing: 25
        case .lateScriptChangesNothing: 69
        case .touchNeverCreates: 189
        case .loginIsRemembered: 78
        case .conditionIsHeld: 3
        case .moveMarkIsHeeded: 2
        case .unknownFateIsLeft, .endOfEveryoneIsTold, .toldChangeMarksReads, .toldChangeReachesGuests: 23
        case .flushIsTold: 61
        case .silentFeedIsNoProof: 489
        case .pausesCount: 71
        case .unconfirmedEndIsDenied: 126
        case .guestsChangedHereAreKnown: 109
        case .armingDropsAll: 714
        case .feedIsOfTheServerAsked: 17
        case .cutOffIsNotRead: 2
        case .staleIsForSilence: 223
        case .wordIsDatedAtItsQuestion: 112
        case .repeatedIsAwaited: 6
        case .placesArePutBack: 7
        case .majorityLeads: 35
        case .majorityConfirms, .allReplicasConfirm: 141
        case .successionDropsAll: 999
        case .silentIsLost: 535
        case .acknowledgedIsRepeatedInClusters: 59
        case .newOwnerDropsEntries: 5
        case .askedIsNotKept: 99
        case .replicasAreAwaited: 7
        case .waitComesBehindAWrite: 77
        case .endOfEveryoneIsPassedOn: 62
        default: 1
        }
    }

    var bentStore: Set<BentStore> {
        switch self {
        case .changeIsOverItsRevision: [.revisionUnchecked]
        case .creationIsOverNothing: [.absenceUnchecked]
        case .lateScriptChangesNothing: [.lateWritesAllowed]
        case .loserGetsWhatStands: [.loserIsToldDone]
        case .touchNeverCreates: [.touchCreates]
        case .touchLooksAtTheAge: [.touchAgeUnchecked]
        case .touchLeavesTheEnd: [.touchMovesEnd]
        case .writeLeavesTheEnd: [.writesMoveEnd]
        case .indexComesFirst: [.indexSkipped]
        case .indexHasAnEnd: [.indexWithoutEnd]
        case .sessionHasAnEnd: [.sessionWithoutEnd]
        case .goneHasItsTime: [.goneIsTakenOutAtOnce]
        case .endLeavesATombstone: [.tombstoneSkipped]
        case .loginIsRemembered: [.memoDropped]
        case .forcedRetiresPrevious: [.previousStays]
        case .successorIsPending: [.confirmationStays]
        case .olderTokensAreRemembered: [.rememberedDropped]
        case .conditionIsHeld: [.conditionUnchecked]
        case .takenIsGone: [.takenStays]
        case .redisAdds: [.addsToWhatWasRead]
        case .unknownFateIsLeft: [.unknownFateIsRepeated]
        case .limitsAreWritten: [.limitsDropped]
        case .everyoneEndsAtOnce: [.epochSkipped]
        case .endOfEveryoneIsTold: [.epochIsNotTold]
        case .endOfEveryoneIsPassedOn: [.epochIsNotPassedOn]
        case .sealedIsChecked: [.sealedGarbled]
        case .accessWorksOnAFullRedis: [.fullRedisRefusesAccess]
        case .flushIsTold: [.flushIsNotTold]
        case .beatIsToldWithTheChanges: [.onlyBeatsAreTold]
        case .beatIsOfItsTime: [.anyBeatIsTaken]
        case .beatIsWrittenOnce: [.beatIsWrittenAgain]
        case .feedIsOfTheServerAsked: [.serversAreAlike]
        case .readOnlyIsNotRead: [.readOnlyIsAnyRefusal]
        case .staleIsForSilence: [.refusalsAreSilent]
        case .allReplicasConfirm: [.replicasAreInStep]
        case .replicasAreAwaited: [.replicasAreNotAwaited]
        case .waitComesBehindAWrite: [.waitWritesNothing]
        default: []
        }
    }

    func policy(_ policy: TokenPolicy, of daemon: Int) -> TokenPolicy {
        var policy = policy
        switch self {
        case .previousIsRetired: policy.rotationOverlap *= 100
        case .overlapIsGranted: policy.rotationOverlap = 0
        case .graceBeforePunishment: policy.replayGrace = 0
        case .replayIsOnlyRefused: policy.onReplay = .revoke
        case .touchWaitsForItsInterval: policy.touchInterval = 1
        default: break
        }
        return policy
    }

    var bentSentinels: Set<BentSentinel> {
        switch self {
        case .majorityLeads: [.eachKnowsOnlyItself]
        case .oneNameEnds: [.oneNamesNobody]
        default: []
        }
    }

    /// How many Sentinels the configuration names; nil: all.
    var sentinels: Int? { self == .majorityLeads ? 1 : nil }
    var requiresQuorum: Bool { self != .majorityConfirms }
    /// Whether a replica is refused when a connection to it is made.
    var requiresMaster: Bool { self != .readOnlyIsNotRead && self != .staleIsForSilence }

    /// Milliseconds; nil: as the run says.
    var serveStale: Int64? { self == .staleIsBounded ? 60_000 : nil }
    var heedsMoves: Bool { self != .moveMarkIsHeeded }
    var forgetsPauses: Bool { self == .pausesCount }

    func networkLens(of network: SimulatedNetwork) -> (any NetworkLens)? {
        self == .silentFeedIsNoProof ? PingsAnswered(network: network) : nil
    }

    // MARK: What the service does is undone

    /// Once, before the daemon's first turn.
    func bend(_ daemon: SimulatedDaemon) {
        guard let sessions = daemon.service.sessions else { return }
        switch self {
        case .toldChangeMarksReads, .toldChangeDropsEntry, .toldChangeReachesGuests:
            daemon.node.onInvalidation = { [unowned sessions] told in
                guard case .keys(let keys) = told else {
                    sessions.reader.markAll()
                    return sessions.cache.dropAll()
                }
                for sid in keys.compactMap({ Checker.sid(of: text($0)) }) {
                    if self != .toldChangeMarksReads { sessions.reader.mark(sid) }
                    if self != .toldChangeReachesGuests { sessions.onChange(sid) }
                    if self != .toldChangeDropsEntry { sessions.cache.drop(sid) }
                }
            }
        case .ownWriteDropsEntry:
            let told = daemon.node.onInvalidation
            daemon.node.onInvalidation = { [unowned daemon] invalidation in
                if case .keys(let keys) = invalidation {
                    for sid in keys.compactMap({ Checker.sid(of: text($0)) }) {
                        daemon.toldAt[sid] = daemon.loop.agenda.now
                    }
                }
                told?(invalidation)
            }
        case .cutOffIsNotRead:
            let faultOfReads = daemon.node.link.faultOfReads
            daemon.node.link.faultOfReads = {
                let fault = faultOfReads()
                return fault?.kind == .noReplicas ? nil : fault
            }
        case .repeatedIsAwaited:
            let repeatAll = daemon.router.onSuccession
            daemon.router.onSuccession = { [unowned daemon] gap in
                let timer = daemon.loop.makeTimer { repeatAll?(gap) }
                timer.start(after: .milliseconds(500))
                daemon.repetitions.append(timer)
            }
        case .newOwnerDropsEntries:
            let router = daemon.router
            let drop = router.onGap
            var armings = 0
            router.onGap = { [unowned router, unowned sessions] gap in
                // What is armed anew drops all of its own.
                let before = armings
                armings = router.nodes.reduce(0) { $0 + $1.armings }
                if armings > before { drop?(gap) } else { sessions.onArmed() }
            }
        case .askedIsNotKept:
            let doubt = daemon.router.onDoubt
            daemon.router.onDoubt = { [unowned daemon] in
                if daemon.asks > 0 { daemon.asks -= 1 } else { doubt?() }
            }
        case .armingDropsAll, .successionDropsAll:
            daemon.node.onArmed = { [unowned sessions] isArmed in
                sessions.reader.markAll()
                if isArmed { sessions.onArmed() }
            }
        default: break
        }
    }

    func afterTurn(of daemon: SimulatedDaemon) {
        switch self {
        case .unconfirmedEndIsDenied: daemon.service.ledger.denials = Denials()
        case .guestsChangedHereAreKnown: daemon.service.ledger.sessions.removeAll()
        case .ownWriteDropsEntry: daemon.putBack()
        case .silentIsLost: daemon.useLost()
        case .wordIsDatedAtItsQuestion: daemon.dateWord()
        case .placesArePutBack: daemon.service.ledger.entered = EnteredSessions()
        case .acknowledgedIsRepeated, .acknowledgedIsRepeatedInClusters:
            daemon.service.ledger.acknowledged = AcknowledgedWrites()
        default: break
        }
    }
}

/// A silent feed that says it lives, whatever the proof: PINGs are answered, and beats told, in Redis's place.
private final class PingsAnswered: NetworkLens {
    private let network: SimulatedNetwork

    init(network: SimulatedNetwork) { self.network = network }

    func sent(_ bytes: [UInt8], on path: SimulatedNetwork.PathName, at now: SimulatedTime) -> [UInt8]? {
        let feed = SimulatedNetwork.PathName(daemon: path.daemon, role: .feed)
        guard let state = network.paths[feed], max(state.upHeldUntil, state.downHeldUntil) > now else { return nil }
        if path.role == .data {
            tell(beatsIn: bytes, feed)
            return nil
        }
        let isPing = text(bytes).hasSuffix("PING\r\n") && text(bytes).hasPrefix("*1")
        return isPing ? Array("*2\r\n$4\r\npong\r\n$0\r\n\r\n".utf8) : nil
    }

    private func tell(beatsIn bytes: [UInt8], _ feed: SimulatedNetwork.PathName) {
        var reader = CommandReader()
        reader.feed(bytes)
        while let words = reader.next() {
            guard words.count > 3, words[3].starts(with: "tc:s:~".utf8) else { continue }
            var push: [UInt8] = []
            ModelReply.push([.bulk(Array("invalidate".utf8)), .array([.bulk(words[3])])]).encode(
                into: &push, isRESP3: true)
            network.latest[feed]?.inject(push)
        }
    }
}

extension SimulatedDaemon {
    /// Servers of a cluster that were silent are connected to again at once.
    func useLost() {
        for member in (topology as? ClusterWatch)?.members ?? [] where member.isLost {
            member.isLost = false
            member.node.start()
        }
    }

    /// A word that has just come holds from now.
    func dateWord() {
        guard let word = node.confirmation?.askedAt, word != wordAt, word <= loop.now else { return }
        node.confirm(askedAt: loop.now, by: node.confirmation?.confirmer ?? .sentinels)
        wordAt = loop.now
    }

    /// Puts back the entries of sessions on which an own write is under way or was just answered, as long as Redis has not
    /// told of it.
    func putBack() {
        guard let checker, let cache = service.sessions?.cache, node.isArmed else {
            return
        }
        for request in checker.recent where request.daemon == number && request.operation.isForced {
            guard request.finished == nil || request.finished == loop.agenda.now, let sid = request.sid,
                toldAt[sid] ?? .min < request.began, !cache.contains(sid),
                case .live(let record)? = checker.truth.states(of: sid, from: request.began, to: request.began).last?
                    .session,
                case .session(let token) = request.brought
            else { continue }
            let verifier = record.current == request.digest ? token.verifier : nil
            cache.insert(
                record, sid: sid, verifier: verifier, data: [], policy: setup.policy,
                now: checker.truth.clock(at: loop.agenda.now))
        }
    }
}
