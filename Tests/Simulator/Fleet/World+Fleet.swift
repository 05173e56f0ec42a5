import Tokens

@testable import RedisLink

/// Several servers: which of them is the one that counts, and what its successor lacks.
extension World {
    func watch(_ fleet: SentinelFleet) {
        checker.fleet = fleet
        checker.redis = redis
        for server in fleet.servers {
            server.onChange = { [unowned self] key, entry, source in
                fleet.replication.changed(server, key, entry)
                checker.written(key, source, on: server, isCounted: server === redis)
                if server === redis { checker.changed(key, entry, source) }
            }
            server.onArgument = { [checker] argument in checker.received(argument) }
            server.onLoss = { [unowned self] keys in if server === redis { checker.lost(keys) } }
            server.onClient = { [unowned self] path in
                let epoch = fleet.epochs[server.number] ?? 0
                guard path.role == .data, server.faults.role == .master, epoch > epochOfRedis else { return }
                epochOfRedis = epoch
                if server !== redis { succeed(server) }
            }
        }
        fleet.onDemotion = { [unowned self] server, master in if server === redis { succeed(master) } }
        fleet.onPromotion = { [unowned self] in
            note("h\($0) is promoted in epoch \($1)")
            watchSettling()
        }
        fleet.onFollow = { [unowned self] in note("h\($0) is to follow h\($1)") }
        fleet.onNamed = { [unowned self] in note("the Sentinel of h\($0) names h\($1) of epoch \($2)") }
        observe()
    }

    func watch(_ cluster: ModelCluster) {
        checker.cluster = cluster
        for server in cluster.servers {
            server.onChange = { [unowned self] key, entry, source in
                cluster.replication.changed(server, key, entry)
                let isCounted = cluster.counts(server, key)
                checker.written(key, source, on: server, isCounted: isCounted)
                if isCounted { checker.changed(key, entry, source) }
            }
            server.onArgument = { [checker] argument in checker.received(argument) }
            server.onLoss = { [checker] keys in checker.lost(keys.filter { cluster.counts(server, $0) }) }
        }
        cluster.note = { [unowned self] line in
            note(line)
            agenda.after(0) { [weak self] in self?.watchSettling() }
        }
        cluster.onTakeover = { [checker] lost in
            checker.lostIndexes(lost.filter { $0.hasPrefix("tc:u:") })
            for name in lost {
                checker.changed(name, cluster.standing(name), ModelRedis.ChangeSource(command: "lost"))
            }
            checker.lost(lost)
            checker.succeeded()
            for seconds in 2...8 {
                checker.agenda.after(.milliseconds(Int64(seconds) * 1_000)) { [weak checker] in checker?.checkPlaces() }
            }
        }
        cluster.onMoved = { [checker] key in checker.moved(key) }
        cluster.onAsk = { [unowned self] daemon in daemons[daemon].asks += 1 }
        observe()
    }

    /// `failover N`; of the slot of a browser's session `move browser N for MS [ahead MS]`, and `cut D owner browser N for
    /// MS`: daemon D does not reach its owner, or `target`: the one that it goes to.
    func cluster(_ words: inout ArraySlice<String>) throws {
        guard let cluster else { throw NoSuchEvent() }
        let what = try word(&words)
        if what == "failover" {
            cluster.failOver(try integer(&words))
            checker.succeeded()
            return watchSettling()
        }
        let daemon = what == "cut" ? try integer(&words) : 0
        let end = what == "cut" ? try word(&words) : ""
        try expect("browser", &words)
        let browser = browsers[try integer(&words) % browsers.count]
        try expect("for", &words)
        let span = try milliseconds(&words)
        guard case .session(let token) = browser.jar else { return }
        let slot = KeySlot.of(SimulatedDaemon.prefix + bytes("s:") + token.sid.hex)
        switch what {
        case "move":
            let ahead = words.popFirst() == "ahead" ? try milliseconds(&words) : 0
            cluster.move(slot, after: span, ahead: ahead)
        case "cut":
            let (owner, target) = cluster.ends(of: slot)
            guard let server = end == "owner" ? owner : target else { return }
            network.cutOff(["d\(daemon)"], from: [server.host], until: agenda.now + span)
        default: throw NoSuchEvent()
        }
        watchSettling()
    }

    private func milliseconds(_ words: inout ArraySlice<String>) throws -> SimulatedTime {
        .milliseconds(Int64(try integer(&words)))
    }

    private func observe() {
        agenda.after(.milliseconds(20)) { [weak self] in
            guard let self else { return }
            watchSettling()
            observe()
        }
    }

    /// Until everybody agrees who the master is, no answer is due.
    func watchSettling() {
        guard let group else { return }
        if let fleet { checker.noteNames(fleet, daemons: daemons.count) }
        if group.isSettled { checker.settled() } else { checker.unsettled() }
    }

    /// Another server is what counts, from the first daemon on that comes to it. What it lacks is lost.
    private func succeed(_ server: ModelRedis) {
        note("h\(server.number) succeeds h\(redis.number)")
        let former = redis
        redis = server
        checker.redis = server
        let names = Set(former.keys.names).union(server.keys.names).sorted()
        let lost = names.filter { former.keys[$0] != server.keys[$0] }
        for name in lost { checker.changed(name, server.keys[name], ModelRedis.ChangeSource(command: "lost")) }
        checker.lost(lost)
        checker.succeeded()
        if server.clockOffset != former.clockOffset { checker.jumped(server.clockOffset) }
    }

    func heal(_ group: any ServerGroup) {
        network.endPartitions()
        for server in group.servers { heal(server) }
        for sentinel in fleet?.sentinels ?? [] { sentinel.isDown = false }
        fleet?.answerAll()
    }

    /// `host N | master | replica`, and what becomes of its Redis.
    func server(_ words: inout ArraySlice<String>) throws {
        guard let group else { throw NoSuchEvent() }
        let which = try word(&words)
        let servers: [ModelRedis] =
            switch which {
            case "master": [redis]
            case "all": group.servers
            default: [group.servers[(Int(which) ?? 0) % group.servers.count]]
            }
        let what = try word(&words)
        for server in servers {
            switch what {
            case "crash": server.crash(loss: 0)
            case "start": if server.isDown { server.start(loadingFor: 0) }
            case "pause": server.pause()
            case "resume": server.resume()
            default: throw NoSuchEvent()
            }
        }
        watchSettling()
    }

    /// `failover N`, `stop N`, `start N`; `ignore N D for MS`: it does not answer daemon D.
    func sentinel(_ words: inout ArraySlice<String>) throws {
        guard let fleet else { throw NoSuchEvent() }
        let what = try word(&words)
        let sentinel = fleet.sentinels[try integer(&words) % fleet.sentinels.count]
        switch what {
        case "failover": sentinel.failOver()
        case "stop": sentinel.isDown = true
        case "start": sentinel.isDown = false
        case "ignore":
            let daemon = try integer(&words)
            try expect("for", &words)
            let span = SimulatedTime.milliseconds(Int64(try integer(&words)))
            fleet.ignore(daemon, at: sentinel.number, until: agenda.now + span)
        default: throw NoSuchEvent()
        }
        watchSettling()
    }

    /// `NAME… for N`: these are cut off from all others. `master` is the host of whoever is it.
    func partition(_ words: inout ArraySlice<String>) throws {
        guard group != nil else { throw NoSuchEvent() }
        var island: Set<String> = []
        while let name = words.popFirst(), name != "for" { island.insert(name == "master" ? redis.host : name) }
        network.cutOff(island, until: agenda.now + .milliseconds(Int64(try integer(&words))))
        watchSettling()
    }
}
