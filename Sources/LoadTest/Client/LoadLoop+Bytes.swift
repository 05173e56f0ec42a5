internal import CLinux
internal import Glibc
internal import Histogram

/// Bytes in and out of a load's connections.
extension LoadLoop {
    /// Reads once, judges what came, and lets the next requests follow.
    @inline(__always)
    mutating func receive(_ index: Int, at now: Int64) throws(LoadTestError) {
        var kept = 0
        if connections[index].hasPartial { kept = restorePartial(index) }
        let flags = Int32(MSG_DONTWAIT)
        let count = recv(connections[index].descriptor, input + kept, Self.inputSize &- kept, flags)
        guard count > 0 else {
            if count < 0, errno == EAGAIN || errno == EINTR {
                if kept > 0 { keepPartial(index, input, kept) }
                return
            }
            let reason = count == 0 ? "connection closed by the server" : "connection lost: \(describe(errno: errno))"
            return try lose(index, reason)
        }
        var at = 0
        let available = kept &+ count
        var done = 0
        let ring = index &* slots
        var head = connections[index].head
        while done < connections[index].inFlight, at < available {
            let slot = ring &+ Int(head & slotMask)
            let ticket = Int(tickets[slot])
            let lane = ticket >> 28
            switch lanes[lane].judge(input + at, available &- at, row: ticket & 0xfff_ffff) {
            case .answered(let length, let failure):
                if let failure { outcome.fail(failure) }
                if shape.collectsTokens, let offset = lanes[lane].newTokenOffset {
                    outcome.tokens.append(
                        contentsOf: UnsafeBufferPointer(start: input + (at + offset), count: Lane.tokenLength))
                }
                if shape.recordsLatency { record(lane, since: times[slot], now) }
                at &+= length
                head &+= 1
                done &+= 1
                continue
            case .incomplete:
                break
            case .malformed:
                return try lose(index, "not a reply of this protocol")
            }
            break
        }
        connections[index].head = head
        connections[index].inFlight &-= UInt32(done)
        inFlight &-= done
        answered &+= done
        if at < available {
            guard connections[index].inFlight > 0 else { return try lose(index, "a reply nobody asked for") }
            keepPartial(index, input + at, available &- at)
        }
        if done > 0 { try proceed(index, done, now) }
    }

    /// Closed pace: as many requests follow as were answered. Open pace: their places are free.
    @inline(__always)
    private mutating func proceed(_ index: Int, _ done: Int, _ now: Int64) throws(LoadTestError) {
        if isClosing, firstFree == nil { firstFree = now }
        if shape.reconnects {
            close(connections[index].descriptor)
            connections[index].descriptor = -1
            if isClosing { return }
            try open(index)
        }
        if shape.pace == .closed {
            guard !isClosing else { return }
            var follow = done
            if let most = shape.mostRequests { follow = min(follow, most - sent) }
            try send(follow, on: index, meantFor: now)
        } else {
            for _ in 0..<done { addPlace(index) }
        }
    }

    mutating func addPlace(_ index: Int) {
        var end = firstPlace &+ placeCount
        if end >= places.count { end &-= places.count }
        places[end] = UInt32(index)
        placeCount &+= 1
    }

    @inline(__always)
    private mutating func record(_ lane: Int, since sent: Int64, _ now: Int64) {
        // Open pace: what counts is when the request was meant to be sent; closed: when the answer came.
        let moment = shape.pace == .closed ? now : sent
        guard moment >= measuresFrom, moment < measuresUntil else { return }
        outcome.laneLatencies[lane].record(UInt64(max(0, now &- sent)))
    }

    /// Sends bytes; what the kernel does not take now is kept and follows.
    @inline(__always)
    mutating func write(_ bytes: UnsafePointer<UInt8>, _ count: Int, on index: Int) throws(LoadTestError) {
        var sent = 0
        if !connections[index].hasUnsent {
            sent = Glibc.send(
                connections[index].descriptor, bytes, count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            if sent == count { return }
        }
        try keepUnsent(index, bytes, count, sent)
    }

    @inline(never)
    private mutating func keepUnsent(
        _ index: Int, _ bytes: UnsafePointer<UInt8>, _ count: Int, _ sent: Int
    ) throws(LoadTestError) {
        // The next read meets the error again.
        guard sent >= 0 || errno == EAGAIN || errno == EINTR else { return }
        let taken = max(0, sent)
        unsent[index].append(contentsOf: UnsafeBufferPointer(start: bytes + taken, count: count - taken))
        guard !connections[index].hasUnsent else { return }
        connections[index].hasUnsent = true
        watch(index, EPOLLIN.rawValue | EPOLLOUT.rawValue)
    }

    /// There is room: sends what was kept.
    mutating func flush(_ index: Int) throws(LoadTestError) {
        guard connections[index].hasUnsent else { return }
        let bytes = unsent[index]
        let sent = bytes.withUnsafeBytes {
            Glibc.send(
                connections[index].descriptor, $0.baseAddress, $0.count,
                Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
        }
        guard sent > 0 else { return }
        unsent[index].removeFirst(sent)
        guard unsent[index].isEmpty else { return }
        connections[index].hasUnsent = false
        watch(index, EPOLLIN.rawValue)
    }

    private func watch(_ index: Int, _ what: UInt32) {
        var event = epoll_event()
        event.events = what
        event.data.u32 = UInt32(index)
        epoll_ctl(epoll, EPOLL_CTL_MOD, connections[index].descriptor, &event)
    }

    private mutating func restorePartial(_ index: Int) -> Int {
        let count = partials[index].count
        partials[index].withUnsafeBufferPointer { bytes in
            if let base = bytes.baseAddress { input.update(from: base, count: count) }
        }
        connections[index].hasPartial = false
        return count
    }

    private mutating func keepPartial(_ index: Int, _ bytes: UnsafePointer<UInt8>, _ count: Int) {
        partials[index] = Array(UnsafeBufferPointer(start: bytes, count: count))
        connections[index].hasPartial = true
    }

    /// A connection broke: its requests have failed, a new one takes its place.
    @inline(never)
    private mutating func lose(_ index: Int, _ reason: String) throws(LoadTestError) {
        let connection = connections[index]
        let count = Int(connection.inFlight)
        outcome.fail(reason, count: max(1, count))
        for offset in 0..<connection.inFlight {
            let ticket = Int(tickets[index &* slots &+ Int((connection.head &+ offset) & slotMask)])
            if lanes[ticket >> 28].order == .leased { lanes[ticket >> 28].giveBack(ticket & 0xfff_ffff) }
        }
        inFlight -= count
        close(connection.descriptor)
        connections[index] = LoadConnection()
        unsent[index] = []
        partials[index] = []
        guard !isClosing else {
            firstFree = firstFree ?? Clock.now()
            return
        }
        if outcome.failureCount > 100_000 { throw .unavailable("the server ends its connections: \(reason)") }
        try open(index)
        if shape.pace == .closed {
            try send(shape.pipeline, on: index, meantFor: Clock.now())
        } else {
            for _ in 0..<count { addPlace(index) }
        }
    }
}
