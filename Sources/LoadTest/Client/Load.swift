internal import Foundation
internal import Synchronization

/// Puts a load on a server and tells what came of it.
public enum Load {
    /// Runs `shape` with requests from `lanes` until its time is over, its requests are sent or a signal came: thrown
    /// then, unless it collects tokens.
    ///
    /// Without threads of its own it runs on the calling thread. With several, each has its share of connections,
    /// requests and rate.
    public static func run(
        _ shape: LoadShape, lanes: [LaneSpec], observer: LoadObserver = LoadObserver()
    ) throws(LoadTestError) -> LoadOutcome {
        try check(shape, lanes)
        UnixSocket.allowDescriptors(shape.connections + 64)
        let threads = min(shape.threads, shape.connections)
        let rate: Double? = if case .open(let perSecond) = shape.pace { perSecond / Double(threads) } else { nil }
        if threads == 1 {
            if let core = shape.core { Cores.pin(to: core) }
            var loop = try LoadLoop(shape, lanes: lanes, connections: shape.connections)
            try loop.run(start: Clock.now(), rate: rate, observer: observer)
            return loop.outcome
        }
        // Each opens its connections first; then they start together.
        let start = Clock.now() + 50_000_000 + Int64(shape.connections) * 20_000
        let results = Mutex<[Result<LoadOutcome, LoadTestError>]>([])
        let done = DispatchSemaphore(value: 0)
        for number in 1..<threads {
            let thread = Thread { @Sendable in
                let result = part(number, of: threads, shape, lanes, start: start, rate: rate, observer: LoadObserver())
                results.withLock { $0.append(result) }
                done.signal()
            }
            thread.start()
        }
        let own = part(0, of: threads, shape, lanes, start: start, rate: rate, observer: observer)
        for _ in 1..<threads { done.wait() }
        return try merged([own] + results.withLock { $0 }, of: shape)
    }

    /// The parts of all threads. A signal may come while one thread still connects: what the others made must be known, so
    /// that it can be ended.
    private static func merged(
        _ parts: [Result<LoadOutcome, LoadTestError>], of shape: LoadShape
    ) throws(LoadTestError) -> LoadOutcome {
        var outcome: LoadOutcome?
        var failure: LoadTestError?
        for part in parts {
            do throws(LoadTestError) {
                let part = try part.get()
                if outcome == nil { outcome = part } else { outcome?.merge(part) }
            } catch { failure = failure ?? error }
        }
        if let outcome, failure == nil { return outcome }
        if let outcome, shape.collectsTokens, case .interrupted = failure { return outcome }
        throw failure ?? .usage("there is nothing to send")
    }

    private static func part(
        _ number: Int, of threads: Int, _ shape: LoadShape, _ lanes: [LaneSpec], start: Int64, rate: Double?,
        observer: LoadObserver
    ) -> Result<LoadOutcome, LoadTestError> {
        if let core = shape.core { Cores.pin(to: core + number) }
        var shape = shape
        let connections = shape.connections * (number + 1) / threads - shape.connections * number / threads
        shape.mostRequests = shape.mostRequests.map { $0 * (number + 1) / threads - $0 * number / threads }
        let own = lanes.map { lane in
            var lane = lane
            lane.rows = lane.rows.share(number, of: threads)
            return lane
        }
        do throws(LoadTestError) {
            var loop = try LoadLoop(shape, lanes: own, connections: connections)
            try loop.run(start: start, rate: rate, observer: observer)
            return .success(loop.outcome)
        } catch {
            return .failure(error)
        }
    }

    private static func check(_ shape: LoadShape, _ lanes: [LaneSpec]) throws(LoadTestError) {
        guard shape.connections >= 1, shape.pipeline >= 1, shape.threads >= 1 else {
            throw .usage("connections, pipeline and threads are at least 1")
        }
        guard (1...4).contains(lanes.count), lanes.allSatisfy({ $0.rows.count > 0 && $0.rows.count < 1 << 28 }) else {
            throw .usage("there is nothing to send")
        }
        if case .open(let perSecond) = shape.pace, perSecond <= 0 { throw .usage("a rate is above 0") }
    }
}
