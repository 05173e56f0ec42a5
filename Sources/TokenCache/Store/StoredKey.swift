internal import TokenCrypto
internal import Tokens

/// A key of Redis as its name tells what it is, for whoever carries all of them to another Redis.
///
/// What passes by itself is none: beats, writes that replicas were waited for with, the marks of the daemons, and the
/// lease of the one that tidies up. Nor is what is somebody else's.
public struct StoredKey: Sendable {
    public enum Kind: String, Sendable, CaseIterable {
        /// A hash; of an ended session its tombstone.
        case session
        /// When everyone was logged out: a string.
        case epoch
        /// The sessions of a subject: a sorted set.
        case index
        /// The numbers of a subject's logins: a hash.
        case numbers
        /// The mark of a captcha that was spent: a string.
        case captcha
    }

    public let kind: Kind
    private let keys: KeyLayout
    /// What tells it from others of its kind: hex digits; empty for the epoch.
    private let digits: [UInt8]

    /// Nil for what is not carried.
    /// - Parameter prefix: `redis.prefix`.
    public init?(_ name: [UInt8], prefix: [UInt8]) {
        keys = KeyLayout(prefix: prefix)
        guard name.starts(with: prefix) else { return nil }
        let rest = name.dropFirst(prefix.count)
        let mark = String(decoding: rest.prefix(2), as: UTF8.self)
        let own = Array(rest.dropFirst(2))
        switch mark {
        case "s:" where Self.isEpoch(own): (kind, digits) = (.epoch, [])
        case "s:": (kind, digits) = (.session, own)
        case "x:": (kind, digits) = (.captcha, own)
        case KeyLayout.indexMark, KeyLayout.numbersMark:
            guard let index = SubjectIndex(name: own) else { return nil }
            (kind, digits) = (mark == KeyLayout.indexMark ? .index : .numbers, index.name)
        default: return nil
        }
        guard kind == .epoch || [.index, .numbers].contains(kind) || Self.isHex(own, count: 32) else { return nil }
    }

    /// As it is called in one Redis, or in a cluster: there a subject's index and numbers are of one slot. Of the epoch each
    /// of a cluster's servers has a key of its own, `RedisNode.ownKey` of this one.
    public func name(isCluster: Bool) -> [UInt8] {
        let tagged = isCluster ? [UInt8(ascii: "{")] + digits + [UInt8(ascii: "}")] : digits
        let rest: [UInt8] =
            switch kind {
            case .session: Array("s:".utf8) + digits
            case .epoch: Array("s:\(SessionStore.epochName)".utf8)
            case .index: Array(KeyLayout.indexMark.utf8) + tagged
            case .numbers: Array(KeyLayout.numbersMark.utf8) + tagged
            case .captcha: Array("x:".utf8) + digits
            }
        return keys.prefix + rest
    }

    /// When the beat was written that has this name: Unix ms by Redis's clock; nil for another key.
    public static func beatTime(_ name: [UInt8], prefix: [UInt8]) -> Int64? {
        let start = KeyLayout(prefix: prefix).sessionPrefix + [UInt8(ascii: "~")]
        guard name.starts(with: start) else { return nil }
        var digits = name.dropFirst(start.count)
        if digits.first == UInt8(ascii: "{"), let end = digits.firstIndex(of: UInt8(ascii: "}")) {
            digits = digits[(end + 1)...]
        }
        guard let number = Int64(String(decoding: digits, as: UTF8.self)), number >= 0, number < .max / 200 else {
            return nil
        }
        return number * 200
    }

    /// The hash in which every daemon leaves a mark.
    public static func marks(prefix: [UInt8]) -> [UInt8] { KeyLayout(prefix: prefix).marks }

    /// What a move keeps at its target while it lasts: how the fence at the source is taken down.
    public static func fence(prefix: [UInt8]) -> [UInt8] { prefix + Array("d:fence".utf8) }

    /// - Parameter name: behind `s:`.
    private static func isEpoch(_ name: [UInt8]) -> Bool {
        guard name.starts(with: SessionStore.epochName.utf8) else { return false }
        let tag = name.dropFirst(SessionStore.epochName.utf8.count)
        return tag.isEmpty || (tag.first == UInt8(ascii: "{") && tag.last == UInt8(ascii: "}") && tag.count > 2)
    }

    private static func isHex(_ text: [UInt8], count: Int) -> Bool {
        text.count == count && text.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
