public import EventLoop

/// What went wrong lately: the last few faults, each with when it began, was seen last, and how often.
public struct FaultHistory: Sendable, Equatable {
    /// So many are kept.
    public static let capacity = 8

    public struct Entry: Sendable, Equatable {
        /// In words.
        public let reason: String
        /// Of the first and of the last time in a row.
        public let began: MonotonicInstant
        public fileprivate(set) var at: MonotonicInstant
        /// Times in a row.
        public fileprivate(set) var count: UInt64 = 1

        /// What the operator does about it.
        public var remedy: String { KnownFault.remedy(for: reason) }
    }

    /// The oldest first.
    public private(set) var entries: [Entry] = []

    public init() {}

    public var last: Entry? { entries.last }

    /// Something went wrong. The same as the last time is the same fault.
    public mutating func note(_ reason: String, at now: MonotonicInstant) {
        if let index = entries.indices.last, entries[index].reason == reason {
            entries[index].at = now
            entries[index].count &+= 1
            return
        }
        if entries.count == Self.capacity { entries.removeFirst() }
        entries.append(Entry(reason: reason, began: now, at: now))
    }
}
