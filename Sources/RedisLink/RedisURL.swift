/// What is wrong with a `redis.url`. The text names the part, never the password.
public struct RedisURLError: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// The value of `redis.url`.
public enum RedisURL: Equatable, Sendable {
    /// A private redis-server that the daemon starts and ends.
    case embedded
    case endpoint(RedisEndpoint)

    /// What may be written now, for error texts.
    public static let allowed = "embedded, unix:///path[?db=N], redis://[user:password@]host:port[/database]"

    /// Reads `embedded`, `unix:///path[?db=N]` or `redis://[user:password@]host[:port][/database]`.
    ///
    /// User, password, host and path may be percent-encoded; an IPv6 address stands in brackets; the port is 6379
    /// if not given. Everything else is refused.
    public static func parse(_ text: String) throws(RedisURLError) -> RedisURL {
        if text == "embedded" { return .embedded }
        guard let mark = text.firstRange(of: "://") else {
            throw RedisURLError("not a Redis URL; allowed: \(allowed)")
        }
        let rest = text[mark.upperBound...]
        switch text[..<mark.lowerBound] {
        case "unix": return .endpoint(try parseUnix(rest))
        case "redis": return .endpoint(try parseTCP(rest))
        case "rediss", "sentinel", "cluster":
            throw RedisURLError("\(text[..<mark.lowerBound]):// comes later; allowed now: \(allowed)")
        default: throw RedisURLError("unknown kind of Redis URL; allowed: \(allowed)")
        }
    }

    private static func parseUnix(_ text: Substring) throws(RedisURLError) -> RedisEndpoint {
        let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = try decode(parts.first ?? "", part: "path")
        guard path.hasPrefix("/"), path.utf8.count > 1 else {
            throw RedisURLError("unix:// needs an absolute path with three slashes, as in unix:///run/redis.sock")
        }
        guard path.utf8.count <= 107 else { throw RedisURLError("the path has more than 107 bytes") }
        var login = RedisLogin()
        if parts.count == 2 {
            guard parts[1].hasPrefix("db=") else { throw RedisURLError("after ? only db=N may stand") }
            login.database = try number(parts[1].dropFirst(3), part: "database", in: 0...Int(Int32.max))
        }
        return .unix(path: path, login: login)
    }

    private static func parseTCP(_ text: Substring) throws(RedisURLError) -> RedisEndpoint {
        guard !text.contains("?"), !text.contains("#") else {
            throw RedisURLError("redis:// takes no ? and no # (in a password write %3F and %23)")
        }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        var address = parts.first ?? ""
        var login = RedisLogin()
        if parts.count == 2, !parts[1].isEmpty {
            login.database = try number(parts[1], part: "database", in: 0...Int(Int32.max))
        }
        if let at = address.lastIndex(of: "@") {
            let names = address[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let user = try decode(names.first ?? "", part: "user")
            login.user = user.isEmpty ? nil : user
            if names.count == 2 { login.password = RedisPassword(try decode(names[1], part: "password")) }
            address = address[address.index(after: at)...]
        }
        let (host, port) = try hostAndPort(address)
        return .tcp(host: host, port: port, login: login)
    }

    private static func hostAndPort(_ address: Substring) throws(RedisURLError) -> (String, UInt16) {
        var name: Substring
        var rest: Substring
        if address.hasPrefix("[") {
            guard let end = address.firstIndex(of: "]") else { throw RedisURLError("the ] of the address is missing") }
            name = address[address.index(after: address.startIndex)..<end]
            rest = address[address.index(after: end)...]
            guard name.contains(":"), name.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." || $0 == "%" }) else {
                throw RedisURLError("in [ ] an IPv6 address must stand")
            }
            guard rest.isEmpty || rest.hasPrefix(":") else { throw RedisURLError("after ] only :port may stand") }
        } else {
            let end = address.firstIndex(of: ":") ?? address.endIndex
            name = address[..<end]
            rest = address[end...]
            guard !rest.dropFirst().contains(":") else {
                throw RedisURLError("more than one : in host and port; an IPv6 address stands in [ ]")
            }
        }
        let host = address.hasPrefix("[") ? String(name) : try decode(name, part: "host")
        guard !host.isEmpty, host.utf8.count <= 253 else { throw RedisURLError("the host is missing or too long") }
        if rest.isEmpty { return (host, 6379) }
        rest = rest.dropFirst()
        return (host, UInt16(try number(rest, part: "port", in: 1...65_535)))
    }

    private static func number(
        _ text: Substring, part: String, in range: ClosedRange<Int>
    ) throws(RedisURLError) -> Int {
        guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let value = Int(text), range.contains(value) else {
            throw RedisURLError("the \(part) must be a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    private static func decode(_ text: Substring, part: String) throws(RedisURLError) -> String {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(hexValue), let low = rest.popFirst().flatMap(hexValue) else {
                throw RedisURLError("the \(part) has a % without two hex digits")
            }
            bytes.append(high << 4 | low)
        }
        guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
            throw RedisURLError("the \(part) is not UTF-8 text")
        }
        return text
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
