internal import DequeModule
internal import EventLoop

/// Names a request by its slot; out of date as soon as that request is done.
struct SlotReference: Equatable {
    let index: Int
    let generation: UInt32
}

/// A request's bytes, and for a script where its digest belongs in them.
struct RequestBody {
    let bytes: [UInt8]
    var script: (index: Int, digestOffset: Int)?
    /// `ASKING` goes before it, in the same write: a node of a cluster takes it although its slot is still on the way there.
    var isAsking = false
}

/// The requests that somebody waits for, each with its deadline.
///
/// Replies carry no identity, only their position. So a request lives in a slot beside the order of replies; when it is
/// given up the slot is freed and its generation moves on, and its place in the order stays, to swallow the late reply.
struct RequestTable<Waiter> {
    struct Request {
        let body: RequestBody
        let waiter: Waiter
        let isRepeatable: Bool
        /// It was in flight on a connection that was lost; once is allowed.
        var wasRetrieved = false
        /// Its script was loaded for it; once is allowed.
        var wasReloaded = false
    }

    private struct Slot {
        var generation: UInt32 = 0
        var request: Request?
    }

    private var slots: [Slot] = []
    private var freeSlots: [Int] = []
    /// In order, as all time limits are equal; entries whose request is done are skipped.
    private var deadlines = Deque<(at: MonotonicInstant, slot: SlotReference)>()

    var firstDeadline: MonotonicInstant? { deadlines.first?.at }

    /// The request; nil if it is done.
    subscript(reference: SlotReference) -> Request? {
        get {
            let slot = slots[reference.index]
            return slot.generation == reference.generation ? slot.request : nil
        }
        set {
            guard slots[reference.index].generation == reference.generation else { return }
            slots[reference.index].request = newValue
        }
    }

    func isOpen(_ reference: SlotReference) -> Bool {
        slots[reference.index].generation == reference.generation && slots[reference.index].request != nil
    }

    mutating func insert(_ request: Request, deadline: MonotonicInstant) -> SlotReference {
        let reference: SlotReference
        if let index = freeSlots.popLast() {
            slots[index].request = request
            reference = SlotReference(index: index, generation: slots[index].generation)
        } else {
            slots.append(Slot(request: request))
            reference = SlotReference(index: slots.count - 1, generation: 0)
        }
        deadlines.append((deadline, reference))
        return reference
    }

    /// Frees the slot and gives its request; nil if that was done before.
    mutating func remove(_ reference: SlotReference) -> Request? {
        guard let request = self[reference] else { return nil }
        slots[reference.index].request = nil
        slots[reference.index].generation &+= 1
        freeSlots.append(reference.index)
        // The common case: the oldest is answered first, and its deadline goes with it.
        while let first = deadlines.first, !isOpen(first.slot) { deadlines.removeFirst() }
        return request
    }

    /// Takes out a request that is past its deadline; nil if there is none.
    mutating func removeExpired(now: MonotonicInstant) -> Request? {
        while let first = deadlines.first {
            guard isOpen(first.slot) else {
                deadlines.removeFirst()
                continue
            }
            guard first.at <= now else { return nil }
            return remove(first.slot)
        }
        return nil
    }

    /// Takes out all, in the order of their slots.
    mutating func removeAll() -> [Request] {
        let references = slots.indices.map { SlotReference(index: $0, generation: slots[$0].generation) }
        return references.compactMap { remove($0) }
    }
}
