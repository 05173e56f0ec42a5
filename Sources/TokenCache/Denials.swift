internal import EventLoop
internal import Tokens

/// Sessions that this daemon must not accept: their end or a forced rotation was asked for, and Redis did not say
/// whether it happened.
///
/// A command that was given up may still be carried out until its not-after has passed; and somebody who was told
/// that a logout failed must not find the session open at the same daemon. Bounded: past `capacity` the one that ends
/// first makes room.
struct Denials {
    static let capacity = 10_000

    private var ends: [SessionID: MonotonicInstant] = [:]

    mutating func deny(_ sid: SessionID, at now: MonotonicInstant, for span: Duration) {
        let end = now + span
        if ends.count >= Self.capacity, ends[sid] == nil {
            ends = ends.filter { $0.value > now }
            if ends.count >= Self.capacity, let first = ends.min(by: { $0.value < $1.value }) { ends[first.key] = nil }
        }
        ends[sid] = max(end, ends[sid] ?? end)
    }

    /// Redis has answered: what stands there is known again.
    mutating func lift(_ sid: SessionID) {
        if !ends.isEmpty { ends[sid] = nil }
    }

    mutating func isDenied(_ sid: SessionID, at now: @autoclosure () -> MonotonicInstant) -> Bool {
        guard !ends.isEmpty, let end = ends[sid] else { return false }
        if end > now() { return true }
        ends[sid] = nil
        return false
    }
}
