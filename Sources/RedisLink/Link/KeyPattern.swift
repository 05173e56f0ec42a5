/// Keys in Redis's pattern language. Source: redis.io/docs/commands/keys.
public enum KeyPattern {
    /// Those that begin with `start`, whatever bytes it has.
    public static func beginning(with start: [UInt8]) -> [UInt8] {
        start.flatMap { byte in "*?[]^-\\".utf8.contains(byte) ? [UInt8(ascii: "\\"), byte] : [byte] }
            + [UInt8(ascii: "*")]
    }
}
