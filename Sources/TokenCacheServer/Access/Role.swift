/// What a peer may do. Each role includes those before it.
public enum Role: UInt8, Comparable, Sendable, CaseIterable {
    /// Nothing at all.
    case none
    /// Ask whether a token is good, and the connection commands.
    case validator
    /// Every command about tokens.
    case worker
    /// Everything.
    case admin

    public static func < (left: Role, right: Role) -> Bool { left.rawValue < right.rawValue }
}
