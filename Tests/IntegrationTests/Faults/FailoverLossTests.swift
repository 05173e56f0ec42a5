import Glibc
import TestSupport
import Testing

/// Masters that die together with the daemons before them: no one is left to carry anything out once more.
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

    @Test(
        "stands after it with redis.wait-replicas of all replicas; without, what no replica had is lost",
        arguments: Kind.allCases, [1, 0])
    func losses(kind: Kind, wait: Int) throws {
        let stage = try Stage(isRestricted: false)
        let site = try kind.site(in: stage.folder.folder("site"))
        defer { site.stop() }
        let settings = ["redis.wait-replicas": "\(wait)", "redis.timeout": "1s"]
        let daemons = try (0..<2).map { _ in try stage.addDaemon(.url(site.url), settings: settings) }
        defer { for daemon in daemons { daemon.kill9() } }
        var (inStep, lagging) = (AcknowledgedChanges.Outcome(), AcknowledgedChanges.Outcome())
        let failovers = NearCacheWorld.rounds(2, long: 20)
        for round in 0..<failovers {
            let changes = try AcknowledgedChanges(at: daemons)
            letPass(.milliseconds(1_500))
            let (master, replica) = try site.pair(round)
            let isLagging = !round.isMultiple(of: 2)
            if isLagging {
                replica.signal(SIGSTOP)
                try site.cutOffReplicas(of: master)
                letPass(Self.lag)
            }
            master.kill9()
            for daemon in daemons { daemon.kill9() }
            replica.signal(SIGCONT)
            changes.stop()
            try site.awaitHeir(of: master)
            for daemon in daemons { try daemon.start() }
            let outcome = try changes.outcome(daemons[round % 2].client())
            #expect(outcome.sessions > 50)
            if isLagging { lagging += outcome } else { inStep += outcome }
            try site.takeBack(master, as: replica)
        }
        print(
            "\(kind), redis.wait-replicas \(wait): in \(failovers) failovers lost \(inStep) with the replica in step,",
            "\(lagging) where it got nothing for the last \(Self.lag)")
        if wait > 0 {
            #expect(inStep.allLost == 0 && lagging.allLost == 0)
        } else {
            #expect(lagging.allLost > 0, "a replica that is cut off has it all: this tries nothing")
        }
        #expect(stage.leaks() == [])
    }

    /// As the manual says, and why `doctor` warns: the replica that had it may die with the master.
    @Test("is lost where one of two replicas was waited for, and the other one becomes master")
    func fewer() throws {
        let stage = try Stage(isRestricted: false)
        let site = try SentinelSite(in: stage.folder.folder("site"), replicas: 2)
        defer { site.stop() }
        let settings = ["redis.wait-replicas": "1", "redis.timeout": "2s"]
        let daemon = try stage.addDaemon(.url(site.url), settings: settings)
        defer { daemon.kill9() }
        let changes = try AcknowledgedChanges(at: [daemon])
        letPass(.milliseconds(1_500))
        let (master, heir) = try site.pair(0)
        let waitedFor = try #require(site.servers.first { $0.port != master.port && $0.port != heir.port })
        heir.signal(SIGSTOP)
        try site.cutOffReplicas(of: master)
        // The other one comes back, and what is acknowledged from then on only it has.
        letPass(.seconds(3))
        for gone in [master, waitedFor] { gone.kill9() }
        daemon.kill9()
        heir.signal(SIGCONT)
        changes.stop()
        try site.awaitHeir(of: master)
        try daemon.start()
        let outcome = try changes.outcome(daemon.client())
        print("Sentinels, one of two replicas waited for, the other one promoted: lost \(outcome)")
        #expect(outcome.allLost > 0)
        #expect(stage.leaks() == [])
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
