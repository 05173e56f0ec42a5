/// The elements of an array reply.
///
/// An array of strings, as most are, stands in one run of bytes; a string of it becomes an array of its own only where
/// it is asked for as a reply.
public struct RedisArray: RandomAccessCollection, Equatable, Sendable, ExpressibleByArrayLiteral {
    private enum Storage: Sendable {
        case replies([RedisReply])
        case strings(RedisStrings)
    }

    private var storage: Storage

    public init(_ replies: [RedisReply]) { storage = .replies(replies) }
    public init(arrayLiteral elements: RedisReply...) { self.init(elements) }
    init(_ strings: RedisStrings) { storage = .strings(strings) }

    public var startIndex: Int { 0 }
    public var endIndex: Int {
        switch storage {
        case .replies(let replies): replies.count
        case .strings(let strings): strings.ends.count
        }
    }

    public subscript(_ index: Int) -> RedisReply {
        switch storage {
        case .replies(let replies): replies[index]
        case .strings(let strings): .bulk(strings[index])
        }
    }

    /// The elements as one run of bytes; nil where one of them is no string.
    public var strings: RedisStrings? {
        switch storage {
        case .strings(let strings): return strings
        case .replies(let replies):
            var strings = RedisStrings()
            for reply in replies {
                guard case .bulk(let bytes) = reply else { return nil }
                bytes.withUnsafeBytes { strings.append($0) }
            }
            return strings
        }
    }

    public static func == (left: RedisArray, right: RedisArray) -> Bool { left.elementsEqual(right) }
}

/// Strings one behind the other.
public struct RedisStrings: Sendable {
    /// The bytes of all.
    public private(set) var bytes: [UInt8] = []
    /// Where each one ends; it begins where the one before it ends.
    public private(set) var ends: [Int] = []

    init() {}

    init(capacity: Int) {
        // Fields of a session's record are short: names of one letter, numbers, a digest.
        bytes.reserveCapacity(capacity &* 16)
        ends.reserveCapacity(capacity)
    }

    mutating func append(_ string: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: string)
        ends.append(bytes.count)
    }

    public subscript(_ index: Int) -> [UInt8] { Array(bytes[(index == 0 ? 0 : ends[index - 1])..<ends[index]]) }
}
