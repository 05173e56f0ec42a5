import Foundation
import TestSupport
import Testing

/// REVOKEEVERYONE in a cluster: each master knows of it, and those that do not are told.
@Suite("Everyone out of a cluster", .parallel)
struct ClusterEpochTests {
    /// What stands under the epochs' keys of a master.
    private func epochs(_ site: ClusterSite, _ master: SiteMember, _ stage: Stage) throws -> [String] {
        try site.ask(master, ["KEYS", "\(stage.prefix)s:~epoch*"]).map {
            try site.ask(master, ["GET", $0]).first ?? ""
        }
    }

    /// Without one master the others go on.
    private func withSite(_ body: (Stage, ClusterSite, [Daemon]) throws -> Void) throws {
        try withCluster { stage, site, daemons in
            for member in site.members {
                try site.ask(member, ["CONFIG", "SET", "cluster-require-full-coverage", "no"])
            }
            try body(stage, site, daemons)
        }
    }

    /// Sessions that somebody puts back when everyone was logged out: only the epoch says what they are.
    private struct Kept {
        let site: ClusterSite
        let sessions: [(token: String, key: String, owner: SiteMember)]

        init(_ count: Int, _ client: RESPClient, _ stage: Stage, _ site: ClusterSite) throws {
            self.site = site
            sessions = try (0..<count).map { _ in
                let token = try client.issue("SUBJECT", "ann")
                let key = "\(stage.prefix)s:\(TokenText.sid(token))"
                let owner = try #require(try site.owner(ofKey: key))
                #expect(try site.ask(owner, ["COPY", key, "kept{\(key)}"]) == ["1"])
                return (token, key, owner)
            }
        }

        func putBack() throws {
            for session in sessions {
                #expect(try site.ask(session.owner, ["COPY", "kept{\(session.key)}", session.key, "REPLACE"]) == ["1"])
            }
        }
    }

    @Test("a daemon that reaches only some of the masters knows of it all the same, whichever they are")
    func anyMaster() throws {
        try withSite { stage, site, daemons in
            let client = try daemons[0].client()
            let kept = try Kept(24, client, stage, site)
            #expect(try client.fields("TOKEN.REVOKEEVERYONE").integer("count") == 24)
            try kept.putBack()
            var moments: Set<String> = []
            for master in site.members {
                let found = try epochs(site, master, stage)
                #expect(found.count == 1, "\(found)")
                moments.formUnion(found)
            }
            #expect(moments.count == 1)
            for master in site.members {
                #expect(kept.sessions.contains { $0.owner.port == master.port })
                master.signal(SIGSTOP)
                let late = try stage.addDaemon(.url(site.url), readiness: .answers)
                let client = try late.client()
                for session in kept.sessions where session.owner.port != master.port {
                    _ = try eventually(within: .seconds(10), "it is answered") { () throws -> Bool? in
                        let answer = try client.call("TOKEN.VALIDATE", session.token)
                        if answer.errorCode == "UNAVAILABLE" { return nil }
                        #expect(try Fields(answer).status == "revoked")
                        return true
                    }
                }
                late.kill9()
                master.signal(SIGCONT)
                _ = try eventually(within: .seconds(10), "the cluster is whole") {
                    try site.ask(site.members[0], ["CLUSTER", "NODES"]).contains { $0.contains("fail") } ? nil : true
                }
            }
        }
    }

    @Test("a master that was away is told, and one that has lost it; until all know of it nobody is told that they do")
    func told() throws {
        try withSite { stage, site, daemons in
            let clients = try daemons.map { try $0.client() }
            let kept = try Kept(24, clients[0], stage, site)
            for client in clients { for session in kept.sessions { _ = try client.validate(session.token) } }
            let away = site.members[2]
            away.signal(SIGSTOP)
            let answer = try clients[0].call("TOKEN.REVOKEEVERYONE")
            #expect(
                answer.errorText?.contains("not all servers know it yet: 1 of 3") == true,
                "\(answer)")
            // Of those who cannot be asked nobody is let in from memory either.
            for client in clients {
                for session in kept.sessions {
                    let answer = try client.call("TOKEN.VALIDATE", session.token)
                    #expect(try answer.errorCode == "UNAVAILABLE" || Fields(answer).status == "revoked", "\(answer)")
                }
            }
            away.signal(SIGCONT)
            _ = try eventually(within: .seconds(10), "it is told") {
                try epochs(site, away, stage).count == 1 ? true : nil
            }
            for client in clients {
                for session in kept.sessions {
                    _ =
                        try eventually(within: .seconds(5), "it is answered") {
                            let answer = try client.call("TOKEN.VALIDATE", session.token)
                            if answer.errorCode == "UNAVAILABLE" { return nil }
                            #expect(try Fields(answer).status == "revoked")
                            return true
                        } as Bool
                }
            }
            // Replication loses what comes last.
            let before = try epochs(site, site.members[0], stage)
            for key in try site.ask(site.members[0], ["KEYS", "\(stage.prefix)s:~epoch*"]) {
                #expect(try site.ask(site.members[0], ["DEL", key]) == ["1"])
            }
            _ = try eventually(within: .seconds(5), "it is told again") {
                _ = try clients[1].validate(clients[1].issue())
                return try epochs(site, site.members[0], stage) == before ? true : nil
            }
        }
    }

    @Test("slots move, the lowest among them: a daemon that comes later knows of it at each master")
    func movingSlots() throws {
        try withSite { stage, site, daemons in
            let client = try daemons[0].client()
            let kept = try Kept(24, client, stage, site)
            #expect(try client.fields("TOKEN.REVOKEEVERYONE").integer("count") == 24)
            let masters = try site.masters()
            try site.reshard(300, from: masters[0], to: masters[1])
            try site.reshard(300, from: masters[1], to: masters[2])
            for member in masters {
                _ = try eventually(within: .seconds(10), "each has it under a key of its own") {
                    _ = try client.validate(client.issue())
                    return try epochs(site, member, stage).isEmpty ? nil : true
                }
            }
            for session in kept.sessions {
                let owner = try #require(try site.owner(ofKey: session.key))
                try site.ask(owner, ["DEL", session.key])
            }
            let late = try stage.addDaemon(.url(site.url)).client()
            for session in kept.sessions {
                let owner = try #require(try site.owner(ofKey: session.key))
                #expect(try site.ask(owner, ["COPY", "kept{\(session.key)}", session.key, "REPLACE"]) == ["1"])
                #expect(try late.validate(session.token).status == "revoked")
            }
        }
    }
}
