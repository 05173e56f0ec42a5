import Dispatch
import Synchronization
import TestSupport

/// Runs asynchronous work to its end in a test that blocks.
func waiting<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) throws -> Result {
    let done = DispatchSemaphore(value: 0)
    let outcome = Outcome<Result>()
    Task.detached {
        do { outcome.note(.success(try await body())) } catch { outcome.note(.failure(error)) }
        done.signal()
    }
    done.wait()
    return try outcome.get()
}

private final class Outcome<Value: Sendable>: Sendable {
    private let result = Mutex<Result<Value, any Error>?>(nil)

    func note(_ result: Result<Value, any Error>) { self.result.withLock { $0 = result } }

    func get() throws -> Value {
        guard let result = result.withLock({ $0 }) else { throw HarnessFailure("the work left nothing") }
        return try result.get()
    }
}
