import SeededRandom
import TokenCrypto
import Tokens

/// What the words of a plan mean.
extension World {
    struct NoSuchEvent: Error {}

    func carryOut(_ words: [String], _ index: Int) throws {
        var rest = words[...]
        switch rest.popFirst() {
        case "browser": try browser(&rest, index)
        case "thief": try thief(&rest, index)
        case "forger": try forger(&rest, index)
        case "admin": try admin(&rest)
        case "redis":
            noteFault(words)
            try redis(&rest)
        case "network":
            noteFault(words)
            try network(&rest)
        case "daemon":
            noteFault(words)
            try daemon(&rest)
        default: throw NoSuchEvent()
        }
    }

    private func integer(_ words: inout ArraySlice<String>) throws -> Int {
        guard let word = words.popFirst(), let number = Int(word) else { throw NoSuchEvent() }
        return number
    }

    private func word(_ words: inout ArraySlice<String>) throws -> String {
        guard let word = words.popFirst() else { throw NoSuchEvent() }
        return word
    }

    private func expect(_ expected: String, _ words: inout ArraySlice<String>) throws {
        guard words.popFirst() == expected else { throw NoSuchEvent() }
    }

    /// Draws that belong to one event of the plan.
    private func random(_ index: Int) -> SeededRandom {
        SeededRandom(seed: setup.seed &* 0x1_0001 &+ UInt64(setup.events[index].at))
    }

    // MARK: Those who ask

    private func browser(_ words: inout ArraySlice<String>, _ index: Int) throws {
        let browser = browsers[try integer(&words) % browsers.count]
        var word = try word(&words)
        var brought = browser.jar
        // A tab left open sends what it was made with.
        if word == "old" {
            guard let former = browser.former else { return }
            brought = .session(former)
            word = try self.word(&words)
        }
        guard let operation = Operation(rawValue: word) else { throw NoSuchEvent() }
        var subject: [UInt8] = []
        if operation == .login || operation == .issue { subject = bytes(try self.word(&words)) }
        try expect("at", &words)
        let daemon = try integer(&words)
        let isLost = words.popFirst() == "lost"
        if brought.secret == nil, operation != .visit, operation != .login, operation != .issue { return }
        if operation == .issue { brought = .nothing }
        var random = random(index)
        let (out, back) = (Int64.random(in: 20...1_500, using: &random), Int64.random(in: 20...1_500, using: &random))
        let data = operation == .set ? [RecordField(name: bytes("cart"), value: decimal(Int64(index)))] : []
        let isOld = word != operation.rawValue || brought.secret != browser.jar.secret
        let isHonest = !isOld && !browser.missedForced && !browser.isOverwritten
        if operation == .login || operation == .rotate, !isOld { browser.missedForced = true }
        let sent = agenda.now
        let expected = expected
        agenda.after(.microseconds(out)) { [self] in
            start(
                operation, by: .browser(browser.number), bringing: brought, subject: subject, data: data, sent: sent,
                at: daemon
            ) { [self] request in
                check(request, has: expected)
                if isHonest { checker.honest(request, browser) }
                guard !isLost else { return }
                agenda.after(.microseconds(back)) { [self] in
                    if isOld {
                        request.delivered = agenda.now
                    } else {
                        browser.receive(request, at: agenda.now)
                    }
                }
            }
        }
    }

    private func thief(_ words: inout ArraySlice<String>, _ index: Int) throws {
        let number = try integer(&words)
        let word = try word(&words)
        if word == "copies" {
            try expect("browser", &words)
            guard case .session(let token) = browsers[try integer(&words) % browsers.count].jar else { return }
            thieves[number] = Thief(token: token)
            checker.stolen(token.sid)
            return
        }
        guard let operation = Operation(rawValue: word) else { throw NoSuchEvent() }
        var subject: [UInt8] = []
        if operation == .login { subject = bytes(try self.word(&words)) }
        try expect("at", &words)
        let daemon = try integer(&words)
        let expected = expected
        guard let thief = thieves[number] else { return }
        start(operation, by: .thief(number), bringing: .session(thief.token), subject: subject, at: daemon) {
            [self] request in
            check(request, has: expected)
            if let token = request.outcome?.newSession { thief.token = token }
        }
    }

    /// Somebody who knows a session's `sid`, and makes up the rest.
    private func forger(_ words: inout ArraySlice<String>, _ index: Int) throws {
        guard let operation = Operation(rawValue: try word(&words)) else { throw NoSuchEvent() }
        try expect("browser", &words)
        let browser = browsers[try integer(&words) % browsers.count]
        try expect("at", &words)
        let daemon = try integer(&words)
        var random = random(index)
        guard case .session(let token) = browser.jar else { return }
        let made: Verifier = try random.bytes()
        let subject = operation == .login ? bytes("mallory") : []
        let forged = SessionToken(sid: token.sid, verifier: made)
        start(operation, by: .forger, bringing: .session(forged), subject: subject, at: daemon) {
            [self, expected] request in
            check(request, has: expected)
        }
    }

    private func admin(_ words: inout ArraySlice<String>) throws {
        guard let operation = Operation(rawValue: try word(&words)) else { throw NoSuchEvent() }
        var brought = Brought.nothing
        var subject: [UInt8] = []
        if operation == .revoke {
            try expect("browser", &words)
            guard case .session(let token) = browsers[try integer(&words) % browsers.count].jar else { return }
            brought = .sid(token.sid)
        } else {
            subject = bytes(try word(&words))
        }
        try expect("at", &words)
        start(operation, by: .admin, bringing: brought, subject: subject, at: try integer(&words)) {
            [self, expected] request in
            check(request, has: expected)
        }
    }

    // MARK: What goes wrong

    private func redis(_ words: inout ArraySlice<String>) throws {
        switch try word(&words) {
        case "crash":
            try expect("loss", &words)
            checker.impair("down", nil, until: .max)
            redis.crash(loss: .milliseconds(Int64(try integer(&words))))
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
            split(words.compactMap(Int.init))
            words = []
        case "clock":
            redis.jump(milliseconds: Int64(try integer(&words)))
            checker.jumped(redis.clockOffset)
        default: throw NoSuchEvent()
        }
    }

    private func switchFault(_ name: String, _ isOn: Bool) {
        if isOn { checker.impair(name, nil, until: .max) } else { checker.endImpairments(name, at: agenda.now) }
    }

    /// `kill | cut | refuse | half-open | hold | slow`, the daemon, and which of its connections: data, feed, both.
    private func network(_ words: inout ArraySlice<String>) throws {
        let what = try word(&words)
        let number = try integer(&words) % daemons.count
        let role = try word(&words)
        let paths = ["data", "feed"].filter { role == $0 || role == "both" }.map {
            SimulatedNetwork.PathName(daemon: number, role: $0 == "data" ? .data : .feed)
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

    private func daemon(_ words: inout ArraySlice<String>) throws {
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
