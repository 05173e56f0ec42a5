import TestSupport
import Testing
import TokenCacheClient

/// The client library against the real daemon. The time limit counts the wait for a place, too.
@Suite("Client library", .parallel, .timeLimit(.minutes(30)))
struct ClientLibraryTests {
    /// A new session's token, entered among the secrets that must be found nowhere at the server's side.
    private func issue(_ client: BlockingClient, _ world: World, subject: String? = nil) throws -> Issued {
        let issued = try #require(
            try client.call(.issue(subject: subject, data: ["cart": "apple"])).issued)
        world.stage.book.note(issued.token.revealedBytes)
        return issued
    }

    @Test("a session's life: issue, validate, login, data, rotate, list, revoke", arguments: Backend.allCases)
    func life(backend: Backend) throws {
        try withWorld(backend) { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let first = try issue(client, world)
            #expect(first.holder.subject == nil && first.holder.kind == .session && first.holder.generation == 1)
            guard case .session(let seen, .keep, _) = try client.call(.validate(first.token, require: .anyone)) else {
                throw HarnessFailure("the new token is not valid")
            }
            #expect(seen.sid == first.holder.sid && seen.sid == first.token.sid)

            guard case .anonymous(let nobody, .keep) = try client.call(.validate(first.token)) else {
                throw HarnessFailure("nobody has logged in")
            }
            #expect(nobody.sid == seen.sid && nobody.subject == nil && nobody.authTime == nil)

            let admission = try client.call(
                .login(
                    first.token, subject: "ann", limits: SessionLimits(idle: .seconds(600), absolute: .seconds(6_000)),
                    csrf: "f"))
            let login = try #require(admission.issued)
            let form = try #require(login.csrf)
            #expect(try client.call(.verifyCSRF(form, of: login.token, form: "f")) == .checked(.passed))
            #expect(login.holder.authTime == login.holder.modified)
            #expect(login.maxAge.map { $0 <= .seconds(6_000) && $0 > .seconds(5_900) } == true)
            world.stage.book.note(login.token.revealedBytes)
            #expect(login.holder.sid == first.holder.sid && login.holder.subject == "ann")
            #expect(login.holder.absoluteIn <= .seconds(6_000) && login.holder.absoluteIn > .seconds(5_900))
            guard case .refused(.replayed) = try client.call(.validate(first.token)) else {
                throw HarnessFailure("the token from before the login is accepted")
            }

            #expect(try client.call(.get(login.token)) == .data(["cart": "apple"]))
            guard case .stored(changed: 2, change: .keep) = try client.call(.set(login.token, ["cart": "", "n": "1"]))
            else { throw HarnessFailure("not stored") }
            #expect(try client.call(.get(sid: login.holder.sid, ["n", "cart"])) == .data(["n": "1"]))

            guard case .rotated(let rotation) = try client.call(.rotate(login.token, csrf: "f")) else {
                throw HarnessFailure("not rotated")
            }
            let rotated = rotation.token
            let next = try #require(rotation.csrf)
            #expect(try client.call(.verifyCSRF(next, of: rotated, form: "f")) == .checked(.passed))
            world.stage.book.note(rotated.revealedBytes)
            guard case .accepted(let holder, _, dataFields: 1) = try client.call(.inspect(rotated)) else {
                throw HarnessFailure("not inspected")
            }
            let listed = try client.call(.list(subject: "ann", data: .all))
            #expect(listed.map(\.sid) == [holder.sid] && listed.first?.data["n"] == "1")
            #expect(listed.first?.authTime == login.holder.authTime)
            // Whoever planted a token before the login must not log the visitor out with it.
            #expect(try client.call(.revoke(first.token)) == .replayed)
            #expect(try client.call(.revoke(sid: holder.sid, subject: "bob")) == .unknown)
            #expect(try client.call(.inspect(sid: holder.sid, subject: "bob")) == .refused(.unknown))
            #expect(try client.call(.get(sid: holder.sid, subject: "ann", ["n"])) == .data(["n": "1"]))
            #expect(try client.call(.revoke(rotated)) == .revoked(.logout))
            #expect(try client.call(.inspect(sid: holder.sid)) == .refused(.revoked(.logout)))
            #expect(try client.call(.list(subject: "ann")).isEmpty)
            #expect(try client.call(.count(subject: "ann")) == 0)
            #expect(try client.call(.page(subject: "ann", limit: 2)).next == nil)

            let kept = try issue(client, world, subject: "bob")
            _ = try issue(client, world, subject: "bob")
            #expect(try client.call(.revokeAll(subject: "bob", except: kept.token)) == .ended(1))
            #expect(try client.call(.revokeAll(subject: "bob", except: rotated)) == .refused(.revoked(.logout)))

            _ = try issue(client, world)
            var everybody: [ListedSession] = []
            var cursor: String?
            repeat {
                let page = try client.call(.everySession(from: cursor, count: 10))
                everybody += page.sessions
                cursor = page.next
            } while cursor != nil
            #expect(Set(everybody.map(\.subject)) == ["bob", nil])
            #expect(everybody.contains { $0.sid == kept.holder.sid })
            // A piece whose answer came late on a busy machine is asked for again, and has nothing left to count.
            let everyone = try client.call(.revokeEveryone())
            #expect([.ended(0), .ended(1), .ended(2)].contains(everyone), "\(everyone)")
            guard case .refused(.revoked(.admin)) = try client.call(.validate(kept.token)) else {
                throw HarnessFailure("not everyone is out")
            }
        }
    }

    @Test("a visitor without a token gets one, and is known by it")
    func visit() throws {
        try withWorld { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let first = try client.call(.visit(nil, data: .all))
            #expect(first.page.data.isEmpty && first.refusal == nil && first.holder.kind == .guest)
            guard let token = first.change.replacement else { throw HarnessFailure("no token") }
            let sid = first.holder.sid
            #expect(token.sid == sid)
            world.stage.book.note(token.revealedBytes)
            guard case .guest(let holder, .keep, _) = try client.call(.visit(token)), holder.sid == sid else {
                throw HarnessFailure("not known by the token")
            }
            guard let forged = SessionToken(TokenText.random()),
                case .refused(.unknown, let other, .replace, _) = try client.call(.visit(forged))
            else { throw HarnessFailure("a made-up token is not refused") }
            #expect(other.sid != forged.sid && !other.isPageOnly)
        }
    }

    @Test("a token from before a login: the page has a guest, the cookie stays, and one can log in again")
    func pageOnly() throws {
        try withWorld(.embedded) { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            guard let guest = try client.call(.visit(nil)).change.replacement else { throw HarnessFailure("no token") }
            let login = try #require(try client.call(.login(guest, subject: "ann", csrf: "f")).issued)
            for token in [guest.revealedBytes, login.token.revealedBytes] { world.stage.book.note(token) }
            let visit = try client.call(.visit(guest, csrf: "login"))
            guard case .refused(.replayed, let holder, .keep, let page) = visit, let csrf = page.csrf else {
                throw HarnessFailure("the page has no guest")
            }
            #expect(holder.isPageOnly && holder.sid != login.holder.sid)
            #expect(visit.setCookie(SessionCookie()) == nil && visit.subject == nil)
            let again = try client.call(.visit(guest, check: FormCheck(csrf, form: "login")))
            #expect(again.page.check == .passed && again.holder.sid == holder.sid)
            guard case .refused(.replayed) = try client.call(.set(guest, ["a": "b"])) else {
                throw HarnessFailure("a page-only guest stored something")
            }
            // An image of the page is no place for a cookie either.
            let image = try client.call(.visit(nil, fetch: FetchMetadata(site: "same-origin", mode: "no-cors")))
            guard case .guest(let shown, .keep, _) = image else { throw HarnessFailure("an image got a cookie") }
            #expect(shown.isPageOnly)
            // On the way back from a payment page browsers hold the cookie back.
            let back = try client.call(
                .visit(nil, fetch: FetchMetadata(site: "cross-site", mode: "navigate", isPost: true)))
            guard case .guest(_, .keep, _) = back else { throw HarnessFailure("a payment's return got a cookie") }
        }
    }

    @Test("a step up: who logged in long ago is asked for the password again")
    func stepUp() throws {
        try withWorld(.embedded) { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let admission = try client.call(
                .login(nil, subject: "ann", limits: SessionLimits(cookie: .session), authTime: UnixTime(seconds: 1_000))
            )
            let login = try #require(admission.issued)
            world.stage.book.note(login.token.revealedBytes)
            #expect(login.maxAge == nil && login.holder.authTime == UnixTime(seconds: 1_000))
            guard case .session = try client.call(.validate(login.token)),
                case .reauthenticate(let bearer, .keep) = try client.call(
                    .validate(login.token, require: .login(within: .seconds(600))))
            else { throw HarnessFailure("the login is fresh enough") }
            #expect(bearer.subject == "ann" && bearer.authTime == UnixTime(seconds: 1_000))
            let again = try #require(try client.call(.login(login.token, subject: "ann")).issued)
            world.stage.book.note(again.token.revealedBytes)
            guard
                case .session = try client.call(.validate(again.token, require: .login(within: .seconds(600))))
            else { throw HarnessFailure("asked for the password again") }
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
            guard case .session = try client.call(.validate(issued.token, require: .anyone)) else {
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
            guard case .issued(let csrf, let holder, _) = try client.call(.issueCSRF(guest.token, form: "f")) else {
                throw HarnessFailure("no token for the form")
            }
            #expect(holder == guest.holder.sid)
            let signals = Signals(ip: "192.0.2.1")
            let verify = TokenCommand.verifyCSRF(csrf, of: guest.token, form: "f", site: "none", signals: signals)
            #expect(try client.call(verify) == .checked(.passed))
            #expect(try client.call(.verifyCSRF(csrf, of: guest.token, form: "g")) == .checked(.failed))
            guard let forged = SessionToken(TokenText.random()) else { throw HarnessFailure("no token") }
            #expect(try client.call(.verifyCSRF(csrf, of: forged, form: "f")) == .refused(.unknown))
            guard
                case .guest(_, .keep, let page) = try client.call(
                    .visit(guest.token, check: FormCheck(csrf, form: "f"), csrf: "g"))
            else { throw HarnessFailure("no guest") }
            let other = try #require(page.csrf)
            #expect(page.check == .passed)
            #expect(try client.call(.verifyCSRF(other, of: guest.token, form: "g")) == .checked(.passed))

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

            guard
                case .stored(changed: 1, change: .replace(let token, _)) = try client.call(
                    .set(guest.token, ["a": "b"]))
            else { throw HarnessFailure("the guest is no session now") }
            world.stage.book.note(token.revealedBytes)
            #expect(token.sid == guest.holder.sid)
            #expect(try client.call(.get(token)) == .data(["a": "b"]))
        }
    }

    @Test("limits later, and data that several change, through the library")
    func limitsAndData() throws {
        try withWorld { world in
            let client = BlockingClient(socketPath: world.daemon.socket, timeout: .seconds(20))
            let token = try issue(client, world, subject: "ann").token
            guard
                case .value(7, change: .keep) = try client.call(.increment(token, "n", by: 7)),
                case .conflict(["n": "7"], change: .keep) = try client.call(.set(token, ["n": "9"], if: ["n": "8"])),
                case .stored(changed: 1, change: .keep) = try client.call(.set(token, ["n": "9"], if: ["n": "7"])),
                case .changed(let holder, change: .keep) = try client.call(.expire(token, absolute: .seconds(600))),
                case .rotated(let rotated) = try client.call(.rotate(token, absolute: .seconds(900)))
            else { throw HarnessFailure("an answer of another kind") }
            #expect(holder.absoluteIn <= .seconds(600) && holder.absoluteIn > .seconds(590))
            world.stage.book.note(rotated.token.revealedBytes)
            #expect(rotated.maxAge == rotated.holder.absoluteIn && rotated.holder.absoluteIn > .seconds(890))
            #expect(try client.call(.take(rotated.token, ["n"])) == .data(["n": "9"]))
            #expect(try client.call(.take(rotated.token, ["n"])) == .data([:]))
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

    private static func ask(_ client: AsyncClient, _ tokens: [SessionToken], caller: Int) async throws {
        for turn in 0..<20 {
            let index = (caller * 7 + turn * 13) % tokens.count
            let task = Task { try await client.call(.validate(tokens[index])) }
            if (caller + turn) % 5 == 0 {
                for _ in 0..<(turn % 4) { await Task.yield() }
                task.cancel()
            }
            do {
                guard case .session(let holder, .keep, _) = try await task.value, holder.subject == "user \(index)"
                else {
                    throw HarnessFailure("the answer is another's")
                }
            } catch is CancellationError {}
        }
    }
}
