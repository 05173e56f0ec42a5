import SeededRandom
import TokenCrypto
import Tokens

@testable import TokenCache

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
        case "server":
            noteFault(words)
            try server(&rest)
        case "sentinel":
            noteFault(words)
            try sentinel(&rest)
        case "cluster":
            noteFault(words)
            try cluster(&rest)
        case "move":
            noteFault(words)
            try move(&rest)
        case "partition":
            noteFault(words)
            try partition(&rest)
        default: throw NoSuchEvent()
        }
    }

    func integer(_ words: inout ArraySlice<String>) throws -> Int {
        guard let word = words.popFirst(), let number = Int(word) else { throw NoSuchEvent() }
        return number
    }

    func word(_ words: inout ArraySlice<String>) throws -> String {
        guard let word = words.popFirst() else { throw NoSuchEvent() }
        return word
    }

    func expect(_ expected: String, _ words: inout ArraySlice<String>) throws {
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
        var wish = Wish()
        if operation == .login || operation == .issue { wish.subject = bytes(try self.word(&words)) }
        if operation == .expire {
            wish.limits = SessionLimits(idle: Int64(try integer(&words)), absolute: Int64(try integer(&words)))
        }
        wish.change = change(operation, of: browser, decimal(Int64(index)))
        try expect("at", &words)
        let daemon = try integer(&words)
        let isLost = words.popFirst() == "lost"
        if brought.secret == nil, operation != .visit, operation != .login, operation != .issue { return }
        if operation == .issue { brought = .nothing }
        var random = random(index)
        let (out, back) = (Int64.random(in: 20...1_500, using: &random), Int64.random(in: 20...1_500, using: &random))
        let isOld = word != operation.rawValue || brought.secret != browser.jar.secret
        let isHonest = !isOld && !browser.missedForced && !browser.isOverwritten
        if operation == .login || operation == .rotate, !isOld { browser.missedForced = true }
        let sent = agenda.now
        let expected = expected
        agenda.after(.microseconds(out)) { [self] in
            start(
                operation, by: .browser(browser.number), bringing: brought, wish: wish, sent: sent,
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

    /// What a command makes of data. No value is written twice in a run.
    private func change(_ operation: Operation, of browser: Browser, _ value: [UInt8]) -> DataChange {
        switch operation {
        case .setIf:
            .set(
                [RecordField(name: bytes("seat"), value: value)],
                if: [RecordField(name: bytes("seat"), value: browser.seat)])
        case .incr: .add(1, to: bytes("count"))
        case .getDel: .take([bytes("cart")])
        default: .set([RecordField(name: bytes("cart"), value: value)])
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
        start(operation, by: .thief(number), bringing: .session(thief.token), wish: Wish(subject: subject), at: daemon)
        {
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
        start(operation, by: .forger, bringing: .session(forged), wish: Wish(subject: subject), at: daemon) {
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
        } else if operation != .revokeEveryone {
            subject = bytes(try word(&words))
        }
        try expect("at", &words)
        start(operation, by: .admin, bringing: brought, wish: Wish(subject: subject), at: try integer(&words)) {
            [self, expected] request in
            check(request, has: expected)
        }
    }
}
