import EventLoop
import Glibc
import Testing

extension EventLoop {
    /// Runs until `stop()`, or for `limit`: then the test fails. True if it was stopped in time.
    @discardableResult
    func run(atMost limit: Duration, sourceLocation: SourceLocation = #_sourceLocation) -> Bool {
        var isLate = false
        let guardian = makeTimer { [unowned self] in
            isLate = true
            stop()
        }
        guardian.start(after: limit)
        run()
        guardian.cancel()
        #expect(!isLate, "the loop was not stopped in time", sourceLocation: sourceLocation)
        return !isLate
    }

    /// Runs for this long, and then stops by itself, with room for a busy machine.
    func run(for length: Duration, sourceLocation: SourceLocation = #_sourceLocation) {
        let end = makeTimer { [unowned self] in stop() }
        end.start(after: length)
        run(atMost: .seconds(5), sourceLocation: sourceLocation)
    }
}

/// A connected pair of descriptors, closed with it.
final class SocketPair {
    let ours: Int32
    let theirs: Int32
    /// False once somebody else has closed it.
    var ownsOurs = true

    init() {
        var pair: [Int32] = [-1, -1]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair)
        ours = pair[0]
        theirs = pair[1]
    }

    deinit {
        if ownsOurs { close(ours) }
        close(theirs)
    }
}

/// Counts calls and does what the test says in them.
final class RecordingHandler: DescriptorHandler {
    var watch: DescriptorWatch?
    var reads = 0
    var writes = 0
    var onReadable: ((RecordingHandler) -> Void)?
    var onWritable: ((RecordingHandler) -> Void)?
    /// What `readable()` answers.
    var hasMore = false

    func readable() -> Bool {
        reads += 1
        onReadable?(self)
        return hasMore
    }

    func writable() {
        writes += 1
        onWritable?(self)
    }
}
