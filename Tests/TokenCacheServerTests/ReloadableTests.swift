import Foundation
import Logging
import TestSupport
import Testing
import TokenCache
import Tokens
import WireProtocol

@testable import TokenCacheServer

@Suite("What a reload changes")
struct ReloadableTests {
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func refusal(_ settings: Settings, isKeyRingInForce: Bool = false) -> String? {
        do throws(Reloadable.Refusal) {
            try Reloadable(settings, isKeyRingInForce: isKeyRingInForce, logger: logger).audit.close()
            return nil
        } catch { return error.description }
    }

    @Test("is made from the settings, each part in the form in which it is used")
    func whole() throws {
        var settings = Settings()
        settings.rotation.onReplay = .revoke
        settings.limits.maxBulk = 4096
        settings.binding.ip = .log
        settings.access.defaultRole = .validator
        settings.resolved.users = [7: .admin]
        let new = try Reloadable(settings, isKeyRingInForce: false, logger: logger)
        #expect(new.policy.onReplay == .revoke && new.statelessPolicy.bindings.ip == .log)
        #expect(new.limits.maxBulk == 4096 && new.limits.maxRequest == 1 << 20)
        #expect(new.access.everyone == .validator && new.access.users == [7: .admin])
        #expect(new.keys == nil)
    }

    @Test("a file that cannot be used is named, and nothing is made of the rest")
    func refused() throws {
        let folder = try TemporaryFolder()
        var settings = Settings()
        settings.audit.target = .file("\(folder.path)/none/audit.jsonl")
        #expect(refusal(settings)?.hasPrefix("audit.target: \(folder.path)/none/audit.jsonl is not used: ") == true)
        settings.audit.target = .off
        settings.keyring.file = folder.file("ring.json")
        #expect(refusal(settings) == nil)
        #expect(refusal(settings, isKeyRingInForce: true)?.contains("ring.json") == true)
        try Data("{".utf8).write(to: URL(filePath: settings.keyring.file))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: settings.keyring.file)
        #expect(refusal(settings)?.hasPrefix("\(settings.keyring.file): ") == true)
    }
}
