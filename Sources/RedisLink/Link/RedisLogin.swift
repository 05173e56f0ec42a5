/// A password for Redis. It cannot be printed: every description of it is `<secret>`.
public struct RedisPassword: Equatable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// The secret itself.
    public let bytes: [UInt8]

    public init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    public init(_ text: String) {
        bytes = Array(text.utf8)
    }

    public var description: String { "<secret>" }
    public var debugDescription: String { "<secret>" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Who to be and which database to use once connected.
public struct RedisLogin: Equatable, Sendable {
    /// An ACL user; nil: the `default` user.
    public var user: String?
    public var password: RedisPassword?
    /// A database number, 0 to 2³¹−1; a Redis has 16 unless configured otherwise.
    public var database: Int

    public init(user: String? = nil, password: RedisPassword? = nil, database: Int = 0) {
        self.user = user
        self.password = password
        self.database = database
    }
}
