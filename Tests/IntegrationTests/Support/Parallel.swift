import Foundation
import Synchronization
import Testing

/// Runs each test of a suite on a thread of its own, as many at a time as the machine bears.
///
/// These tests block (on sockets, on processes), which the runtime's own few threads are not made for. `TEST_WIDTH`
/// says how many run at once; a test in a suite that counts milliseconds takes more than one place.
struct Parallel: SuiteTrait, TestTrait, TestScoping {
    let places: Int
    var isRecursive: Bool { true }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        guard testCase != nil else { return try await function() }
        await Places.shared.take(places)
        do {
            try await withTaskExecutorPreference(OwnThread()) { try await function() }
        } catch {
            Places.shared.giveBack(places)
            throw error
        }
        Places.shared.giveBack(places)
    }
}

extension Trait where Self == Parallel {
    /// Beside others.
    static var parallel: Parallel { Parallel(places: 1) }
    /// For what measures time or loads both cores by itself.
    static var demanding: Parallel { Parallel(places: Places.shared.width) }
}

/// Counts who may run. First come, first served, so that a demanding test is not starved by small ones.
private final class Places: Sendable {
    static let shared = Places()
    let width: Int
    private let state: Mutex<(free: Int, waiting: [(count: Int, resume: CheckedContinuation<Void, Never>)])>

    init() {
        width = ProcessInfo.processInfo.environment["TEST_WIDTH"].flatMap(Int.init) ?? 4
        state = Mutex((width, []))
    }

    func take(_ count: Int) async {
        await withCheckedContinuation { continuation in
            state.withLock { $0.waiting.append((min(count, width), continuation)) }
            admit()
        }
    }

    func giveBack(_ count: Int) {
        state.withLock { $0.free += min(count, width) }
        admit()
    }

    private func admit() {
        while let next = state.withLock({ state -> CheckedContinuation<Void, Never>? in
            guard let first = state.waiting.first, first.count <= state.free else { return nil }
            state.free -= first.count
            return state.waiting.removeFirst().resume
        }) { next.resume() }
    }
}

/// Gives every job a thread, which may then block for as long as it likes.
private final class OwnThread: TaskExecutor {
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        Thread.detachNewThread { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
