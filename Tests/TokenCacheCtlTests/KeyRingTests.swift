import Foundation
import Glibc
import TestSupport
import Testing
import TokenCrypto
import UnixTime

/// `tokencachectl keyring`: what it does to the file, what it prints, and that no key is in it.
@Suite("tokencachectl: keyring", .timeLimit(.minutes(10)))
struct KeyRingTests {
    let folder: TemporaryFolder
    let path: String
    let now = UnixSeconds(Int64(time(nil)))

    init() throws {
        folder = try TemporaryFolder()
        path = folder.path + "/ring.json"
    }

    private func keyring(_ arguments: String...) throws -> Tool {
        let result = try ControlProgram.run(["--socket", "/proc/none/s", "keyring"] + arguments)
        // S7: whatever it says, no key is in it.
        // Where there is no ring that can be read, the test has none to leak.
        let keys = FileManager.default.fileExists(atPath: path) && result.status == 0 ? try ring().keys : []
        for key in keys {
            let text = String(decoding: key.secret.withUnsafeBytes { Base64URL.encode($0) }, as: UTF8.self)
            #expect(!(result.output + result.errors).contains(text.prefix(8)))
        }
        return result
    }

    private func ring() throws -> KeyRing { try KeyRingFile.load(path: path, isCredential: false) }

    /// A ring whose keys became active so many seconds ago.
    private func write(_ ages: [Int64]) throws -> KeyRing {
        var random = SystemRandom()
        let ring = try KeyRing(
            keys: ages.enumerated().map { index, age in
                try RingKey(
                    kid: "k\(index)", secret: .random(count: 32, from: &random), created: now - age,
                    activeFrom: now - age)
            })
        try KeyRingFile.write(ring, path: path, mustBeNew: false)
        return ring
    }

    @Test("init makes a ring of one key that signs, mode 0600, and replaces nothing")
    func initialize() throws {
        let made = try keyring("init", path)
        #expect(made.status == 0 && made.errors.isEmpty)
        let ring = try ring()
        #expect(ring.keys.count == 1 && ring.signingKey(at: UnixSeconds(Int64(time(nil)))) == ring.keys[0])
        #expect(made.output.contains("signing      \(ring.keys[0].kid)\n"))
        #expect(made.output.contains("fingerprint  \(try ring.fingerprint)\n"))
        var facts = stat()
        #expect(stat(path, &facts) == 0 && facts.st_mode & 0o7777 == 0o600)

        let again = try keyring("init", "--file", path)
        #expect(again.status == 5 && again.output.isEmpty)
        #expect(again.errors.contains("\(path) already") && again.errors.contains("rotate"))
        #expect(try self.ring() == ring)
        #expect(try keyring("init", path, "--file", path).status == 2)
    }

    @Test("init --if-missing makes a ring once; a good one stays, one that is not good is no success")
    func initializeOnce() throws {
        #expect(try keyring("init", "--if-missing", path).status == 0)
        let made = try ring()
        let again = try keyring("init", "--if-missing", path)
        let fingerprint = try made.fingerprint
        #expect(again.status == 0 && again.output.contains("fingerprint  \(fingerprint)\n"))
        #expect(try ring() == made)

        try "{}".write(toFile: path, atomically: false, encoding: .utf8)
        let broken = try keyring("init", "--if-missing", path)
        #expect(broken.status == 78 && broken.output.isEmpty)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "{}")
    }

    @Test("rotate adds a key that signs later; until then the old one does")
    func rotate() throws {
        let old = try write([1_000])
        let rotated = try keyring("rotate", "--in", "2h", "--file", path, "--json")
        #expect(rotated.status == 0)
        let ring = try ring()
        let key = try #require(ring.keys.last)
        #expect(ring.keys.count == 2 && ring.keys[0] == old.keys[0])
        #expect((0...60).contains(key.activeFrom - now - 7_200))
        #expect(ring.signingKey(at: key.activeFrom - 1)?.kid == "k0")
        #expect(ring.signingKey(at: key.activeFrom) == key)
        let fields = try #require(try rotated.json() as? NSDictionary)
        #expect(fields["kid"] as? String == key.kid && fields["active_from"] as? Int64 == key.activeFrom.sinceEpoch)
        let fingerprint = try ring.fingerprint
        #expect(fields["signing"] as? String == "k0" && fields["fingerprint"] as? String == fingerprint)

        #expect(try keyring("rotate", "--in", "0", "--file", path).status == 0)
        #expect(try self.ring().signingKey(at: UnixSeconds(Int64(time(nil))))?.kid != "k0")
        // A day unless said otherwise.
        #expect(try keyring("rotate", "--file", path).status == 0)
        let day = try #require(try self.ring().keys.last)
        #expect((0...60).contains(day.activeFrom - now - 86_400))
    }

    @Test("rotate refuses a time that cannot be, and a full ring, and changes nothing")
    func rotateRefused() throws {
        let full = try write((0..<64).map { 1_000 - $0 })
        for (arguments, status) in [(["--in", "1h"], 5), (["--in", "999999999d"], 2), (["--in", "-1h"], 2)] {
            let result = try ControlProgram.run(["keyring", "rotate", "--file", path] + arguments)
            #expect(result.status == status && result.output.isEmpty && !result.errors.isEmpty)
        }
        #expect(try keyring("rotate", "--file", path).errors.contains("at most 64 keys: `tokencachectl keyring prune`"))
        #expect(try ring() == full)
    }

    @Test("list says what each key does, for people and for programs")
    func list() throws {
        _ = try write([2_000, 1_000, -3_600])
        let table = try keyring("list", "--file", path)
        let lines = table.output.split(separator: "\n").map(String.init)
        #expect(table.status == 0 && lines.count == 5)
        #expect(lines[0] == path)
        #expect(lines[1].hasPrefix("KID  CREATED") && lines[1].hasSuffix("STATE"))
        #expect(lines[2].hasPrefix("k0 ") && lines[2].hasSuffix(" verifies"))
        #expect(lines[3].hasPrefix("k1 ") && lines[3].hasSuffix(" signs"))
        #expect(lines[4].hasPrefix("k2 ") && lines[4].hasSuffix(" waits"))
        let json = try #require(try keyring("list", "--json", "--file", path).json() as? [NSDictionary])
        #expect(json.map { $0["kid"] as? String } == ["k0", "k1", "k2"])
        #expect(json.map { $0["state"] as? String } == ["verifies", "signs", "waits"])
        let times = [now - 2_000, now - 1_000, now + 3_600].map(\.sinceEpoch)
        #expect(json.map { $0["active_from"] as? Int64 } == times)
        #expect(json[0].count == 4)
    }

    @Test(
        "whatever is wrong with a ring is said with its path",
        arguments: ["", "{}", "{\"keys\":[]}", "{\"keys\":[{\"kid\":\"a b\"}]}"])
    func paths(text: String) throws {
        #expect(
            FileManager.default.createFile(
                atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]))
        for command in ["list", "check", "rotate", "prune"] {
            let result = try keyring(command, "--file", path)
            #expect(result.status == 78 && result.errors.contains(path), "\(command): \(result.errors)")
        }
    }

    @Test(
        "check shows the fingerprint; 1 where no key signs yet, and not two minutes before it does; 78 where a daemon would refuse the file"
    )
    func check() throws {
        let fingerprint = try write([10]).fingerprint
        let good = try keyring("check", "--file", path)
        #expect(good.status == 0 && good.output.contains("fingerprint  \(fingerprint)\n"))
        _ = try write([-3_600])
        let early = try keyring("check", "--file", path)
        #expect(early.status == 1 && early.output.contains("signing      none yet"))

        // The daemon seals with such a key: clocks differ.
        _ = try write([-60])
        let soon = try keyring("check", "--file", path)
        #expect(soon.status == 0 && soon.output.contains("signing      k0\n"))
        #expect(try keyring("list", "--file", path).output.contains(" signs\n"))

        chmod(path, 0o644)
        let open = try keyring("check", "--file", path)
        #expect(open.status == 78 && open.errors.contains("mode 0644") && open.errors.contains("chmod 600"))
        chmod(path, 0o600)
        try Data("{\"keys\":[{\"kid\":\"a\",\"key\":\"c2VjcmV0\"}]}".utf8).write(to: URL(fileURLWithPath: path))
        let broken = try keyring("check", "--file", path)
        #expect(broken.status == 78 && broken.errors.contains("keys[0] of the key ring: a value that is not allowed"))
        #expect(!broken.errors.contains("c2Vj"))
        #expect(try keyring("check", "--file", folder.path).status == 78)
        let missing = try keyring("check", "--file", folder.path + "/none")
        #expect(missing.status == 5 && missing.errors.contains("keyring init"))
    }

    @Test("prune removes what stopped signing longer ago than the longest lifetime, and nothing else")
    func prune() throws {
        // k0 stopped 401 days ago, k1 29 days, k2 signs, k3 waits.
        let ages: [Int64] = [500 * 86_400, 401 * 86_400, 29 * 86_400, -3_600]
        var ring = try write(ages)
        let pruned = try keyring("prune", "--file", path)
        #expect(pruned.status == 0 && pruned.output.contains("removed      k0\n"))
        #expect(pruned.output.contains("longest      400d, the most that can be configured: no daemon answers\n"))
        #expect(try self.ring() == KeyRing(keys: Array(ring.keys.dropFirst())))
        let again = try keyring("prune", "--file", path)
        #expect(again.status == 0 && again.output.contains("removed      nothing\n"))

        ring = try write(ages)
        let json = try keyring("prune", "--longest", "28d", "--json", "--file", path)
        let fields = try #require(try json.json() as? NSDictionary)
        #expect(fields["removed"] as? [String] == ["k0", "k1"] && fields["longest"] as? Int64 == 28 * 86_400)
        #expect(try self.ring().keys.map(\.kid) == ["k2", "k3"])

        _ = try write(ages)
        #expect(try keyring("prune", "--longest", "402d", "--file", path).output.contains("removed      nothing\n"))
    }

    @Test("prune goes by the lifetimes of the running daemon, the longest of them")
    func pruneByDaemon() throws {
        let lifetimes = [
            "guest.absolute": "30d", "guest.lifetime": "1h", "csrf.lifetime": "45d", "captcha.lifetime": "500ms",
        ]
        let server = try ScriptedServer { command in
            let key = command.last ?? ""
            return .reply("*2\r\n\(AnswerTests.bulk(key))\(AnswerTests.bulk(lifetimes[key] ?? ""))")
        }
        _ = try write([100 * 86_400, 50 * 86_400, 44 * 86_400, 10])
        let result = try ControlProgram.run(["--socket", server.path, "keyring", "prune", "--file", path])
        #expect(result.status == 0 && result.output.contains("longest      45d, as the daemon is configured\n"))
        #expect(result.output.contains("removed      k0\n"))
        #expect(server.commands.allSatisfy { $0.prefix(2) == ["CONFIG", "GET"] })
        // One that answers with half of it, or refuses, is as none.
        let silent = try ScriptedServer { command in
            command.last == "guest.absolute"
                ? .reply("*2\r\n\(AnswerTests.bulk("guest.absolute"))\(AnswerTests.bulk("90d"))") : .reply("*0\r\n")
        }
        let fallback = try ControlProgram.run(["--socket", silent.path, "keyring", "prune", "--file", path])
        #expect(fallback.output.contains("longest      400d, the most that can be configured"))
    }

    @Test("every subcommand says what to do without a file, and writes nothing")
    func missing() throws {
        for subcommand in ["rotate", "list", "check", "prune"] {
            let result = try keyring(subcommand, "--file", path)
            #expect(result.status == 5 && result.output.isEmpty)
            #expect(result.errors.contains("there is no key ring \(path): `tokencachectl keyring init` makes one"))
        }
        #expect(try folder.entries.isEmpty)
        #expect(try ControlProgram.run(["keyring"]).status == 2)
    }
}
