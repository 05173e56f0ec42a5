import Dispatch
import Synchronization
import TestSupport
import Testing
import TokenCacheClient

/// The client library against the real daemon. The time limit counts the wait for a place, too.
@Suite("Client library", .parallel, .timeLimit(.minutes(30)))
struct ClientLibraryTests {
    /// A new session's token, entered among the secrets that must be found nowhere at the server's side.
    private func issue(_ client: BlockingClient, _ world: World, subject: String? = nil) throws -> Issued {
        let issued = try client.call(.issue(subject: subject, data: ["cart": "apple"]))
        world.stage.book.note(issued.token.revealedBytes)
        return issued
    }

    @Test("a session's life: issue, validate, login, data, rotate, list, revoke", arguments: Backend.allCases)
    func life(backend: Backend) throws {
        try withWorld(backend) { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let first = try issue(client, world)
            #expect(first.holder.subject == nil && first.holder.kind == .session && first.holder.generation == 1)
            guard case .session(let seen, .keep) = try client.call(.validate(first.token)) else {
                throw HarnessFailure("the new token is not valid")
            }
            #expect(seen.sid == first.holder.sid && seen.sid == first.token.sid)

            let login = try client.call(
                .login(
                    first.token, subject: "ann", limits: SessionLimits(idle: .seconds(600), absolute: .seconds(6_000))))
            world.stage.book.note(login.token.revealedBytes)
            #expect(login.holder.sid == first.holder.sid && login.holder.subject == "ann")
            #expect(login.holder.absoluteIn <= .seconds(6_000) && login.holder.absoluteIn > .seconds(5_900))
            guard case .refused(.replayed) = try client.call(.validate(first.token)) else {
                throw HarnessFailure("the token from before the login is accepted")
            }

            #expect(try client.call(.get(login.token)) == .data(["cart": "apple"]))
            guard case .stored(changed: 2, token: .keep) = try client.call(.set(login.token, ["cart": "", "n": "1"]))
            else { throw HarnessFailure("not stored") }
            #expect(try client.call(.get(sid: login.holder.sid, ["n", "cart"])) == .data(["n": "1"]))

            guard case .rotated(_, let rotated) = try client.call(.rotate(login.token)) else {
                throw HarnessFailure("not rotated")
            }
            world.stage.book.note(rotated.revealedBytes)
            guard case .accepted(let holder, _, dataFields: 1) = try client.call(.inspect(rotated)) else {
                throw HarnessFailure("not inspected")
            }
            let listed = try client.call(.list(subject: "ann", data: .all))
            #expect(listed.map(\.sid) == [holder.sid] && listed.first?.data["n"] == "1")
            #expect(try client.call(.revoke(rotated)) == .revoked(.logout))
            #expect(try client.call(.inspect(sid: holder.sid)) == .refused(.revoked(.logout)))
            #expect(try client.call(.list(subject: "ann")).isEmpty)

            let kept = try issue(client, world, subject: "bob")
            _ = try issue(client, world, subject: "bob")
            #expect(try client.call(.revokeAll(subject: "bob", except: kept.token)) == .ended(1))
            #expect(try client.call(.revokeAll(subject: "bob", except: rotated)) == .refused(.revoked(.logout)))
        }
    }

    @Test("a visitor without a token gets one, and is known by it")
    func visit() throws {
        try withWorld { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let change: TokenChange
            let sid: String
            switch try client.call(.visit(nil, data: .all)) {
            case .session(let holder, let given, let page), .guest(let holder, let given, let page):
                (sid, change) = (holder.sid, given)
                #expect(page.data.isEmpty)
            case .refused: throw HarnessFailure("a first visit is no refusal")
            }
            guard let token = change.replacement else { throw HarnessFailure("no token") }
            world.stage.book.note(token.revealedBytes)
            switch try client.call(.visit(token)) {
            case .session(let holder, .keep, _), .guest(let holder, .keep, _): #expect(holder.sid == sid)
            default: throw HarnessFailure("not known by the token")
            }
            guard let forged = Token(TokenText.random()),
                case .refused(.unknown, let other, .replace, _) = try client.call(.visit(forged))
            else { throw HarnessFailure("a made-up token is not refused") }
            #expect(other.sid != forged.sid)
        }
    }

    @Test("the daemon's errors are the library's")
    func errors() throws {
        try withWorld { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let issued = try issue(client, world)
            #expect(throws: TokenCacheError.self) {
                _ = try client.call(.issue(limits: SessionLimits(idle: .seconds(500 * 86_400))))
            }
            try world.requireServer().kill9()
            do {
                _ = try client.call(.set(issued.token, ["a": "b"]))
                throw HarnessFailure("Redis is gone and nobody noticed")
            } catch TokenCacheError.unavailable {}
            try world.requireServer().restart()
            try world.client().awaitService()
            guard case .session = try client.call(.validate(issued.token)) else {
                throw HarnessFailure("the session is gone")
            }
        }
    }

    @Test("a worker's connection survives a restart of the daemon")
    func restart() throws {
        try withWorld { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let issued = try issue(client, world)
            for _ in 0..<3 {
                world.daemon.kill9()
                _ = try world.daemon.wait()
                try world.daemon.start()
                // A command that must not be repeated: the dead connection shows before it is sent.
                guard case .stored = try client.call(.set(issued.token, ["a": "b"])) else {
                    throw HarnessFailure("the session is gone")
                }
            }
        }
    }

    @Test("a guest, its forms and captchas, and how it becomes a session")
    func forms() throws {
        try withWorld(.embedded) { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let guest = try client.call(.issueGuest(lifetime: .seconds(600)))
            #expect(guest.holder.kind == .guest && guest.holder.generation == 0)
            guard case .issued(let csrf, _) = try client.call(.issueCSRF(guest.token, form: "f")) else {
                throw HarnessFailure("no token for the form")
            }
            let bindings = Bindings(ip: "192.0.2.1")
            let verify = TokenCommand.verifyCSRF(csrf, of: guest.token, form: "f", site: "none", bindings: bindings)
            #expect(try client.call(verify) == .checked(.passed))
            #expect(try client.call(.verifyCSRF(csrf, of: guest.token, form: "g")) == .checked(.failed))
            guard let forged = Token(TokenText.random()) else { throw HarnessFailure("no token") }
            #expect(try client.call(.verifyCSRF(csrf, of: forged, form: "f")) == .refused(.unknown))
            guard case .guest(_, .keep, let page) = try client.call(.visit(guest.token, check: (csrf, "f"), csrf: "g"))
            else { throw HarnessFailure("no guest") }
            #expect(page.check == .passed && page.csrf != nil)

            guard
                case .issued(let captcha, let solution, .seconds(60)) = try client.call(
                    .issueCaptcha(form: "f", for: guest.token, lifetime: .seconds(60))),
                case .solution(let drawn) = try client.call(.openCaptcha(captcha))
            else { throw HarnessFailure("no captcha") }
            #expect(drawn.revealedText == solution.revealedText)
            let answer = TokenCommand.verifyCaptcha(
                captcha, answer: solution.revealedText, form: "f", for: guest.token)
            #expect(try client.call(answer) == .passed)
            #expect(try client.call(answer) == .spent)
            guard case .unknown = try client.call(.openCaptcha(Captcha("x"))) else {
                throw HarnessFailure("a made-up captcha was opened")
            }

            guard case .stored(changed: 1, token: .replace(let token)) = try client.call(.set(guest.token, ["a": "b"]))
            else { throw HarnessFailure("the guest is no session now") }
            world.stage.book.note(token.revealedBytes)
            #expect(token.sid == guest.holder.sid)
            #expect(try client.call(.get(token)) == .data(["a": "b"]))
        }
    }

    @Test("hundreds of tasks, random cancellations: every answer is its caller's")
    func manyTasks() throws {
        try withWorld { world in
            let blocking = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let tokens = try (0..<50).map { try issue(blocking, world, subject: "user \($0)").token }
            let client = try AsyncClient(socketPath: world.daemon.socket, connections: 2, timeout: .seconds(20))
            try waiting {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for caller in 0..<200 {
                        group.addTask { try await Self.ask(client, tokens, caller: caller) }
                    }
                    try await group.waitForAll()
                }
                await client.close()
            }
        }
    }

    private static func ask(_ client: AsyncClient, _ tokens: [Token], caller: Int) async throws {
        for turn in 0..<20 {
            let index = (caller * 7 + turn * 13) % tokens.count
            let task = Task { try await client.call(.validate(tokens[index])) }
            if (caller + turn) % 5 == 0 {
                for _ in 0..<(turn % 4) { await Task.yield() }
                task.cancel()
            }
            do {
                guard case .session(let holder, .keep) = try await task.value, holder.subject == "user \(index)" else {
                    throw HarnessFailure("the answer is another's")
                }
            } catch is CancellationError {}
        }
    }
}

/// Runs asynchronous work to its end in a test that blocks.
private func waiting(_ body: @escaping @Sendable () async throws -> Void) throws {
    let done = DispatchSemaphore(value: 0)
    let outcome = Outcome()
    Task.detached {
        do { try await body() } catch { outcome.note(error) }
        done.signal()
    }
    done.wait()
    try outcome.rethrow()
}

private final class Outcome: Sendable {
    private let error = Mutex<(any Error)?>(nil)

    func note(_ error: any Error) { self.error.withLock { $0 = error } }
    func rethrow() throws { if let error = error.withLock({ $0 }) { throw error } }
}
