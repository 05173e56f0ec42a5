/// A length of time in milliseconds. No point in time: that is `UnixMilliseconds`.
public typealias Milliseconds = Int64

/// A length of time in seconds. No point in time: that is `UnixSeconds`.
public typealias Seconds = Int64

/// A point in time in milliseconds since 1970-01-01 UTC, leap seconds not counted (POSIX, Epoch). Whose clock it is by is
/// said where it stands: Redis's most often, this host's before Redis was reached.
///
/// Any 64 bits are a value, since Redis, a peer or a file may give any. No arithmetic traps: a sum or difference that has
/// no room stays at the largest or smallest value, a time that never comes or has always been.
@frozen
public struct UnixMilliseconds: BitwiseCopyable, Sendable {
    /// The number as Redis and replies write it; negative before 1970.
    public var sinceEpoch: Milliseconds

    @inlinable
    @inline(__always)
    public init(_ sinceEpoch: Milliseconds) { self.sinceEpoch = sinceEpoch }

    /// The same time in whole seconds, rounded down.
    @inlinable
    @inline(__always)
    public var seconds: UnixSeconds {
        // A hit asks for three of them, none before 1970: dividing without a sign is the cheapest.
        if sinceEpoch >= 0 {
            return UnixSeconds(Int64(truncatingIfNeeded: UInt64(truncatingIfNeeded: sinceEpoch) / 1_000))
        }
        return UnixSeconds((sinceEpoch &+ 1) / 1_000 &- 1)
    }
}

/// A point in time in seconds since 1970-01-01 UTC: what guests, CSRF tokens, captchas and replies count in. Its
/// arithmetic is that of `UnixMilliseconds`.
@frozen
public struct UnixSeconds: BitwiseCopyable, Sendable {
    /// The number as tokens and replies write it; negative before 1970.
    public var sinceEpoch: Seconds

    @inlinable
    @inline(__always)
    public init(_ sinceEpoch: Seconds) { self.sinceEpoch = sinceEpoch }

    /// The same time in milliseconds, the first of that second.
    @inlinable
    @inline(__always)
    public var milliseconds: UnixMilliseconds { UnixMilliseconds(sinceEpoch.multipliedSaturating(by: 1_000)) }
}

extension UnixMilliseconds: Comparable, Hashable {
    /// Before every other time.
    public static var earliest: UnixMilliseconds { UnixMilliseconds(.min) }
    /// After every other time: it never comes.
    public static var latest: UnixMilliseconds { UnixMilliseconds(.max) }

    @inlinable
    @inline(__always)
    public static func == (left: UnixMilliseconds, right: UnixMilliseconds) -> Bool {
        left.sinceEpoch == right.sinceEpoch
    }

    @inlinable
    @inline(__always)
    public static func < (left: UnixMilliseconds, right: UnixMilliseconds) -> Bool {
        left.sinceEpoch < right.sinceEpoch
    }

    @inlinable
    public func hash(into hasher: inout Hasher) { hasher.combine(sinceEpoch) }

    /// So much later; stays in range.
    @inlinable
    @inline(__always)
    public static func + (time: UnixMilliseconds, length: Milliseconds) -> UnixMilliseconds {
        UnixMilliseconds(time.sinceEpoch.addingSaturating(length))
    }

    @inlinable
    @inline(__always)
    public static func += (time: inout UnixMilliseconds, length: Milliseconds) { time = time + length }

    /// So much earlier; stays in range.
    @inlinable
    @inline(__always)
    public static func - (time: UnixMilliseconds, length: Milliseconds) -> UnixMilliseconds {
        UnixMilliseconds(time.sinceEpoch.subtractingSaturating(length))
    }

    /// How much later `left` is than `right`, negative if it is earlier; stays in range.
    @inlinable
    @inline(__always)
    public static func - (left: UnixMilliseconds, right: UnixMilliseconds) -> Milliseconds {
        left.sinceEpoch.subtractingSaturating(right.sinceEpoch)
    }
}

extension UnixMilliseconds: CustomStringConvertible {
    public var description: String { String(sinceEpoch) }
}

extension UnixSeconds: Comparable, Hashable {
    /// Before every other time.
    public static var earliest: UnixSeconds { UnixSeconds(.min) }
    /// After every other time: it never comes.
    public static var latest: UnixSeconds { UnixSeconds(.max) }

    @inlinable
    @inline(__always)
    public static func == (left: UnixSeconds, right: UnixSeconds) -> Bool { left.sinceEpoch == right.sinceEpoch }

    @inlinable
    @inline(__always)
    public static func < (left: UnixSeconds, right: UnixSeconds) -> Bool { left.sinceEpoch < right.sinceEpoch }

    @inlinable
    public func hash(into hasher: inout Hasher) { hasher.combine(sinceEpoch) }

    /// So much later; stays in range.
    @inlinable
    @inline(__always)
    public static func + (time: UnixSeconds, length: Seconds) -> UnixSeconds {
        UnixSeconds(time.sinceEpoch.addingSaturating(length))
    }

    @inlinable
    @inline(__always)
    public static func += (time: inout UnixSeconds, length: Seconds) { time = time + length }

    /// So much earlier; stays in range.
    @inlinable
    @inline(__always)
    public static func - (time: UnixSeconds, length: Seconds) -> UnixSeconds {
        UnixSeconds(time.sinceEpoch.subtractingSaturating(length))
    }

    /// How much later `left` is than `right`, negative if it is earlier; stays in range.
    @inlinable
    @inline(__always)
    public static func - (left: UnixSeconds, right: UnixSeconds) -> Seconds {
        left.sinceEpoch.subtractingSaturating(right.sinceEpoch)
    }
}

extension UnixSeconds: CustomStringConvertible {
    public var description: String { String(sinceEpoch) }
}

/// Arithmetic of lengths that may be any number: it stays at the largest or smallest one instead of trapping.
extension Int64 {
    @inlinable
    @inline(__always)
    public func addingSaturating(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    @inlinable
    @inline(__always)
    public func subtractingSaturating(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }

    @inlinable
    @inline(__always)
    public func multipliedSaturating(by factor: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? ((self < 0) == (factor < 0) ? .max : .min) : product
    }
}
