internal import Glibc
internal import Histogram

/// A load from its first request to its last answer.
extension LoadLoop {
    private static let reportInterval: Int64 = 250_000_000
    /// Open pace: a request later than this although a connection was free is the client's fault.
    private static let lateAfter: Int64 = 200_000
    /// Open pace: below this it is better to look again than to sleep.
    private static let spinBelow: Int64 = 60_000

    /// Runs the whole load on this thread. All threads of a load start at `start`.
    mutating func run(start: Int64, rate: Double?, observer: LoadObserver) throws(LoadTestError) {
        try openAll()
        let begin = max(start, Clock.now())
        measuresFrom = begin + shape.warmUp.nanoseconds
        var planned = measuresFrom + shape.duration.nanoseconds
        var now = begin
        var nextReport = begin + Self.reportInterval
        var beforeCount = 0
        var beforeCPU: Int64 = 0
        var isMeasuring = false
        let interval = rate.map { 1e9 / $0 } ?? 0
        var due = 0.0

        if rate != nil { preparePlaces() } else { try sendFirst(begin) }
        while now < planned {
            if !isMeasuring, now >= measuresFrom {
                isMeasuring = true
                measuresFrom = now
                beforeCount = answered
                beforeCPU = Clock.threadCPU()
                observer.begins()
            }
            if rate != nil {
                try sendDue(&due, interval, begin, now)
                let next = begin + Int64(due * interval)
                // Each was to be asked once: nothing is due any more.
                if laneCount == 1, lanes[0].isExhausted { planned = min(planned, next) }
                let wait = placeCount == 0 ? 1_000_000 : min(1_000_000, next - Clock.now())
                try turn(waiting: wait < Self.spinBelow && placeCount > 0 ? 0 : wait)
            } else {
                if inFlight == 0 { break }
                try turn(waiting: 100_000_000)
            }
            now = Clock.now()
            if now >= nextReport {
                nextReport = now + Self.reportInterval
                try endIfInterrupted(&planned, at: now)
                observer.progresses(Double(now - begin) / 1e9, answered, outcome.failureCount)
            }
        }
        if !isMeasuring {
            measuresFrom = min(measuresFrom, now)
            observer.begins()
        }
        // What came due during the last turn has its place: only what had none counts as not sent.
        if rate != nil { try sendDue(&due, interval, begin, planned - 1) }
        now = Clock.now()
        measuresUntil = rate == nil ? now : planned
        outcome.answered = answered - beforeCount
        outcome.seconds = Double(now - measuresFrom) / 1e9
        outcome.clientCPU = Double(Clock.threadCPU() - beforeCPU) / 1e9
        observer.ends()
        try drain()
        if rate != nil { recordUnsent(Backlog(from: due, interval: interval, begin: begin), until: planned) }
        outcome.isExhausted = (0..<laneCount).contains { lanes[$0].isExhausted }
        outcome.repeats = (0..<laneCount).map { lanes[$0].repeats }
    }

    /// Tokens that came would be lost with an error, and nobody could end their sessions: then only the time is over.
    private func endIfInterrupted(_ planned: inout Int64, at now: Int64) throws(LoadTestError) {
        guard shape.collectsTokens else { return try Interruption.check() }
        if Interruption.received != nil { planned = min(planned, now) }
    }

    private mutating func sendFirst(_ now: Int64) throws(LoadTestError) {
        for index in 0..<connectionCount {
            let room = shape.mostRequests.map { max(0, $0 - sent) } ?? .max
            try send(min(shape.reconnects ? 1 : shape.pipeline, room), on: index, meantFor: now)
        }
    }

    private mutating func preparePlaces() {
        let each = shape.reconnects ? 1 : shape.pipeline
        places = Array(repeating: 0, count: connectionCount * each)
        for _ in 0..<each { for index in 0..<connectionCount { addPlace(index) } }
    }

    /// Sends what is due by `now`, as far as there are places for it; the rest keeps its intended times.
    @inline(__always)
    private mutating func sendDue(
        _ due: inout Double, _ interval: Double, _ begin: Int64, _ now: Int64
    ) throws(LoadTestError) {
        let hadPlaces = placeCount > 0
        while placeCount > 0 {
            let meant = begin + Int64(due * interval)
            guard meant <= now else { return }
            let index = Int(places[firstPlace])
            firstPlace = firstPlace &+ 1 == places.count ? 0 : firstPlace &+ 1
            placeCount &-= 1
            let before = sent
            try send(1, on: index, meantFor: meant)
            guard sent > before else { return addPlace(index) }
            if hadPlaces, !wasStarved, now - meant > Self.lateAfter, meant >= measuresFrom { outcome.late += 1 }
            due += 1
        }
        wasStarved = begin + Int64(due * interval) <= now
    }

    /// Records what was due in the measured time and had no connection, with the time that it waited for one: until one
    /// was free, or until the grace was over. Its answer would have taken longer still, so this is a lower bound, and
    /// leaving it out would flatter a server that stalls at the end.
    private mutating func recordUnsent(_ backlog: Backlog, until end: Int64) {
        let waited = firstFree ?? Clock.now()
        outcome.unsent = backlog.count(from: measuresFrom, until: end)
        for part in backlog.parts(from: measuresFrom, until: end) {
            let lane = laneCount == 1 ? 0 : nextLane()
            outcome.laneLatencies[lane].record(UInt64(max(0, waited - part.meant)), count: UInt64(part.count))
        }
    }

    /// Waits a little for answers to what was sent. What does not come is recorded with the time it took so far:
    /// leaving it out would flatter the server.
    private mutating func drain() throws(LoadTestError) {
        isClosing = true
        guard shape.pace != .closed || shape.mostRequests != nil || shape.collectsTokens else { return }
        let end = Clock.now() + LoadShape.grace.nanoseconds
        while inFlight > 0, Clock.now() < end {
            try turn(waiting: 10_000_000)
            if !shape.collectsTokens { try Interruption.check() }
        }
        outcome.unanswered = inFlight
        guard inFlight > 0 else { return }
        let now = Clock.now()
        for index in 0..<connectionCount {
            let connection = connections[index]
            for offset in 0..<connection.inFlight {
                let slot = index * slots + Int((connection.head &+ offset) & slotMask)
                guard times[slot] >= measuresFrom else { continue }
                outcome.laneLatencies[Int(tickets[slot]) >> 28].record(UInt64(max(0, now - times[slot])))
            }
        }
    }
}
