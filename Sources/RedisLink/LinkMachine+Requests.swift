internal import DequeModule
internal import EventLoop

/// Names a request by its slot; out of date as soon as that request is done.
struct SlotReference: Equatable {
    let index: Int
    let generation: UInt32
}

struct WaitingRequest {
    let slot: SlotReference
    let byteCount: Int
}

/// A request's bytes, and for a script where its digest belongs in them.
struct RequestBody {
    let bytes: [UInt8]
    var script: (index: Int, digestOffset: Int)?
}

extension LinkMachine {
    struct Request {
        let body: RequestBody
        let waiter: Waiter
        let isRepeatable: Bool
        /// It was in flight on a connection that was lost; once is allowed.
        var wasRetrieved = false
        /// Its script was loaded for it; once is allowed.
        var wasReloaded = false
    }

    struct Slot {
        var generation: UInt32 = 0
        var request: Request?
    }

    /// Takes a request: it is sent now, waits for the connection, or fails.
    mutating func submit(_ body: RequestBody, isRepeatable: Bool, waiter: Waiter, now: MonotonicInstant) {
        let isReady: Bool
        switch state {
        case .closed:
            return refuse(waiter, RedisFault(.closed, "the link to Redis is closed"))
        case .down(let fault): return refuse(waiter, fault)
        case .connecting: isReady = false
        case .ready: isReady = true
        }
        let size = body.bytes.count
        guard size > 0 else { return refuse(waiter, RedisFault(.other, "an empty command")) }
        guard inFlight.count + waiting.count < settings.maxPending, pendingBytes + size <= settings.maxPendingBytes
        else {
            counters.overloads += 1
            return refuse(waiter, RedisFault(.overloaded, "too many requests wait for Redis"))
        }
        counters.requests += 1
        let reference = occupy(Request(body: body, waiter: waiter, isRepeatable: isRepeatable))
        deadlines.append((now + settings.timeout, reference))
        if isReady {
            transmit(reference, body, now: now)
        } else {
            waiting.append(WaitingRequest(slot: reference, byteCount: size))
            pendingBytes += size
        }
    }

    /// The reply to a request came.
    mutating func answered(_ reference: SlotReference, reply: RedisReply, now: MonotonicInstant) {
        guard case .error(let text) = reply else {
            guard let request = vacate(reference) else {
                counters.lateReplies += 1
                return
            }
            return actions.append(.complete(request.waiter, .success(reply)))
        }
        let verdict = RedisFault.classify(error: text)
        if verdict.consequence == .loadScript, reload(reference, now: now) { return }
        if let request = vacate(reference) {
            actions.append(.complete(request.waiter, .failure(verdict.fault)))
            if verdict.fault.kind == .credentials { actions.append(.refused(verdict.fault)) }
        } else {
            counters.lateReplies += 1
        }
        consider(verdict, now: now)
    }

    /// Gives up what is past its deadline.
    mutating func expireRequests(now: MonotonicInstant) {
        while let first = deadlines.first, first.at <= now || !isOccupied(first.slot) {
            deadlines.removeFirst()
            guard let request = vacate(first.slot) else { continue }
            counters.timeouts += 1
            actions.append(.complete(request.waiter, .failure(RedisFault(.timeout, "Redis did not answer in time"))))
        }
    }

    mutating func transmitWaiting(now: MonotonicInstant) {
        while let next = waiting.popFirst() {
            pendingBytes -= next.byteCount
            guard let request = slots[next.slot.index].request, isOccupied(next.slot) else { continue }
            if request.wasRetrieved { counters.resends += 1 }
            transmit(next.slot, request.body, now: now)
        }
    }

    /// Takes back what was in flight: what may be repeated goes to the head of the queue, in its order, once; the
    /// rest fails, since nobody knows whether it was carried out.
    mutating func retrieveInFlight(_ fault: RedisFault) {
        while let last = inFlight.popLast() {
            guard case .request(let reference) = last.purpose, isOccupied(reference) else { continue }
            if let request = slots[reference.index].request, request.isRepeatable, !request.wasRetrieved {
                slots[reference.index].request?.wasRetrieved = true
                waiting.prepend(WaitingRequest(slot: reference, byteCount: request.body.bytes.count))
            } else if let request = vacate(reference) {
                actions.append(.complete(request.waiter, .failure(fault)))
            }
        }
    }

    /// Fails what waits for a first attempt, except what was retrieved: that has until its deadline.
    mutating func failNewcomers(_ fault: RedisFault) {
        var kept = Deque<WaitingRequest>()
        for entry in waiting where isOccupied(entry.slot) {
            if slots[entry.slot.index].request?.wasRetrieved == true {
                kept.append(entry)
            } else if let request = vacate(entry.slot) {
                actions.append(.complete(request.waiter, .failure(fault)))
            }
        }
        waiting = kept
        pendingBytes = kept.reduce(0) { $0 + $1.byteCount }
    }

    mutating func failAll(_ fault: RedisFault) {
        for index in slots.indices {
            let reference = SlotReference(index: index, generation: slots[index].generation)
            guard let request = vacate(reference) else { continue }
            actions.append(.complete(request.waiter, .failure(fault)))
        }
        waiting.removeAll()
        deadlines.removeAll()
        pendingBytes = 0
    }

    /// Loads the request's script again and repeats the request behind it. False if that was done once already.
    /// Always safe: a call that met an empty script cache did nothing.
    private mutating func reload(_ reference: SlotReference, now: MonotonicInstant) -> Bool {
        guard isOccupied(reference), let request = slots[reference.index].request,
            let script = request.body.script, !request.wasReloaded
        else { return false }
        slots[reference.index].request?.wasReloaded = true
        if loadsInFlight[script.index] == 0 {
            loadsInFlight[script.index] += 1
            counters.scriptReloads += 1
            let command = RedisCommand("SCRIPT", "LOAD", scripts[script.index].source).bytes
            expect(.scriptLoad(script.index), byteCount: command.count, now: now)
            output.append(contentsOf: command)
        }
        transmit(reference, request.body, now: now)
        return true
    }

    private mutating func transmit(_ reference: SlotReference, _ body: RequestBody, now: MonotonicInstant) {
        expect(.request(reference), byteCount: body.bytes.count, now: now)
        let start = output.count
        output.append(contentsOf: body.bytes)
        if let script = body.script, let digest = digests[script.index] {
            let room = start + script.digestOffset
            output.replaceSubrange(room..<room + RedisScript.digestLength, with: digest)
        }
    }

    private mutating func refuse(_ waiter: Waiter, _ fault: RedisFault) {
        actions.append(.complete(waiter, .failure(fault)))
    }

    private mutating func occupy(_ request: Request) -> SlotReference {
        guard let index = freeSlots.popLast() else {
            slots.append(Slot(request: request))
            return SlotReference(index: slots.count - 1, generation: 0)
        }
        slots[index].request = request
        return SlotReference(index: index, generation: slots[index].generation)
    }

    private func isOccupied(_ reference: SlotReference) -> Bool {
        let slot = slots[reference.index]
        return slot.generation == reference.generation && slot.request != nil
    }

    /// Frees the slot and gives its request; nil if that was done before.
    private mutating func vacate(_ reference: SlotReference) -> Request? {
        guard slots[reference.index].generation == reference.generation,
            let request = slots[reference.index].request
        else { return nil }
        slots[reference.index].request = nil
        slots[reference.index].generation &+= 1
        freeSlots.append(reference.index)
        // The common case: the oldest is answered first, and its deadline goes with it.
        while let first = deadlines.first, !isOccupied(first.slot) { deadlines.removeFirst() }
        return request
    }
}
