internal import EventLoop
internal import Glibc
internal import RedisLink

/// Lets straight code wait for what a loop brings: it turns the loop until all answers have come.
///
/// Belongs to its loop's thread, outside of the loop's own turns.
final class Pump {
    let loop: EventLoop
    private var signals: [SignalWatch] = []
    private var isInterrupted = false

    /// From now on SIGINT and SIGTERM end the waiting, not the process.
    init(loop: EventLoop) {
        self.loop = loop
        signals = [SIGINT, SIGTERM].map { number in
            loop.onSignal(number) { [unowned self] in
                isInterrupted = true
                loop.stop()
            }
        }
    }

    /// Sends so many requests, and returns their results in that order.
    /// - Parameter send: sends one of them, by its number.
    func gather(
        _ count: Int, _ send: (Int, @escaping RedisLink.Completion) -> Void
    ) throws(MigrationFault) -> [Result<RedisReply, RedisFault>] {
        let answers = Answers(count)
        for number in 0..<count {
            send(number) { [loop] result in if answers.take(result, number) { loop.stop() } }
        }
        while answers.missing > 0 {
            loop.run()
            if isInterrupted { throw .interrupted }
        }
        return answers.results
    }

    /// Turns the loop for so long.
    func pause(_ span: Duration) throws(MigrationFault) {
        let timer = loop.makeTimer { [loop] in loop.stop() }
        timer.start(after: span)
        loop.run()
        timer.cancel()
        if isInterrupted { throw .interrupted }
    }

    /// Turns the loop until something is so.
    /// - Returns: whether it is, within the limit.
    func wait(_ limit: Duration, until isSo: () -> Bool) throws(MigrationFault) -> Bool {
        let start = MonotonicInstant.now()
        while !isSo() {
            guard start.duration(to: .now()) < limit else { return false }
            try pause(.milliseconds(20))
        }
        return true
    }

    /// What has come of some requests.
    private final class Answers {
        var results: [Result<RedisReply, RedisFault>]
        private(set) var missing: Int

        init(_ count: Int) {
            results = Array(repeating: .success(.null), count: count)
            missing = count
        }

        /// - Returns: whether that was the last one.
        func take(_ result: Result<RedisReply, RedisFault>, _ number: Int) -> Bool {
            results[number] = result
            missing -= 1
            return missing == 0
        }
    }
}
