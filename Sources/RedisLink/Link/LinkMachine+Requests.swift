internal import DequeModule
internal import EventLoop

struct WaitingRequest {
    let slot: SlotReference
    let byteCount: Int
}

extension LinkMachine {
    /// Takes a request: it is sent now, waits for the connection, or fails.
    mutating func submit(_ body: RequestBody, isRepeatable: Bool, waiter: Waiter, now: MonotonicInstant) {
        let isReady: Bool
        switch state {
        case .closed:
            return refuse(waiter, RedisFault(.closed, .closed))
        case .down(let fault): return refuse(waiter, fault)
        case .connecting: isReady = false
        case .ready: isReady = true
        }
        let size = body.bytes.count
        guard size > 0 else { return refuse(waiter, RedisFault(.other, "an empty command")) }
        guard inFlight.count + waiting.count < settings.maxPending, pendingBytes + size <= settings.maxPendingBytes
        else {
            counters.overloads += 1
            return refuse(waiter, RedisFault(.overloaded, .overloaded))
        }
        counters.requests += 1
        let request = RequestTable.Request(body: body, waiter: waiter, isRepeatable: isRepeatable)
        let reference = requests.insert(request, deadline: now.advanced(nanoseconds: timeout))
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
            guard let request = requests.remove(reference) else {
                counters.lateReplies += 1
                return
            }
            return actions.append(.complete(request.waiter, .success(reply)))
        }
        let verdict = RedisFault.classify(error: text)
        if verdict.consequence == .loadScript, reloadScript(of: reference, now: now) { return }
        if let request = requests.remove(reference) {
            actions.append(.complete(request.waiter, .failure(verdict.fault)))
            if verdict.fault.kind == .credentials { actions.append(.refused(verdict.fault)) }
        } else {
            counters.lateReplies += 1
        }
        consider(verdict, now: now)
    }

    /// Gives up what is past its deadline.
    mutating func expireRequests(now: MonotonicInstant) {
        while let request = requests.removeExpired(now: now) {
            counters.timeouts += 1
            actions.append(.complete(request.waiter, .failure(RedisFault(.timeout, .timeout))))
        }
    }

    /// Sends what waited for the connection.
    mutating func transmitWaiting(now: MonotonicInstant) {
        guard case .ready = phase else { return }
        while let next = waiting.popFirst() {
            pendingBytes -= next.byteCount
            guard let request = requests[next.slot] else { continue }
            if request.wasRetrieved { counters.resends += 1 }
            transmit(next.slot, request.body, now: now)
        }
    }

    /// Takes back what was in flight: what may be repeated goes to the head of the queue, in its order, once; the
    /// rest fails, since nobody knows whether it was carried out.
    mutating func retrieveInFlight(_ fault: RedisFault) {
        while let last = inFlight.popLast() {
            guard case .request(let reference) = last.purpose, let request = requests[reference] else { continue }
            if request.isRepeatable, !request.wasRetrieved {
                requests[reference]?.wasRetrieved = true
                waiting.prepend(WaitingRequest(slot: reference, byteCount: request.body.bytes.count))
            } else if let request = requests.remove(reference) {
                actions.append(.complete(request.waiter, .failure(fault)))
            }
        }
    }

    /// Fails what waits for a first attempt, except what was retrieved: that has until its deadline.
    mutating func failNewcomers(_ fault: RedisFault) {
        var kept = Deque<WaitingRequest>()
        for entry in waiting where requests.isOpen(entry.slot) {
            if requests[entry.slot]?.wasRetrieved == true {
                kept.append(entry)
            } else if let request = requests.remove(entry.slot) {
                actions.append(.complete(request.waiter, .failure(fault)))
            }
        }
        waiting = kept
        pendingBytes = kept.reduce(0) { $0 + $1.byteCount }
    }

    mutating func failAll(_ fault: RedisFault) {
        for request in requests.removeAll() { actions.append(.complete(request.waiter, .failure(fault))) }
        waiting.removeAll()
        pendingBytes = 0
    }

    /// Loads the request's script again and repeats the request behind it. False if that was done once already.
    /// Always safe: a call that met an empty script cache did nothing.
    private mutating func reloadScript(of reference: SlotReference, now: MonotonicInstant) -> Bool {
        guard let request = requests[reference],
            let script = request.body.script, !request.wasReloaded
        else { return false }
        requests[reference]?.wasReloaded = true
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

    private static var asking: [UInt8] { Array("*1\r\n$6\r\nASKING\r\n".utf8) }

    private mutating func transmit(_ reference: SlotReference, _ body: RequestBody, now: MonotonicInstant) {
        askForMove(now: now)
        if body.isAsking {
            expect(.asking, byteCount: Self.asking.count, now: now)
            output += Self.asking
        }
        expect(.request(reference), byteCount: body.bytes.count, now: now)
        let start = output.count
        output.append(contentsOf: body.bytes)
        if let script = body.script, let digest = digests[script.index] {
            let room = start + script.digestOffset
            output.replaceSubrange(room..<room + RedisScript.digestLength, with: digest)
        }
    }

    /// Asks for the mark of a move, where that is open.
    mutating func askForMove(now: MonotonicInstant) {
        guard move.isOpen else { return }
        for question in move.questions() {
            expect(.moved, byteCount: question.count, now: now)
            output += question
        }
    }

    private mutating func refuse(_ waiter: Waiter, _ fault: RedisFault) {
        actions.append(.complete(waiter, .failure(fault)))
    }
}

extension LinkMachine {
    /// Takes in a reply to `TIME`: seconds and microseconds, as two bulks.
    mutating func takeTime(_ reply: RedisReply, sentAt: MonotonicInstant, now: MonotonicInstant) {
        guard case .array(let parts) = reply, parts.count == 2,
            case .bulk(let first) = parts[0], case .bulk(let second) = parts[1],
            let seconds = first.decimalNumber, seconds < 100_000_000_000, let micros = second.decimalNumber,
            micros < 1_000_000
        else { return }
        clock.sample(serverMicroseconds: seconds * 1_000_000 + micros, sentAt: sentAt, receivedAt: now)
    }
}
