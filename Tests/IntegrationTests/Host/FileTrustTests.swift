import Foundation
import TestSupport
import Testing

/// Files that somebody else put there, or can change. Only root can give files away, as a CI container can.
@Suite("Files of others", .parallel, .enabled(if: getuid() == 0))
struct FileTrustTests {
    private static let stranger: uid_t = 12_345

    private func withFolder(_ body: (Stage, String) throws -> Void) throws {
        let stage = try Stage()
        let folder = try stage.folder.folder("place")
        // A stranger could have come here.
        for path in [stage.folder.path, folder] { chmod(path, 0o755) }
        try body(stage, folder)
        let problems = stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    /// Starts a daemon with these paths, which must refuse, and returns what it said.
    private func refusal(
        _ stage: Stage, _ arguments: [String], status: Int32 = 69, name: String = "refused"
    ) throws -> String {
        let child = try ChildProcess(Daemon.program, arguments, name: name, folder: stage.folder.folder("run"))
        #expect(try child.wait() == .exited(status), "\(child.errors)")
        return child.errors
    }

    private func embedded(_ folder: String, state: String) -> [String] {
        ["--socket", "\(folder)/t.sock", "--state-dir", state, "--redis", "embedded"]
    }

    @Test("a planted redis.log that links to a file of root's is not written through")
    func plantedLog() throws {
        try withFolder { stage, folder in
            let victim = "\(folder)/victim"
            try Data("precious\n".utf8).write(to: URL(filePath: victim))
            for name in ["redis.log", "lock"] {
                let state = "\(folder)/state-\(name)"
                mkdir(state, 0o700)
                mkdir("\(state)/redis", 0o700)
                #expect(symlink(victim, "\(state)/redis/\(name)") == 0)
                let said = try refusal(stage, embedded(folder, state: state), name: name)
                #expect(said.contains("\(state)/redis/\(name) is not used"), "\(said)")
                #expect(try String(contentsOfFile: victim, encoding: .utf8) == "precious\n")
            }
        }
    }

    @Test(
        "a state directory, or a folder redis in it, that is a stranger's, a stranger's link, or open to all is refused"
    )
    func strangersFolders() throws {
        try withFolder { stage, folder in
            let elsewhere = "\(folder)/elsewhere"
            mkdir(elsewhere, 0o700)
            for (index, isInner) in [false, true].enumerated() {
                func place(_ kind: String) throws -> (state: String, judged: String) {
                    let state = "\(folder)/\(kind)\(index)"
                    if isInner { mkdir(state, 0o700) }
                    return (state, isInner ? "\(state)/redis" : state)
                }
                let foreign = try place("foreign")
                mkdir(foreign.judged, 0o700)
                chown(foreign.judged, Self.stranger, Self.stranger)
                let foreignSaid = try refusal(stage, embedded(folder, state: foreign.state), name: "a\(index)")
                #expect(
                    foreignSaid.contains("\(foreign.judged) is not used: it belongs to user 12345"), "\(foreignSaid)")

                let link = try place("link")
                #expect(symlink(elsewhere, link.judged) == 0)
                lchown(link.judged, Self.stranger, Self.stranger)
                let linkSaid = try refusal(stage, embedded(folder, state: link.state), name: "b\(index)")
                #expect(linkSaid.contains("it is a symbolic link of user 12345"), "\(linkSaid)")

                let open = try place("open")
                mkdir(open.judged, 0o700)
                chmod(open.judged, 0o777)
                let openSaid = try refusal(stage, embedded(folder, state: open.state), name: "c\(index)")
                #expect(openSaid.contains("its mode 0777 gives rights to others"), "\(openSaid)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: elsewhere) == [])
        }
    }

    @Test("a socket is not made in a folder that is a stranger's or open to all, but in one like /tmp")
    func socketFolders() throws {
        try withFolder { stage, folder in
            let place = "\(folder)/sockets"
            mkdir(place, 0o755)
            let arguments = ["--socket", "\(place)/t.sock", "--state-dir", "\(folder)/state", "--redis", "embedded"]
            chown(place, Self.stranger, Self.stranger)
            #expect(
                try refusal(stage, arguments, name: "a").contains("its folder is not used: it belongs to user 12345"))
            chown(place, 0, 0)
            chmod(place, 0o777)
            #expect(try refusal(stage, arguments, name: "b").contains("its folder is not used: its mode 0777"))
            chmod(place, 0o1777)
            let child = try ChildProcess(Daemon.program, arguments, name: "c", folder: stage.folder.folder("run"))
            let client = try eventually("the daemon") { try? RESPClient(path: "\(place)/t.sock", book: stage.book) }
            _ = try eventually("service") { try? client.issue() }
            child.signal(SIGTERM)
            #expect(try child.wait() == .exited(0))
        }
    }

    @Test("what the embedded Redis makes is for the daemon's user alone, whatever umask the daemon was started with")
    func umask() throws {
        try withWorld(.embedded, launcher: ["/bin/sh", "-c", "umask 0; exec \"$0\" \"$@\""]) { world in
            _ = try world.client().issue()
            let walk = try #require(FileManager.default.enumerator(atPath: world.daemon.stateFolder))
            var seen = 0
            while let name = walk.nextObject() as? String {
                let mode = try #require(walk.fileAttributes?[.posixPermissions] as? Int)
                #expect(mode & 0o077 == 0, "\(name) has mode \(String(mode, radix: 8))")
                seen += 1
            }
            #expect(seen > 4)
        }
    }

    @Test(
        "whoever owns a folder above the state folder cannot lead an embedded Redis elsewhere: the open folder counts")
    func swappedState() throws {
        try withFolder { stage, folder in
            let (state, moved) = ("\(folder)/above/state", "\(folder)/above/moved")
            let arguments = ["--socket", "\(folder)/t.sock", "--state-dir", state, "--redis", "embedded"]
            let child = try ChildProcess(Daemon.program, arguments, name: "swap", folder: stage.folder.folder("run"))
            let client = try eventually("the daemon") { try? RESPClient(path: "\(folder)/t.sock", book: stage.book) }
            let token = try eventually("service") { try? client.issue() }
            #expect(rename(state, moved) == 0 && mkdir(state, 0o700) == 0 && mkdir("\(state)/redis", 0o700) == 0)
            let server = try #require(Leftovers.below("\(moved)/redis").first, "it lives in the folder that was moved")
            kill(server.pid, SIGKILL)
            _ = try eventually("another server") {
                Leftovers.below("\(moved)/redis").contains { $0.pid != server.pid } ? true : nil
            }
            _ = try eventually("the same session") { try? client.validate(token).isAccepted ? true : nil }
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(state)/redis") == [])
            child.signal(SIGTERM)
            #expect(try child.wait() == .exited(0))
        }
    }

    @Test("--check-config judges the file of audit.target, and makes none")
    func auditTarget() throws {
        try withFolder { stage, folder in
            let arguments = ["--socket", "\(folder)/t.sock", "--state-dir", folder, "--redis", "embedded"]
            func check(_ path: String, _ name: String) throws -> (exit: ProcessEnd, said: String) {
                let words = arguments + ["--set", "audit.target=file:\(path)", "--check-config"]
                let check = try ChildProcess(Daemon.program, words, name: name, folder: stage.folder.folder("run"))
                return (try check.wait(), check.errors)
            }
            let path = "\(folder)/trail"
            #expect(try check(path, "a").exit == .exited(0))
            #expect(!FileManager.default.fileExists(atPath: path), "a check makes nothing")
            #expect(try check("\(folder)/missing/trail", "b").exit == .exited(78))
            #expect(FileManager.default.createFile(atPath: path, contents: Data()))
            #expect(try check(path, "c").exit == .exited(0))
            chown(path, Self.stranger, Self.stranger)
            let foreign = try check(path, "d")
            #expect(foreign.exit == .exited(78))
            #expect(
                foreign.said.contains("audit.target: \(path) is not used: it belongs to user 12345"), "\(foreign.said)")
        }
    }

    @Test("a key ring or password file that is a stranger's, or that others or another group can read, is refused")
    func strangersSecrets() throws {
        try withFolder { stage, folder in
            let ring = try stage.keyRing()
            let password = "\(folder)/password"
            try Data("secret-word\n".utf8).write(to: URL(filePath: password))
            let server = try stage.addRedis()
            let arguments = [
                "--socket", "\(folder)/t.sock", "--state-dir", folder, "--redis", server.url,
                "--set", "keyring.file=\(ring)", "--set", "redis.password-file=\(password)",
            ]
            func tries(_ path: String, _ owner: uid_t, _ group: gid_t, _ mode: mode_t, _ name: String) throws {
                chown(path, owner, group)
                chmod(path, mode)
                let check = try ChildProcess(
                    Daemon.program, arguments + ["--check-config"], name: name, folder: stage.folder.folder("run"))
                #expect(try check.wait() == .exited(78))
                #expect(
                    check.errors.contains(owner == 0 ? "0\(String(mode, radix: 8))" : "user 12345"), "\(check.errors)")
                #expect(!check.errors.contains("secret-word"))
                chown(path, 0, 0)
                chmod(path, 0o600)
            }
            for (index, path) in [ring, password].enumerated() {
                chmod(password, 0o600)
                try tries(path, Self.stranger, 0, 0o600, "a\(index)")
                try tries(path, 0, 12_345, 0o640, "b\(index)")
                try tries(path, 0, 0, 0o604, "c\(index)")
                try tries(path, 0, 0, 0o620, "d\(index)")
            }
        }
    }

    @Test("secrets that an orchestrator hands over by links, readable for a group of the daemon, are used")
    func linkedSecrets() throws {
        try withFolder { stage, folder in
            // As Kubernetes lays them out: name → ..data/name, ..data → ..2026.
            let ring = try stage.keyRing()
            mkdir("\(folder)/..2026", 0o755)
            try FileManager.default.moveItem(atPath: ring, toPath: "\(folder)/..2026/keyring")
            #expect(symlink("..2026", "\(folder)/..data") == 0)
            #expect(symlink("..data/keyring", "\(folder)/keyring") == 0)
            chown("\(folder)/..2026/keyring", 0, 12_345)
            chmod("\(folder)/..2026/keyring", 0o440)
            let launcher = ["setpriv", "--groups", "12345"]
            let daemon = try stage.addDaemon(
                .redis(stage.addRedis()), settings: ["keyring.file": "\(folder)/keyring"], launcher: launcher)
            #expect(try daemon.client().call("GUEST.ISSUE").errorText == nil)
        }
    }
}
