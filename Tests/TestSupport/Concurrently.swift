import Foundation
import Synchronization

/// Runs `work` on as many threads as `count` says, all released at the same moment after every `prepare` is done, and
/// returns what they returned, in order. The first error of any of them is thrown when all have ended.
public func concurrently<Tool: Sendable, Result: Sendable>(
    _ count: Int, prepare: @escaping @Sendable (Int) throws -> Tool,
    work: @escaping @Sendable (Int, Tool) throws -> Result
) throws -> [Result] {
    let line = StartingLine(count)
    let results = Mutex<[Int: Swift.Result<Result, any Error>]>([:])
    let done = DispatchSemaphore(value: 0)
    for index in 0..<count {
        let thread = Thread {
            let tool = Swift.Result { try prepare(index) }
            line.arriveAndWait()
            let result = tool.flatMap { tool in Swift.Result { try work(index, tool) } }
            results.withLock { $0[index] = result }
            done.signal()
        }
        thread.stackSize = 1 << 20
        thread.start()
    }
    for _ in 0..<count { done.wait() }
    return try results.withLock { results in
        try (0..<count).map { index in
            guard let result = results[index] else { throw HarnessFailure("thread \(index) left nothing") }
            return try result.get()
        }
    }
}

/// As above, for work that needs nothing prepared.
public func concurrently<Result: Sendable>(
    _ count: Int, work: @escaping @Sendable (Int) throws -> Result
) throws -> [Result] {
    try concurrently(count, prepare: { _ in () }, work: { index, _ in try work(index) })
}

/// Holds threads back until all have arrived.
private final class StartingLine: Sendable {
    private let missing: Mutex<Int>
    private let gate = DispatchSemaphore(value: 0)
    private let count: Int

    init(_ count: Int) {
        self.count = count
        missing = Mutex(count)
    }

    func arriveAndWait() {
        let isLast = missing.withLock { missing in
            missing -= 1
            return missing == 0
        }
        if isLast { for _ in 0..<count { gate.signal() } }
        gate.wait()
    }
}

/// Something that goes on in the background while a test works, until it is told to stop.
public final class Background: Sendable {
    private let stopping = Atomic<Bool>(false)
    private let done = DispatchSemaphore(value: 0)
    private let failure = Mutex<(any Error)?>(nil)

    /// Calls `step` over and over.
    public init(_ step: @escaping @Sendable () throws -> Void) {
        Thread.detachNewThread { [self] in
            while !stopping.load(ordering: .relaxed) {
                do { try step() } catch {
                    failure.withLock { $0 = error }
                    break
                }
            }
            done.signal()
        }
    }

    /// Ends it after the step under way and throws what a step threw.
    public func stop() throws {
        stopping.store(true, ordering: .relaxed)
        guard done.wait(timeout: .now() + 30) == .success else { throw HarnessFailure("background work does not end") }
        if let error = failure.withLock({ $0 }) { throw error }
    }
}
