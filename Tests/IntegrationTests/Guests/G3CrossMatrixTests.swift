import Foundation
import TestSupport
import Testing

@Suite("G3: nothing is taken for anything else, at the socket", .parallel)
struct G3CrossMatrixTests {
    /// One of each kind that a client may hold, of one visitor.
    private struct Things {
        let session: String
        let guest: String
        let csrf: String
        let captcha: String
        let solution: String

        /// Kind → text.
        var all: [(kind: String, text: String)] {
            [("session", session), ("guest", guest), ("csrf", csrf), ("captcha", captcha)]
        }

        init(_ client: RESPClient) throws {
            session = try client.issue()
            guest = try client.guest()
            csrf = try client.csrf(guest, "FORM", "f")
            let made = try client.captcha("FORM", "f", "FOR", guest)
            captcha = made.text
            solution = made.solution
        }
    }

    /// Every place in a command where a token of some kind belongs: what is answered to another kind there.
    private struct Slot {
        let name: String
        /// Kinds that belong there.
        let takes: Set<String>
        let refusal: String
        let command: (String) -> [String]
    }

    private static func slots(_ things: Things) -> [Slot] {
        let holders: Set = ["session", "guest"]
        let tokens = ["VALIDATE", "INSPECT", "GET", "ROTATE", "REVOKE"].map { name in
            Slot(name: "TOKEN.\(name)", takes: holders, refusal: "unknown") { ["TOKEN.\(name)", $0] }
        }
        return tokens + [
            Slot(name: "TOKEN.VISIT", takes: holders, refusal: "unknown") { ["TOKEN.VISIT", $0] },
            Slot(name: "TOKEN.SET", takes: holders, refusal: "unknown") { ["TOKEN.SET", $0, "DATA", "a", "1"] },
            Slot(name: "REVOKE SID", takes: [], refusal: "unknown") { ["TOKEN.REVOKE", "SID", $0] },
            Slot(name: "REVOKEALL EXCEPT", takes: holders, refusal: "unknown") {
                ["TOKEN.REVOKEALL", "nobody", "EXCEPT", $0]
            },
            Slot(name: "CSRF.ISSUE", takes: holders, refusal: "unknown") { ["CSRF.ISSUE", $0] },
            Slot(name: "CSRF.VERIFY, holder", takes: holders, refusal: "unknown") {
                ["CSRF.VERIFY", $0, things.csrf, "FORM", "f"]
            },
            Slot(name: "CSRF.VERIFY, form's", takes: ["csrf"], refusal: "failed") {
                ["CSRF.VERIFY", things.guest, $0, "FORM", "f"]
            },
            Slot(name: "CAPTCHA.ISSUE FOR", takes: holders, refusal: "unknown") { ["CAPTCHA.ISSUE", "FOR", $0] },
            Slot(name: "CAPTCHA.OPEN", takes: ["captcha"], refusal: "unknown") { ["CAPTCHA.OPEN", $0] },
            Slot(name: "CAPTCHA.VERIFY", takes: ["captcha"], refusal: "unknown") {
                ["CAPTCHA.VERIFY", $0, things.solution, "FORM", "f", "FOR", things.guest]
            },
            Slot(name: "CAPTCHA.VERIFY FOR", takes: ["guest"], refusal: "mismatch") {
                ["CAPTCHA.VERIFY", things.captcha, things.solution, "FORM", "f", "FOR", $0]
            },
        ]
    }

    @Test("every kind in every place of another kind is refused with the place's own status, and writes nothing")
    func kinds() throws {
        try withWorld { world in
            let client = try world.client()
            let things = try Things(client)
            let count = try WriteCount(world.requireServer())
            var tried = 0
            for slot in Self.slots(things) {
                for (kind, text) in things.all where !slot.takes.contains(kind) {
                    let reply = try client.fields(slot.command(text))
                    #expect(reply.status == slot.refusal, "\(kind) as \(slot.name): \(reply)")
                    #expect(!reply.isAccepted, "\(kind) as \(slot.name)")
                    tried += 1
                }
            }
            #expect(tried > 30)
            // CHECK in VISIT, beside a good holder.
            for (kind, text) in things.all where kind != "csrf" {
                let reply = try client.fields("TOKEN.VISIT", things.guest, "CHECK", text, "f")
                #expect(reply.status == "valid" && reply.text("check") == "failed", "\(kind)")
            }
            #expect(try count.writes() == [:])
            // All of them were good all the time.
            #expect(try client.validate(things.session).isAccepted && client.validateGuest(things.guest).isAccepted)
            #expect(try client.verify(things.guest, things.csrf, "FORM", "f") == "passed")
            #expect(try client.answer(things.captcha, things.solution, "FORM", "f", "FOR", things.guest) == "passed")
        }
    }

    @Test("every form token with every other holder and form, every captcha too")
    func holdersAndForms() throws {
        try withWorld(daemons: 2) { world in
            let client = try world.client()
            let other = try world.client(ofDaemon: 1)
            let forms = ["", "f", "g", "f\u{0}", "F"]
            let holders = try [
                client.issue("SUBJECT", "ann"), client.issue("SUBJECT", "ann"), client.guest(), client.guest(),
            ]
            for owner in holders {
                for form in forms {
                    let csrf = try client.csrf(owner, "FORM", form)
                    for holder in holders {
                        for asked in forms {
                            let isOwn = holder == owner && asked == form
                            #expect(try other.verify(holder, csrf, "FORM", asked) == (isOwn ? "passed" : "failed"))
                        }
                    }
                    let captcha = try client.captcha("FORM", form, "FOR", owner)
                    for holder in holders {
                        for asked in forms where holder != owner || asked != form {
                            let status = try other.answer(captcha.text, captcha.solution, "FORM", asked, "FOR", holder)
                            #expect(status == "mismatch")
                        }
                    }
                    #expect(try other.answer(captcha.text, captcha.solution, "FORM", form, "FOR", owner) == "passed")
                }
            }
        }
    }

    @Test("another prefix under the same key ring accepts none of them")
    func prefix() throws {
        // The rights of one prefix end where the other begins.
        let stage = try Stage(isRestricted: false)
        let server = try stage.addRedis()
        let client = try stage.addDaemon(.redis(server)).client()
        // Within the stage's own prefix, so that its keys are counted.
        let stranger = try stage.addDaemon(.redis(server), settings: ["redis.prefix": "\(stage.prefix)b:"]).client()
        let things = try Things(client)
        #expect(
            try DaemonFacts(client, "tokens")["keyring_fingerprint"]
                == DaemonFacts(stranger, "tokens")["keyring_fingerprint"])
        for token in [things.session, things.guest] {
            for command in [
                ["TOKEN.VALIDATE", token], ["CSRF.ISSUE", token], ["TOKEN.SET", token, "DATA", "a", "1"],
            ] {
                expectRefused("unknown", try stranger.fields(command))
            }
        }
        #expect(try stranger.fields("CAPTCHA.OPEN", things.captcha).status == "unknown")
        #expect(try stranger.answer(things.captcha, things.solution, "FORM", "f") == "unknown")
        #expect(try stranger.verify(stranger.guest(), things.csrf, "FORM", "f") == "failed")
        let problems = stage.finish()
        #expect(problems.isEmpty, "\(problems)")
    }

    /// A token's segments put together anew.
    private static func tricks(_ guest: String, _ captcha: String) -> [String] {
        func base64url(_ text: String) -> String { KeyRingText.base64url(Data(text.utf8)) }
        let jws = guest.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let jwe = captcha.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard jws.count == 3, jwe.count == 5 else { return [] }
        let headers = [
            "{\"alg\":\"none\"}", "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}",
            "{\"alg\":\"HS512\",\"typ\":\"tc-guest+jwt\",\"kid\":\"k1\"}",
            "{\"alg\":\"HS256\",\"typ\":\"tc-guest+jwt\"}",
            "{\"alg\":\"HS256\",\"typ\":\"tc-guest+jwt\",\"kid\":\"k2\"}",
            "{\"alg\":\"HS256\",\"typ\":\"tc-guest+jwt\",\"kid\":\"k1\",\"crit\":[\"exp\"]}",
            "{\"alg\":\"HS256\",\"typ\":\"tc-guest+jwt\",\"kid\":\"k1\",\"jku\":\"https://example.com\"}",
        ]
        return headers.map { [base64url($0), jws[1], jws[2]].joined(separator: ".") }
            + headers.map { [base64url($0), jws[1], ""].joined(separator: ".") }
            + [
                guest + "=", guest + ".", "." + guest, guest + " ", jws.dropLast().joined(separator: "."),
                [jws[0], jwe[3], jws[2]].joined(separator: "."), captcha, captcha + ".",
                [jwe[0], jws[1], jws[2]].joined(separator: "."),
                "{\"payload\":\"\(jws[1])\",\"protected\":\"\(jws[0])\",\"signature\":\"\(jws[2])\"}",
                guest + String(repeating: "A", count: 4_096),
            ]
    }

    @Test(
        "headers of somebody else's choice, other serializations, bits and pieces: unknown; a single changed character, too"
    )
    func forgeries() throws {
        try withWorld { world in
            let client = try world.client()
            let things = try Things(client)
            let tricks = Self.tricks(things.guest, things.captcha)
            #expect(tricks.count > 20)
            for token in tricks where token != things.captcha {
                expectRefused("unknown", try client.validateGuest(token))
                #expect(try client.fields("CAPTCHA.OPEN", token).status == "unknown")
            }
            let characters = Array(things.guest)
            let changed = characters.indices.map { index in
                var text = characters
                text[index] = text[index] == "A" ? "B" : "A"
                return String(text)
            }
            let replies = try client.pipeline(changed.map { ["TOKEN.VALIDATE", $0] }).map { try Fields($0) }
            #expect(replies.allSatisfy { $0.status == "unknown" }, "\(replies.filter { $0.status != "unknown" })")
        }
    }

    @Test("each of them, past its end, is expired in its place", arguments: ["guest", "csrf", "captcha"])
    func expired(_ kind: String) throws {
        // Ends fall on whole seconds: one second of lifetime may be next to nothing.
        try withWorld(settings: ["guest.lifetime": "2s", "csrf.lifetime": "2s", "captcha.lifetime": "2s"]) { world in
            let client = try world.client()
            let holder = try client.issue()
            let command: [String] =
                switch kind {
                case "guest": ["TOKEN.VALIDATE", try client.guest()]
                case "csrf": ["CSRF.VERIFY", holder, try client.csrf(holder)]
                default: ["CAPTCHA.OPEN", try client.captcha().text]
                }
            let first = try client.fields(command).status
            #expect(["valid", "passed", "issued", "rotated"].contains(first))
            try awaitThat("its end") { try client.fields(command).status == "expired" }
            #expect(try client.fields(command).status == "expired")
        }
    }
}
