import Foundation
import TestSupport

/// Redis's append-only file, as the count of what was written: a script's effects stand in it as one transaction.
enum AppendLog {
    /// The commands of each write, in order, but for the beats. Redis brings them to the file before it answers.
    static func writes(in folder: String) throws -> [[String]] {
        var bytes: [UInt8] = []
        let below = FileManager.default.enumerator(atPath: folder)
        while let name = below?.nextObject() as? String {
            guard name.hasSuffix(".incr.aof") else { continue }
            bytes += Array(FileManager.default.contents(atPath: "\(folder)/\(name)") ?? Data())
        }
        var writes: [[String]] = []
        var transaction: [String]?
        for command in commands(bytes) {
            switch command {
            case "SELECT": continue
            case "MULTI": transaction = []
            case "EXEC":
                if let transaction, !transaction.isEmpty { writes.append(transaction) }
                transaction = nil
            default:
                if transaction == nil { writes.append([command]) } else { transaction?.append(command) }
            }
        }
        return writes
    }

    /// The first word of each command, upper case. An incomplete one at the end is left out, and so are beats and marks.
    private static func commands(_ bytes: [UInt8]) -> [String] {
        var names: [String] = []
        var position = 0
        func number() -> Int? {
            var value = 0
            position += 1
            while position < bytes.count, bytes[position] != 13 {
                value = value * 10 + Int(bytes[position]) - 48
                position += 1
            }
            position += 2
            return position <= bytes.count ? value : nil
        }
        while position < bytes.count, bytes[position] == UInt8(ascii: "*"), let count = number() {
            for index in 0..<count {
                guard let length = number(), position + length + 2 <= bytes.count else { return names }
                let word = String(decoding: bytes[position..<position + length], as: UTF8.self)
                if index == 0 { names.append(word.uppercased()) }
                if index == 1, KeyAudit.isOfDaemons(word) { names.removeLast() }
                position += length + 2
            }
        }
        return names
    }
}
