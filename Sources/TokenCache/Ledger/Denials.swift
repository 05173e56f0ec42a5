internal import EventLoop
internal import Tokens

/// Sessions that this daemon must not accept: their end or a forced rotation was asked for, and Redis did not say
/// whether it happened.
///
/// A command that was given up may still be carried out until its not-after has passed; and a client that was
/// answered that its logout failed must not find the session open at the same daemon. Bounded: past `capacity` the one that ends
/// first makes room.
struct Denials {
    static let capacity = 10_000

    /// `number` tells apart those that end at the same moment.
    private var ends: [SessionID: (end: MonotonicInstant, number: UInt64)] = [:]
    private var latest: UInt64 = 0

    mutating func deny(_ sid: SessionID, at now: MonotonicInstant, for span: Duration) {
        let end = now + span
        if let known = ends[sid], known.end >= end { return }
        if ends.count >= Self.capacity, ends[sid] == nil {
            ends = ends.filter { $0.value.end > now }
            if ends.count >= Self.capacity, let first = ends.min(by: { $0.value < $1.value }) { ends[first.key] = nil }
        }
        latest += 1
        ends[sid] = (end, latest)
    }

    /// Redis has answered: what stands there is known again.
    mutating func lift(_ sid: SessionID) {
        if !ends.isEmpty { ends[sid] = nil }
    }

    mutating func isDenied(_ sid: SessionID, at now: @autoclosure () -> MonotonicInstant) -> Bool {
        guard !ends.isEmpty, let known = ends[sid] else { return false }
        if known.end > now() { return true }
        ends[sid] = nil
        return false
    }
}
