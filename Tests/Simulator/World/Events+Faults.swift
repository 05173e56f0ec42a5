import RedisLink
import SeededRandom

/// What goes wrong, in the words of a plan.
extension World {
    func redis(_ words: inout ArraySlice<String>) throws {
        switch try word(&words) {
        case "crash":
            try expect("loss", &words)
            checker.impair("down", nil, until: .max)
            redis.crash(loss: .milliseconds(Int64(try integer(&words))))
            // Whoever comes back finds the mark, where it is not lost; or finds it again, where that it was taken away is.
            checker.movedAt = redis.isMarked ? agenda.now : nil
            if redis.isMarked { checker.impair("move", nil, until: .max) }
        case "start":
            try expect("loading", &words)
            let loading = SimulatedTime.milliseconds(Int64(try integer(&words)))
            guard redis.isDown else { return }
            redis.start(loadingFor: loading)
            checker.endImpairments("down", at: agenda.now + loading)
        case "flushall":
            checker.impair("flush", nil, until: agenda.now)
            redis.flushAll()
        case "script-flush": redis.loaded = [:]
        case "role":
            let isSlave = try word(&words) == "slave"
            redis.faults.role = isSlave ? .slave : .master
            switchFault("role", isSlave)
        case "replicas":
            redis.faults.lacksReplicas = try word(&words) == "lacking"
            switchFault("replicas", redis.faults.lacksReplicas)
        case "disk":
            redis.faults.cannotSave = try word(&words) == "full"
            switchFault("disk", redis.faults.cannotSave)
        case "memory":
            redis.faults.isFull = try word(&words) == "full"
            switchFault("memory", redis.faults.isFull)
        case "clients":
            redis.faults.refusesClients = try word(&words) == "refused"
            switchFault("clients", redis.faults.refusesClients)
        case "busy":
            redis.faults.busyUntil = agenda.now + .milliseconds(Int64(try integer(&words)))
            checker.impair("busy", nil, until: redis.faults.busyUntil)
        case "pause":
            redis.pause()
            checker.impair("pause", nil, until: .max)
        case "resume":
            redis.resume()
            checker.endImpairments("pause", at: agenda.now)
        case "split":
            checker.impair("split", nil, until: .max)
            let isDemoted = words.first != "lacking"
            let moved = words.compactMap(Int.init)
            for daemon in moved { checker.impair("kill", daemon, until: agenda.now) }
            split(moved, isDemoted: isDemoted)
            words = []
        case "copy":
            let daemon = try integer(&words) % daemons.count
            try expect("for", &words)
            let end = agenda.now + .milliseconds(Int64(try integer(&words)))
            checker.impair("copy", daemon, until: end)
            misleadFeed(of: daemon, until: end)
        case "clock":
            redis.jump(milliseconds: Int64(try integer(&words)))
            checker.jumped(redis.clockOffset)
        default: throw NoSuchEvent()
        }
    }

    /// What `tokencachectl migrate` does at the Redis that it carries the data from. One that is killed between `fence` and
    /// `close` leaves it like that.
    func move(_ words: inout ArraySlice<String>) throws {
        switch try word(&words) {
        case "fence":
            redis.leave(MoveMark(.moving, to: "redis://there"))
            redis.faults.fence = .writing
            checker.impair("move", nil, until: .max)
        case "close":
            redis.leave(MoveMark(.moved, to: "redis://there"))
            redis.faults.fence = .everything
            redis.kill { _ in true }
            checker.movedAt = agenda.now
        case "undo": undoMove()
        default: throw NoSuchEvent()
        }
    }

    func undoMove() {
        redis.leave(nil)
        redis.faults.fence = nil
        checker.movedAt = nil
        checker.endImpairments("move", at: agenda.now)
    }

    private func switchFault(_ name: String, _ isOn: Bool) {
        if isOn { checker.impair(name, nil, until: .max) } else { checker.endImpairments(name, at: agenda.now) }
    }

    /// `kill | cut | refuse | half-open | hold | slow`, the daemon, and which of its connections: data, feed, both of them, or
    /// watch: those to Sentinels.
    func network(_ words: inout ArraySlice<String>) throws {
        let what = try word(&words)
        let number = try integer(&words) % daemons.count
        let role = try word(&words)
        let paths = (role == "both" ? ["data", "feed"] : [role]).compactMap(SimulatedNetwork.PathName.Role.init).map {
            SimulatedNetwork.PathName(daemon: number, role: $0)
        }
        var until = agenda.now
        let direction = ["up", "down", "ways"].first { $0 == words.first }
        if direction != nil { words = words.dropFirst() }
        var amount = 0
        if what == "cut" || what == "slow" {
            words = words.dropFirst()
            amount = try integer(&words)
        }
        if words.first == "for" {
            words = words.dropFirst()
            until += .milliseconds(Int64(try integer(&words)))
        }
        if what == "kill" {
            redis.kill { paths.contains($0.path) }
        } else {
            for path in paths {
                var state = network.paths[path] ?? PathState()
                switch what {
                case "cut": state.cutAfter = amount
                case "refuse": state.refusedUntil = until
                case "half-open": state.halfOpenUntil = until
                case "hold":
                    if direction != "down" { state.upHeldUntil = until }
                    if direction != "up" { state.downHeldUntil = until }
                case "slow": (state.slowness, state.slowUntil) = (.milliseconds(Int64(amount)), until)
                default: throw NoSuchEvent()
                }
                network.paths[path] = state
            }
        }
        checker.impair(what, number, until: what == "cut" ? .max : until)
    }

    func daemon(_ words: inout ArraySlice<String>) throws {
        let number = try integer(&words) % daemons.count
        let daemon = daemons[number]
        switch try word(&words) {
        case "pause":
            daemon.loop.pause()
            checker.impair("stopped", number, until: .max)
        case "resume":
            checker.endImpairments("stopped", of: number, at: agenda.now)
            var random = SeededRandom(seed: setup.seed ^ UInt64(agenda.now))
            daemon.loop.resume(requestsFirst: Bool.random(using: &random))
        case "restart":
            checker.impair("restart", number, until: agenda.now)
            try restart(number)
        case "clock":
            daemon.hostOffset = Int64(try integer(&words))
            daemon.loop.hostOffset = daemon.hostOffset
        default: throw NoSuchEvent()
        }
    }
}
