internal import WireProtocol

/// One command for Redis, already in the bytes that are sent, with the key it routes by.
public struct RedisCommand: Sendable {
    /// RESP, complete.
    let bytes: [UInt8]
    /// The key that decides which node of a cluster gets it; nil: any.
    public var key: [UInt8]? { keyRange.map { Array(bytes[$0]) } ?? separateKey }
    /// Where the key stands in the bytes, where that is known.
    private let keyRange: Range<Int>?
    private let separateKey: [UInt8]?

    /// Formats a command from its name and arguments, binary-safe.
    public init(_ arguments: [[UInt8]], key: [UInt8]? = nil) {
        bytes = RedisCommand.format(arguments)
        keyRange = nil
        separateKey = key
    }

    /// A command whose last argument is its key, which ends in the hexadecimal digits of `end`: those of `template` are
    /// written over. Formatting is most of what a command costs.
    public init(_ template: RedisCommand, keyEnd end: UnsafeRawBufferPointer) {
        var bytes = template.bytes
        // CR LF stand behind the key.
        let start = bytes.count - 2 - end.count * 2
        if start >= 0 {
            for (index, byte) in end.enumerated() {
                bytes[start + index * 2] = RedisCommand.digit(byte >> 4)
                bytes[start + index * 2 + 1] = RedisCommand.digit(byte & 15)
            }
        }
        self.bytes = bytes
        let length = template.key?.count ?? 0
        keyRange = max(0, bytes.count - 2 - length)..<max(0, bytes.count - 2)
        separateKey = nil
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? 48 + value : 87 + value }

    /// Formats a command given as words: `RedisCommand("PEXPIRE", key, "1000", key: key)`.
    public init(_ name: StaticString, _ arguments: any RedisArgument..., key: [UInt8]? = nil) {
        let name = name.withUTF8Buffer { Array($0) }
        self.init([name] + arguments.map(\.redisArgument), key: key)
    }

    /// A command is written as an array of bulk strings is. hiredis's `redisFormatCommandArgv` needs a `sprintf` for each
    /// argument.
    static func format(_ arguments: [[UInt8]]) -> [UInt8] {
        guard !arguments.isEmpty else { return [] }
        var writer = ReplyWriter(capacity: arguments.reduce(64) { $0 + $1.count + 16 })
        writer.array(arguments.count)
        for argument in arguments { argument.withUnsafeBytes { writer.bulk($0) } }
        return writer.withUnsafeBytes { Array($0) }
    }
}

/// What can stand in a command: bytes, text, whole numbers.
public protocol RedisArgument {
    var redisArgument: [UInt8] { get }
}

extension [UInt8]: RedisArgument {
    public var redisArgument: [UInt8] { self }
}

extension String: RedisArgument {
    public var redisArgument: [UInt8] { Array(utf8) }
}

extension Int: RedisArgument {
    public var redisArgument: [UInt8] { Array(String(self).utf8) }
}

extension Int64: RedisArgument {
    public var redisArgument: [UInt8] { Array(String(self).utf8) }
}

/// A Lua script that the link loads on every connection and runs by its digest.
public struct RedisScript: Sendable, Hashable {
    /// What the link knows it by, and names in the log.
    public let name: String
    public let source: [UInt8]

    public init(name: String, source: [UInt8]) {
        self.name = name
        self.source = source
    }

    public static func == (left: RedisScript, right: RedisScript) -> Bool { left.name == right.name }

    public func hash(into hasher: inout Hasher) { hasher.combine(name) }

    /// Bytes of a SHA-1 digest in hex, as `SCRIPT LOAD` answers it.
    static let digestLength = 40

    /// EVALSHA with room for the digest, which only Redis tells (`SCRIPT LOAD`), and where that room begins.
    static func formatCall(keys: [[UInt8]], arguments: [[UInt8]]) -> (bytes: [UInt8], digestOffset: Int) {
        let room = [UInt8](repeating: UInt8(ascii: "0"), count: digestLength)
        let words = [Array("EVALSHA".utf8), room, keys.count.redisArgument] + keys + arguments
        // "*N\r\n" "$7\r\nEVALSHA\r\n" "$40\r\n"
        return (RedisCommand.format(words), 3 + String(words.count).utf8.count + 13 + 5)
    }
}
