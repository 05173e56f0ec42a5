@testable import TokenCacheClient

/// Replies as the daemon writes them in RESP2.
enum WireReply {
    enum Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral {
        case text(String)
        case number(Int)
        case map([(String, String)])

        init(stringLiteral value: String) { self = .text(value) }
        init(integerLiteral value: Int) { self = .number(value) }
    }

    static func bulk(_ text: String) -> String { "$\(text.utf8.count)\r\n\(text)\r\n" }

    static func map(_ fields: [(String, Value)]) -> String {
        "*\(fields.count * 2)\r\n"
            + fields.map { name, value in
                switch value {
                case .text(let text): bulk(name) + bulk(text)
                case .number(let number): bulk(name) + ":\(number)\r\n"
                case .map(let pairs):
                    bulk(name) + "*\(pairs.count * 2)\r\n" + pairs.map { bulk($0) + bulk($1) }.joined()
                }
            }.joined()
    }

    /// The fields of an accepted token or a new holder.
    static func holder(
        _ status: String = "valid", accepted: Int = 1, kind: String = "session", sid: String, subject: String = "",
        authTime: Int = 0, more: [(String, Value)] = []
    ) -> String {
        map(
            [
                ("status", .text(status)), ("accepted", .number(accepted)), ("kind", .text(kind)), ("sid", .text(sid)),
                ("subject", .text(subject)), ("generation", 1), ("created", 1_795_267_126),
                ("modified", 1_795_267_126), ("auth_time", .number(authTime)), ("expires_in", 7_200),
                ("absolute_in", 86_400),
            ] + more)
    }

    static func refused(_ status: String, reason: String? = nil) -> String {
        map([("status", .text(status)), ("accepted", 0)] + (reason.map { [("reason", .text($0))] } ?? []))
    }

    /// A session token whose `sid` and verifier tell the number.
    static func token(_ number: Int) -> SessionToken {
        let digits = String(number, radix: 16)
        let sid = String(repeating: "0", count: 32 - digits.count) + digits
        guard let token = SessionToken(sid + String(repeating: "ab", count: 48)) else {
            preconditionFailure("no token")
        }
        return token
    }

    static func sid(_ number: Int) -> String { token(number).sid?.text ?? "" }
    static func id(_ number: Int) -> SessionID? { token(number).sid }

    /// Answers VALIDATE about the session that was asked about, its number as the subject.
    static func validation(_ command: [String]) -> String {
        let sid = String(command[1].prefix(32))
        return holder(sid: sid, subject: "\(Int(sid, radix: 16) ?? -1)")
    }
}

extension Reply {
    /// The reply that these bytes are.
    static func reading(_ wire: String) throws -> Reply? {
        let reader = try ReplyReader()
        try Array(wire.utf8).withUnsafeBytes { bytes throws in try reader.feed(bytes) }
        return try reader.next()
    }
}
