import Foundation
import TestSupport
import Testing

/// Masters that die under load: with the daemons before them, so that no one is left to carry anything out once more, and
/// without.
@Suite(
    "What was acknowledged before a failover", .demanding, .enabled(if: SentinelSite.isWanted, "make test-topologies"))
struct FailoverLossTests {
    /// A kind of site that lives through the loss of a master.
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case sentinels, cluster

        var testDescription: String { rawValue }

        func site(in folder: String) throws -> any LosingSite {
            switch self {
            case .sentinels: try SentinelSite(in: folder, replicas: 1)
            case .cluster: try ClusterSite(in: folder, replicas: 1)
            }
        }
    }

    /// How long before the master's death a replica gets nothing more, every second time.
    private static let lag = Duration.milliseconds(300)

    private static let failovers = NearCacheWorld.rounds(2, long: 20)

    /// What was lost where the replica was in step, and where it got nothing for the last `lag`.
    private struct Outcomes: CustomStringConvertible {
        var (inStep, lagging) = (AcknowledgedChanges.Outcome(), AcknowledgedChanges.Outcome())

        mutating func add(_ outcome: AcknowledgedChanges.Outcome, isLagging: Bool) {
            if isLagging { lagging += outcome } else { inStep += outcome }
        }

        var description: String {
            "\(inStep) with the replica in step, \(lagging) where it got nothing for the last \(FailoverLossTests.lag)"
        }
    }

    /// A site whose masters have a replica each, and two daemons before it.
    private func withSite(
        _ kind: Kind, wait: Int, _ body: (any LosingSite, [Daemon]) throws -> Void
    ) throws {
        let stage = try Stage(isRestricted: false)
        let site = try kind.site(in: stage.folder.folder("site"))
        let settings = ["redis.wait-replicas": "\(wait)", "redis.timeout": "1s"]
        try stage.serve(site.url, daemons: 2, settings: settings, until: site.stop) { try body(site, $0) }
    }

    /// Kills a master under load, and `others` in the same moment.
    private func lose(
        _ site: any LosingSite, round: Int, with others: [Daemon] = []
    ) throws -> (master: SiteMember, heir: SiteMember, isLagging: Bool) {
        letPass(.milliseconds(1_500))
        let (master, replica) = try site.pair(round)
        let isLagging = !round.isMultiple(of: 2)
        if isLagging {
            replica.signal(SIGSTOP)
            try site.cutOffReplicas(of: master)
            letPass(Self.lag)
        }
        master.kill9()
        for daemon in others { daemon.kill9() }
        replica.signal(SIGCONT)
        return (master, replica, isLagging)
    }

    @Test(
        "stands after it with redis.wait-replicas of all replicas; without, what no replica had is lost",
        arguments: Kind.allCases, [1, 0])
    func losses(kind: Kind, wait: Int) throws {
        try withSite(kind, wait: wait) { site, daemons in
            var lost = Outcomes()
            for round in 0..<Self.failovers {
                let changes = try AcknowledgedChanges(at: daemons)
                let (master, heir, isLagging) = try lose(site, round: round, with: daemons)
                try? changes.stop()
                try site.awaitHeir(of: master)
                for daemon in daemons { try daemon.start() }
                let outcome = try changes.outcome([daemons[round % 2].client()])
                #expect(outcome.sessions > 50)
                lost.add(outcome, isLagging: isLagging)
                try site.takeBack(master, as: heir)
            }
            print("\(kind), redis.wait-replicas \(wait): in \(Self.failovers) failovers lost \(lost)")
            if wait > 0 {
                #expect(lost.inStep.allLost == 0 && lost.lagging.allLost == 0)
            } else {
                #expect(lost.lagging.allLost > 0, "a replica that is cut off has it all: this tries nothing")
            }
        }
    }

    /// A session that was just made, and that no replica had, is lost: no one knows that it was not ended by another daemon.
    @Test(
        "S5: while the daemon lives that acknowledged it, no end, login or rotation is forgotten, and none undone",
        arguments: Kind.allCases)
    func living(kind: Kind) throws {
        try withSite(kind, wait: 0) { site, daemons in
            let clients = try daemons.map { try $0.client() }
            var lost = Outcomes()
            var loads: [AcknowledgedChanges] = []
            for round in 0..<Self.failovers {
                let changes = try AcknowledgedChanges(at: daemons)
                let (master, heir, isLagging) = try lose(site, round: round)
                try site.awaitHeir(of: master)
                for client in clients { try client.awaitService() }
                letPass(.milliseconds(500))
                try changes.stop()
                let outcome = try changes.outcome(clients)
                #expect(outcome.over > 10)
                lost.add(outcome, isLagging: isLagging)
                loads.append(changes)
                try site.takeBack(master, as: heir)
            }
            // No later failover undoes what stood after an earlier one.
            var all = AcknowledgedChanges.Outcome()
            for changes in loads { all += try changes.outcome(clients) }
            let again = loads.map(\.acceptedAgain).reduce(0, +)
            print(
                "\(kind), daemons that live: in \(Self.failovers) failovers lost \(lost); after all of them \(all);",
                "accepted under load by the daemon that had ended it: \(again)")
            for outcome in [lost.inStep, lost.lagging, all] {
                #expect(outcome.accepted == 0)
                #expect(outcome.lost.filter { $0.key != .issued && $0.key != .replaced } == [:])
            }
            #expect(again == 0)
            #expect(lost.lagging.allLost > 0, "a replica that is cut off has it all: this tries nothing")
            let log = daemons.map(\.log).joined()
            #expect(log.range(of: "were_lost=[1-9]", options: .regularExpression) != nil, "\(log.suffix(1500))")
        }
    }

    /// As the manual says, and why `doctor` warns: the replica that had it may die with the master.
    @Test("is lost where one of two replicas was waited for, and the other one becomes master")
    func fewer() throws {
        let stage = try Stage(isRestricted: false)
        let site = try SentinelSite(in: stage.folder.folder("site"), replicas: 2)
        let settings = ["redis.wait-replicas": "1", "redis.timeout": "2s"]
        try stage.serve(site.url, daemons: 1, settings: settings, until: site.stop) { daemons in
            var lost = AcknowledgedChanges.Outcome()
            let failovers = NearCacheWorld.rounds(1, long: 20)
            for _ in 0..<failovers {
                let changes = try AcknowledgedChanges(at: daemons)
                letPass(.milliseconds(1_500))
                let (master, heir) = try site.pair(0)
                let waitedFor = try #require(site.servers.first { $0.port != master.port && $0.port != heir.port })
                heir.signal(SIGSTOP)
                try site.cutOffReplicas(of: master)
                // The other one comes back, and what is acknowledged from then on only it has.
                letPass(.seconds(3))
                for gone in [master, waitedFor] { gone.kill9() }
                daemons[0].kill9()
                heir.signal(SIGCONT)
                try? changes.stop()
                try site.awaitHeir(of: master)
                try daemons[0].start()
                let outcome = try changes.outcome([daemons[0].client()])
                #expect(outcome.allLost > 0)
                lost += outcome
                for gone in [master, waitedFor] { try gone.restart("--replicaof", "127.0.0.1", "\(heir.port)") }
                try site.awaitReplicas(2)
            }
            print(
                "Sentinels, one of two replicas waited for, the other promoted: in \(failovers) failovers lost \(lost)")
        }
    }
}

/// What both kinds of sites can do when a master is lost. Each master has one replica.
protocol LosingSite {
    var url: String { get }
    /// A master, the next one at each call, and its replica.
    func pair(_ number: Int) throws -> (master: SiteMember, replica: SiteMember)
    /// What the master sends to replicas goes nowhere from now on.
    func cutOffReplicas(of master: SiteMember) throws
    /// Until the replica of a master that died is master.
    func awaitHeir(of master: SiteMember) throws
    /// Starts one that died, as the replica of its heir, until it is in step.
    func takeBack(_ dead: SiteMember, as heir: SiteMember) throws
    func stop()
}

extension SentinelSite: LosingSite {
    func pair(_ number: Int) throws -> (master: SiteMember, replica: SiteMember) {
        let port = try masterPort(at: sentinels[0])
        guard let master = servers.first(where: { $0.port == port }),
            let replica = servers.first(where: { $0.port != port })
        else { throw HarnessFailure("no pair") }
        return (master, replica)
    }

    func cutOffReplicas(of master: SiteMember) throws { try ask(master, ["CLIENT", "KILL", "TYPE", "replica"]) }

    func awaitHeir(of master: SiteMember) throws { _ = try awaitAnotherMaster(than: master.port) }

    func takeBack(_ dead: SiteMember, as heir: SiteMember) throws {
        try dead.restart("--replicaof", "127.0.0.1", "\(heir.port)")
        try awaitReplicas(1)
    }
}

extension ClusterSite: LosingSite {
    func pair(_ number: Int) throws -> (master: SiteMember, replica: SiteMember) {
        let masters = try masters()
        let master = masters[number % masters.count]
        guard let replica = try replica(of: master) else { throw HarnessFailure("no replica") }
        return (master, replica)
    }

    func cutOffReplicas(of master: SiteMember) throws { try ask(master, ["CLIENT", "KILL", "TYPE", "replica"]) }

    func awaitHeir(of master: SiteMember) throws { _ = try awaitWhole(without: master) }

    func takeBack(_ dead: SiteMember, as heir: SiteMember) throws {
        try dead.restart()
        _ = try eventually("it hears that it is a replica now") {
            try ask(dead, ["CLUSTER", "NODES"]).contains { $0.contains("myself,slave") } ? true : nil
        }
        try awaitReplicas()
    }
}
