import Foundation
import Synchronization

/// Sees everything that a Redis is told, for as long as it lives: MONITOR into a file, and at the end SLOWLOG, INFO
/// and every key that is left. A Redis that is killed and comes back is watched again.
final class RedisWitness: Sendable {
    private let socket: String
    private let folder: String
    private let name: String
    private let login: [String]
    private let marker = "end-of-record-\(UInt64.random(in: 0...UInt64.max))"
    private let sawMarker = Atomic<Bool>(false)
    private let isConnected = Atomic<Bool>(false)
    private let watching = Mutex<Background?>(nil)

    /// Writes `<name>.monitor`, `<name>.slowlog` and `<name>.info` into the folder.
    /// - Parameter login: the command that gives it its rights; empty where it has them.
    init(socket: String, folder: String, name: String, login: [String] = []) throws {
        self.login = login
        self.socket = socket
        self.folder = folder
        self.name = name
        let path = "\(folder)/\(name).monitor"
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { throw HarnessFailure("cannot write \(path)") }
        let open = Mutex<Wire?>(nil)
        let background = Background { [weak self] in
            guard let self else { return }
            open.withLock { self.record($0.take(), into: file, keep: &$0) }
        }
        watching.withLock { $0 = background }
        _ = try eventually("MONITOR on \(name)") { isConnected.load(ordering: .acquiring) ? true : nil }
    }

    deinit {
        try? watching.withLock { $0 }?.stop()
    }

    /// One turn: connects if there is no connection, else writes down what came.
    private func record(_ current: Wire?, into file: FileHandle, keep: inout Wire?) {
        guard var wire = current else {
            guard var wire = try? Wire(path: socket) else { return letPass(.milliseconds(5)) }
            let deadline = Deadline(in: .seconds(2))
            let isKnown =
                login.isEmpty
                || (try? wire.send(RESPClient.encode(login.map { Array($0.utf8) }), deadline)) != nil
                    && (try? wire.readLine(deadline)) == "+OK"
            let isWatching =
                isKnown && (try? wire.send(Array("MONITOR\r\n".utf8), deadline)) != nil
                && (try? wire.readLine(deadline)) == "+OK"
            if isWatching {
                isConnected.store(true, ordering: .releasing)
                keep = wire
            } else {
                wire.end()
                letPass(.milliseconds(20))
            }
            return
        }
        do {
            let bytes = try wire.readSome(Deadline(in: .milliseconds(50)))
            if bytes == [] { throw HarnessFailure("closed") }
            if let bytes {
                try file.write(contentsOf: Data(bytes))
                // The tail is looked at, not the piece: the marker may come in two.
                if Data(bytes).range(of: Data(marker.utf8)) != nil { sawMarker.store(true, ordering: .releasing) }
            }
            keep = wire
        } catch {
            wire.end()
            isConnected.store(false, ordering: .releasing)
        }
    }

    /// Asks for what Redis itself has kept, and waits until the record is complete. Returns what is wrong with the keys.
    func finish(prefix: String) throws -> [String] {
        let client = try RESPClient(path: socket, limit: .seconds(10))
        if !login.isEmpty { _ = try client.call(login) }
        let violations = try KeyAudit.violations(client, prefix: prefix)
        let slow = try client.call("SLOWLOG", "GET", "-1")
        var text: [UInt8] = []
        for string in slow.strings { text += string + [10] }
        try Data(text).write(to: URL(fileURLWithPath: "\(folder)/\(name).slowlog"))
        let info = try client.call("INFO", "everything").text ?? ""
        try Data(info.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(name).info"))
        if isConnected.load(ordering: .acquiring) {
            for _ in 0..<2 where !sawMarker.load(ordering: .acquiring) {
                _ = try client.call("ECHO", marker)
                _ = try? eventually(within: .seconds(5), "the record's end") {
                    sawMarker.load(ordering: .acquiring) ? true : nil
                }
            }
            guard sawMarker.load(ordering: .acquiring) else { throw HarnessFailure("MONITOR on \(name) fell behind") }
        }
        try stop()
        return violations
    }

    func stop() throws {
        try watching.withLock { watching in
            try watching?.stop()
            watching = nil
        }
    }
}

/// What must be true of every key at every moment: S9, and that nothing lives outside the prefix.
public enum KeyAudit {
    /// One complaint for each key that lacks a TTL or has another prefix. A key that expires meanwhile is fine.
    public static func violations(_ redis: RESPClient, prefix: String) throws -> [String] {
        let keys = try allKeys(redis)
        let lifetimes = try redis.pipeline(keys.map { ["PTTL", $0] })
        return zip(keys, lifetimes).compactMap { key, lifetime in
            if !key.hasPrefix(prefix) { return "key outside of \(prefix): \(key.debugDescription)" }
            // A mark of a move is for good.
            guard !key.dropFirst(prefix.count).hasPrefix("d:moved") else { return nil }
            return lifetime == .integer(-1) ? "S9: no TTL on \(key.debugDescription)" : nil
        }
    }

    public static func allKeys(_ redis: RESPClient) throws -> [String] {
        var keys: Set<String> = []
        var cursor = "0"
        repeat {
            let page = try redis.call("SCAN", cursor, "COUNT", "500")
            guard let parts = page.elements, parts.count == 2, let next = parts[0].text, let found = parts[1].elements
            else { throw HarnessFailure("SCAN answered \(page)") }
            keys.formUnion(found.compactMap(\.text))
            cursor = next
        } while cursor != "0"
        return keys.sorted()
    }

    /// Without what daemons write for themselves: beats and marks.
    public static func keysOfUsers(_ redis: RESPClient) throws -> [String] {
        try allKeys(redis).filter { !isOfDaemons($0) }
    }

    /// A beat, or the marks of the daemons.
    public static func isOfDaemons(_ key: String) -> Bool { isBeat(key) || key.hasSuffix("d:marks") }

    /// The key of a beat: the prefix of sessions, `~` and a number.
    public static func isBeat(_ key: String) -> Bool { key.contains("s:~") }
}
