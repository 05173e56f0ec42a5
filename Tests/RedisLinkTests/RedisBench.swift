import EventLoop
import Logging
import TestSupport
import Testing

@testable import RedisLink

extension EventLoop {
    /// Runs until `body` says that it is done; a test fails where that takes longer than `limit`.
    func run(
        atMost limit: Duration = .seconds(20), _ what: String, sourceLocation: SourceLocation,
        _ body: (_ done: @escaping () -> Void) -> Void
    ) {
        var isDone = false
        let guardian = makeTimer { [unowned self] in stop() }
        guardian.start(after: limit)
        body { [unowned self] in
            isDone = true
            stop()
        }
        run()
        guardian.cancel()
        #expect(isDone, "\(what) did not happen in time", sourceLocation: sourceLocation)
    }
}

extension RedisProcess {
    var endpoint: RedisEndpoint { .unix(path: socket) }
}

/// One loop with one link on it, driven step by step by a test.
final class Bench {
    let loop: EventLoop
    let link: RedisLink
    private(set) var states: [LinkState] = []
    private var onState: (() -> Void)?

    /// - Parameter over: what filters the streams.
    init(
        _ endpoint: RedisEndpoint, scripts: [RedisScript] = [], _ change: (inout LinkSettings) -> Void = { _ in },
        over: (EventLoop) -> any StreamMaker = { $0 }
    ) throws {
        loop = try EventLoop()
        var settings = LinkSettings()
        change(&settings)
        var logger = Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() })
        logger.logLevel = .critical
        link = RedisLink(
            host: LinkHost(loop: loop, streams: over(loop)), endpoint: endpoint, settings: settings, scripts: scripts,
            logger: logger)
        link.onStateChange = { [unowned self] state in
            states.append(state)
            onState?()
        }
        link.start()
    }

    deinit {
        link.onStateChange = nil
        link.close()
    }

    /// Runs the loop until `body` says that it is done.
    func run(
        atMost limit: Duration = .seconds(20), _ what: String = "it", sourceLocation: SourceLocation = #_sourceLocation,
        _ body: (_ done: @escaping () -> Void) -> Void
    ) {
        loop.run(atMost: limit, what, sourceLocation: sourceLocation, body)
    }

    /// Runs the loop until the link's state fulfils a condition.
    func wait(
        _ what: String, sourceLocation: SourceLocation = #_sourceLocation,
        until condition: @escaping (LinkState) -> Bool
    ) {
        if condition(link.state) { return }
        run(what, sourceLocation: sourceLocation) { done in
            onState = { [unowned self] in if condition(link.state) { done() } }
        }
        onState = nil
    }

    func waitReady(sourceLocation: SourceLocation = #_sourceLocation) {
        wait("ready", sourceLocation: sourceLocation) { $0 == .ready }
    }

    func waitDown(_ kind: RedisFault.Kind, sourceLocation: SourceLocation = #_sourceLocation) {
        wait("down: \(kind)", sourceLocation: sourceLocation) { state in
            guard case .down(let fault) = state else { return false }
            return fault.kind == kind
        }
    }

    func pause(_ duration: Duration) {
        run { done in
            let timer = loop.makeTimer(done)
            timer.start(after: duration)
            loop.later { _ = timer }
            timers.append(timer)
        }
    }
    private var timers: [LoopTimer] = []

    /// Sends a command and runs the loop until it completes.
    @discardableResult
    func call(_ words: String..., repeatable: Bool = false) -> Result<RedisReply, RedisFault> {
        var result: Result<RedisReply, RedisFault>?
        run(words.joined(separator: " ")) { done in
            link.send(RedisCommand(words.map { Array($0.utf8) }), repeatable: repeatable) {
                #expect(result == nil)
                result = $0
                done()
            }
            #expect(result == nil)
        }
        return result ?? .failure(RedisFault(.other, "no result"))
    }

    func call(_ script: RedisScript, _ arguments: String..., repeatable: Bool = false) -> Result<RedisReply, RedisFault>
    {
        var result: Result<RedisReply, RedisFault>?
        run(script.name) { done in
            link.run(
                script, keys: [Array("k".utf8)], arguments: arguments.map { Array($0.utf8) }, repeatable: repeatable
            ) {
                result = $0
                done()
            }
        }
        return result ?? .failure(RedisFault(.other, "no result"))
    }
}

extension RedisReply {
    static func text(_ text: String) -> RedisReply { .bulk(Array(text.utf8)) }
}
