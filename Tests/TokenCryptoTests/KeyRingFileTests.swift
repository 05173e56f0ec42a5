import Foundation
import Glibc
import TestSupport
import Testing
import TokenCrypto

@Suite("The key ring's file")
struct KeyRingFileTests {
    let folder: TemporaryFolder
    let ring: KeyRing

    init() throws {
        folder = try TemporaryFolder()
        ring = try KeyRing(keys: [KeyRingTests.key("a", from: 0), KeyRingTests.key("b", from: 10)])
    }

    private func mode(_ path: String) -> mode_t {
        var facts = stat()
        return stat(path, &facts) == 0 ? facts.st_mode & 0o7777 : 0
    }

    @Test("what was written is read, and nothing is left beside it")
    func writtenIsRead() throws {
        let path = folder.file("keyring.json")
        try KeyRingFile.write(ring, path: path, mustBeNew: true)
        #expect(try KeyRingFile.load(path: path, isCredential: false) == ring)
        #expect(mode(path) == 0o600)
        let next = try ring.adding(KeyRingTests.key("c", from: 20))
        try KeyRingFile.write(next, path: path, mustBeNew: false)
        #expect(try KeyRingFile.load(path: path, isCredential: false) == next)
        #expect(mode(path) == 0o600)
        #expect(try folder.entries == ["keyring.json"])
    }

    @Test("a file that must be new replaces nothing, and leaves nothing behind")
    func mustBeNew() throws {
        let path = folder.file("keyring.json")
        try KeyRingFile.write(ring, path: path, mustBeNew: true)
        let before = try Data(contentsOf: URL(fileURLWithPath: path))
        let other = try KeyRing(keys: [KeyRingTests.key("z", from: 0)])
        #expect(throws: KeyRingError.exists(path: path)) {
            try KeyRingFile.write(other, path: path, mustBeNew: true)
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == before)
        #expect(try folder.entries == ["keyring.json"])
    }

    @Test("whoever reads while it is written again and again finds a whole ring")
    func readWhileWritten() async throws {
        let path = folder.file("keyring.json")
        let rings = [ring, try ring.adding(KeyRingTests.key("c", from: 20))]
        try KeyRingFile.write(ring, path: path, mustBeNew: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for round in 0..<60 { try KeyRingFile.write(rings[round % 2], path: path, mustBeNew: false) }
            }
            group.addTask {
                for _ in 0..<300 {
                    let found = try KeyRingFile.load(path: path, isCredential: false)
                    #expect(rings.contains(found))
                }
            }
            try await group.waitForAll()
        }
        #expect(try folder.entries == ["keyring.json"])
    }

    @Test(
        "a file that group or others have rights to is refused, unless it is a credential",
        arguments: [0o604, 0o644, 0o660, 0o602, 0o620, 0o666, 0o777, 0o444, 0o610] as [mode_t])
    func rightsOfOthers(mode: mode_t) throws {
        let path = folder.file("keyring.json")
        try KeyRingFile.write(ring, path: path, mustBeNew: true)
        chmod(path, mode)
        #expect(throws: KeyRingError.exposed(path: path, mode: UInt32(mode))) {
            try KeyRingFile.load(path: path, isCredential: false)
        }
        #expect(try KeyRingFile.load(path: path, isCredential: true) == ring)
        for allowed in [0o600, 0o400, 0o700, 0o640, 0o440] as [mode_t] {
            chmod(path, allowed)
            #expect(try KeyRingFile.load(path: path, isCredential: false) == ring)
        }
    }

    @Test("a group that this process is not in must not read it; another user's is refused, but for an administrator")
    func foreignGroupAndUser()
        throws
    {
        // Only root can give files away; CI and containers run as root.
        guard geteuid() == 0 else { return }
        let path = folder.file("keyring.json")
        try KeyRingFile.write(ring, path: path, mustBeNew: true)
        #expect(chown(path, 0, 12_346) == 0 && chmod(path, 0o640) == 0)
        #expect(throws: KeyRingError.exposed(path: path, mode: 0o640)) {
            try KeyRingFile.load(path: path, isCredential: false)
        }
        #expect(chown(path, 12_345, 12_346) == 0)
        #expect(throws: KeyRingError.foreign(path: path, user: 12_345)) {
            try KeyRingFile.load(path: path, isCredential: false)
        }
        #expect(try KeyRingFile.load(path: path, isCredential: false, byAdministrator: true) == ring)
        // Whoever may read it may read the next one.
        try KeyRingFile.write(ring, path: path, mustBeNew: false)
        var facts = stat()
        #expect(stat(path, &facts) == 0 && facts.st_mode & 0o7777 == 0o640 && facts.st_gid == 12_346)
    }

    @Test("a ring is written neither through a link nor into a folder that everybody may write to")
    func linksAndOpenFolders() throws {
        let elsewhere = folder.file("elsewhere")
        try KeyRingFile.write(ring, path: elsewhere, mustBeNew: true)
        #expect(symlink(elsewhere, folder.file("keyring.json")) == 0)
        #expect(throws: KeyRingError.notRegular(path: folder.file("keyring.json"))) {
            try KeyRingFile.write(ring, path: folder.file("keyring.json"), mustBeNew: false)
        }
        unlink(folder.file("keyring.json"))
        chmod(folder.path, 0o777)
        let error = #expect(throws: KeyRingError.self) {
            try KeyRingFile.write(ring, path: folder.file("keyring.json"), mustBeNew: true)
        }
        #expect("\(error.map(String.init(describing:)) ?? "")".contains("its mode 0777"))
    }

    @Test("what is not there is missing, which is another error than what cannot be read")
    func missingFile() throws {
        #expect(throws: KeyRingError.missing(path: folder.file("keyring.json"))) {
            try KeyRingFile.load(path: folder.file("keyring.json"), isCredential: false)
        }
        #expect(throws: KeyRingError.notRegular(path: folder.path)) {
            try KeyRingFile.load(path: folder.path, isCredential: true)
        }
        let below = folder.file("keyring.json") + "/below"
        try Data().write(to: URL(fileURLWithPath: folder.file("keyring.json")))
        let error = #expect(throws: KeyRingError.self) { try KeyRingFile.load(path: below, isCredential: false) }
        #expect("\(error.map(String.init(describing:)) ?? "")".hasSuffix("Not a directory"))
    }

    @Test("a pipe or a device is refused without waiting for it", .timeLimit(.minutes(10)))
    func pipeOrDevice() throws {
        #expect(mkfifo(folder.file("keyring.json"), 0o600) == 0)
        for path in [folder.file("keyring.json"), "/dev/zero"] {
            #expect(throws: KeyRingError.notRegular(path: path)) {
                try KeyRingFile.load(path: path, isCredential: true)
            }
        }
        #expect(throws: KeyRingError.notRegular(path: folder.file("keyring.json"))) {
            try KeyRingFile.write(ring, path: folder.file("keyring.json"), mustBeNew: false)
        }
        #expect(try folder.entries == ["keyring.json"])
    }

    @Test("a file longer than any ring is refused")
    func tooLong() throws {
        let path = folder.file("keyring.json")
        try KeyRingFile.write(ring, path: path, mustBeNew: true)
        let text = ring.encoded()
        try Data(text + [UInt8](repeating: 0x20, count: 65_536 - text.count)).write(to: URL(fileURLWithPath: path))
        chmod(path, 0o600)
        #expect(try KeyRingFile.load(path: path, isCredential: false) == ring)
        try Data(text + [UInt8](repeating: 0x20, count: 65_537 - text.count)).write(to: URL(fileURLWithPath: path))
        #expect(throws: KeyRingError.tooLong) { try KeyRingFile.load(path: path, isCredential: false) }
        try Data().write(to: URL(fileURLWithPath: path))
        #expect(throws: KeyRingError.self) { try KeyRingFile.load(path: path, isCredential: false) }
    }

    @Test("where nothing can be written the error says so")
    func nothingCanBeWritten() throws {
        let path = folder.file("no/such/folder/keyring.json")
        let error = #expect(throws: KeyRingError.self) {
            try KeyRingFile.write(ring, path: path, mustBeNew: true)
        }
        let text = "\(error.map(String.init(describing:)) ?? "")"
        #expect(text.contains(path) && text.hasSuffix("No such file or directory"))
    }

    @Test("root's change of another user's ring leaves it that user's")
    func ownerIsKept() throws {
        // Only root can give files away; CI and containers run as root.
        guard geteuid() == 0 else { return }
        let path = folder.file("keyring.json")
        try KeyRingFile.write(ring, path: path, mustBeNew: true)
        #expect(chown(path, 12_345, 12_346) == 0)
        try KeyRingFile.write(ring, path: path, mustBeNew: false)
        var facts = stat()
        #expect(stat(path, &facts) == 0)
        #expect(facts.st_uid == 12_345 && facts.st_gid == 12_346 && facts.st_mode & 0o7777 == 0o600)
    }
}
