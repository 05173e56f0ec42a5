import Synchronization

/// A blocking client for RESP2 and RESP3 over a Unix socket, written for the tests alone: it shares no code with the
/// daemon, so that both cannot be wrong in the same way.
///
/// One call at a time, enforced by a lock; every call has a time limit. What looks like a session token, in a command
/// or in a reply, goes into the secret book.
public final class RESPClient: Sendable {
    private let wire: Mutex<Wire>
    private let book: SecretBook?
    private let limit: Duration
    /// Of a cluster's server: the other masters, by their ports.
    private let mates: [Int: RESPClient]

    /// - Parameter mates: by their ports: what is theirs goes to them, and what is of all goes to all.
    public init(
        path: String, book: SecretBook? = nil, limit: Duration = .seconds(20), mates: [Int: RESPClient] = [:]
    ) throws {
        wire = Mutex(try Wire(path: path))
        self.book = book
        self.limit = limit
        self.mates = mates
    }

    deinit {
        wire.withLock { $0.end() }
    }

    // MARK: commands

    public func call(_ arguments: String...) throws -> RESPValue {
        try call(arguments)
    }

    public func call(_ arguments: [String]) throws -> RESPValue {
        try call(bytes: arguments.map { Array($0.utf8) })
    }

    public func call(bytes arguments: [[UInt8]]) throws -> RESPValue {
        note(arguments)
        guard !mates.isEmpty else { return try ask(arguments) }
        if let answer = try callAll(arguments) { return answer }
        let reply = try ask(arguments)
        guard let port = reply.errorText?.split(separator: ":").last.flatMap({ Int($0) }), let mate = mates[port],
            reply.errorCode == "MOVED"
        else { return reply }
        return try mate.call(bytes: arguments)
    }

    /// What each master of a cluster answers; one server's answer alone elsewhere.
    public func callEach(_ arguments: String...) throws -> [RESPValue] {
        try ([self] + mates.values).map { try $0.ask(arguments.map { Array($0.utf8) }) }
    }

    /// Calls of each command since the last reset of statistics, those within scripts included; of a cluster those of all
    /// masters together.
    public func commandCalls() throws -> [String: Int] {
        let pages = try callEach("INFO", "commandstats").map { $0.text ?? "" }
        var calls: [String: Int] = [:]
        for line in pages.joined().split(whereSeparator: \.isNewline) where line.hasPrefix("cmdstat_") {
            let parts = line.dropFirst("cmdstat_".count).split(separator: ":")
            guard parts.count == 2, let count = parts[1].split(separator: ",").first?.split(separator: "=").last else {
                continue
            }
            calls[String(parts[0]), default: 0] += Int(count) ?? 0
        }
        return calls
    }

    private func ask(_ arguments: [[UInt8]]) throws -> RESPValue {
        try wire.withLock { wire in
            let deadline = Deadline(in: limit)
            try wire.send(Self.encode(arguments), deadline)
            return try read(&wire, deadline)
        }
    }

    /// What is asked of all masters.
    /// - Returns: nil where one of them has the answer.
    private func callAll(_ arguments: [[UInt8]]) throws -> RESPValue? {
        let name = arguments.first.map { String(decoding: $0, as: UTF8.self).uppercased() } ?? ""
        let all = { try [self.ask(arguments)] + self.mates.values.map { try $0.call(bytes: arguments) } }
        switch name {
        case "KEYS": return .array(try all().flatMap { $0.elements ?? [] })
        case "DBSIZE":
            return .integer(try all().reduce(0) { if case .integer(let count) = $1 { $0 + count } else { $0 } })
        // A page of all of them, however many that are.
        case "SCAN":
            return .array([.bulk([0x30]), .array(try ([self] + mates.values).flatMap { try $0.ownKeys() })])
        case "FLUSHALL", "SCRIPT", "CONFIG", "CLIENT", "DEBUG", "SLOWLOG", "ACL", "BGSAVE": return try all().first
        default: return nil
        }
    }

    private func ownKeys() throws -> [RESPValue] {
        var (keys, cursor): ([RESPValue], String) = ([], "0")
        repeat {
            let page = try ask(["SCAN", cursor, "COUNT", "500"].map { Array($0.utf8) })
            guard let parts = page.elements, parts.count == 2, let next = parts[0].text, let found = parts[1].elements
            else { throw HarnessFailure("SCAN answered \(page)") }
            (keys, cursor) = (keys + found, next)
        } while cursor != "0"
        return keys
    }

    /// A command whose answer is a domain reply; an error reply is thrown.
    public func fields(_ arguments: String...) throws -> Fields {
        try fields(arguments)
    }

    public func fields(_ arguments: [String]) throws -> Fields {
        let reply = try call(arguments)
        if let error = reply.errorText { throw HarnessFailure("\(arguments.first ?? "?"): \(error)") }
        return try Fields(reply)
    }

    /// All commands in one write, then all replies in order.
    public func pipeline(_ commands: [[String]]) throws -> [RESPValue] {
        guard mates.isEmpty else { return try commands.map { try call($0) } }
        var bytes: [UInt8] = []
        for command in commands {
            let arguments = command.map { Array($0.utf8) }
            note(arguments)
            bytes += Self.encode(arguments)
        }
        return try wire.withLock { wire in
            let deadline = Deadline(in: limit)
            try wire.send(bytes, deadline)
            return try commands.map { _ in try read(&wire, deadline) }
        }
    }

    /// Sends a command and does not wait for the answer.
    public func send(_ arguments: String...) throws { try send(arguments) }

    public func send(_ arguments: [String]) throws {
        let bytes = arguments.map { Array($0.utf8) }
        note(bytes)
        try sendRaw(Self.encode(bytes))
    }

    // MARK: bytes

    public func sendRaw(_ bytes: [UInt8], readingMeanwhile: Bool = true, limit: Duration? = nil) throws {
        try wire.withLock {
            try $0.send(bytes, Deadline(in: limit ?? self.limit), readingMeanwhile: readingMeanwhile)
        }
    }

    public func sendRaw(_ text: String) throws { try sendRaw(Array(text.utf8)) }

    public func readExactly(_ count: Int) throws -> [UInt8] {
        try wire.withLock { try $0.readExactly(count, Deadline(in: limit)) }
    }

    public func readReply(limit: Duration? = nil) throws -> RESPValue {
        try wire.withLock { try read(&$0, Deadline(in: limit ?? self.limit)) }
    }

    /// The rest of the stream, whose end must come within `limit`.
    public func readToEnd(limit: Duration? = nil) throws -> [UInt8] {
        try wire.withLock { try $0.readToEnd(Deadline(in: limit ?? self.limit)) }
    }

    /// Whether anything arrives within `limit` (the end of the stream does not count).
    public func hasInput(within limit: Duration) throws -> Bool {
        try wire.withLock { try $0.hasInput(limit) }
    }

    /// Ends the connection and waits until the server has let go of it: it counts it no more. A closed descriptor alone
    /// may live on for a moment in a process that is just being started beside.
    public func quit() {
        _ = try? call("QUIT")
        _ = try? readToEnd()
    }

    public func endSending() { wire.withLock { $0.endSending() } }
    public func shrinkReceiveBuffer() { wire.withLock { $0.shrinkReceiveBuffer() } }

    public static func encode(_ arguments: [[UInt8]]) -> [UInt8] {
        var bytes = Array("*\(arguments.count)\r\n".utf8)
        for argument in arguments {
            bytes += Array("$\(argument.count)\r\n".utf8) + argument + [13, 10]
        }
        return bytes
    }

    public static func encode(_ arguments: String...) -> [UInt8] { encode(arguments.map { Array($0.utf8) }) }

    // MARK: replies

    private func note(_ strings: [[UInt8]]) {
        guard let book else { return }
        for string in strings { book.note(string) }
        book.noteSolutions(in: strings)
    }

    private func read(_ wire: inout Wire, _ deadline: Deadline) throws -> RESPValue {
        let reply = try Self.parse(&wire, deadline, depth: 0)
        if let book {
            note(reply.strings)
            if let error = reply.errorText { book.noteError(error) }
        }
        return reply
    }

    private static func parse(_ wire: inout Wire, _ deadline: Deadline, depth: Int) throws -> RESPValue {
        guard depth < 16 else { throw HarnessFailure("reply nested too deeply") }
        let line = try wire.readLine(deadline)
        let rest = String(line.dropFirst())
        func length() throws -> Int {
            guard let length = Int(rest), length >= -1, length < 1 << 28 else {
                throw HarnessFailure("bad length: \(line)")
            }
            return length
        }
        func elements(_ count: Int) throws -> [RESPValue] {
            try (0..<max(0, count)).map { _ in try parse(&wire, deadline, depth: depth + 1) }
        }
        func payload(_ count: Int) throws -> [UInt8] {
            let bytes = try wire.readExactly(count, deadline)
            guard try wire.readExactly(2, deadline) == [13, 10] else { throw HarnessFailure("no CRLF after a bulk") }
            return bytes
        }
        switch line.first {
        case "+": return .simple(rest)
        case "-": return .error(rest)
        case ":":
            guard let number = Int(rest) else { throw HarnessFailure("bad integer: \(line)") }
            return .integer(number)
        case "$": return try length() < 0 ? .null : .bulk(payload(length()))
        case "=": return .verbatim(Array(try payload(length()).dropFirst(4)))
        case "*": return try length() < 0 ? .null : .array(elements(length()))
        case "~": return .set(try elements(length()))
        case ">": return .push(try elements(length()))
        case "%":
            let flat = try elements(length() * 2)
            return .map(stride(from: 0, to: flat.count, by: 2).map { .init(key: flat[$0], value: flat[$0 + 1]) })
        case "_": return .null
        case "#": return .boolean(rest == "t")
        case ",": return .double(rest)
        case "(": return .bigNumber(rest)
        default: throw HarnessFailure("not a reply: \(line)")
        }
    }
}
