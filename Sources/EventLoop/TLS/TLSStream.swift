/// Makes streams over TLS out of plain ones: nobody above knows.
///
/// Belongs to its loop's thread.
public final class TLSStreams: StreamMaker {
    private var context: TLSContext
    private var serverName: String
    private let plain: any StreamMaker
    private let scheduler: any Scheduler

    /// - Parameter serverName: whom certificates must be for; empty: the host that is connected to.
    public init(over plain: any StreamMaker, scheduler: any Scheduler, context: TLSContext, serverName: String = "") {
        self.plain = plain
        self.scheduler = scheduler
        self.context = context
        self.serverName = serverName
    }

    /// For connections from now on; those that stand keep what they were made with.
    public func use(_ context: TLSContext, serverName: String) {
        self.context = context
        self.serverName = serverName
    }

    public func makeStream() -> any OutgoingStream {
        TLSStream(over: plain.makeStream(), scheduler: scheduler, context: context, serverName: serverName)
    }
}

/// A stream over TLS: a filter between its owner and a plain stream.
///
/// The handshake is part of connecting: the owner hears of the connection when the peer's certificate has been checked.
/// Whether the peer takes *our* certificate shows with its first bytes only (TLS 1.3).
final class TLSStream: OutgoingStream {
    weak var delegate: (any ByteStreamDelegate)?

    private let plain: any OutgoingStream
    private let scheduler: any Scheduler
    private let context: TLSContext
    /// Whom the peer's certificate must be for.
    private var name: String
    private var filter: TLSFilter?
    private var isOpen = false
    private var isClosed = false
    /// What was written before the handshake was done, or cannot be encrypted now, in the pieces that OpenSSL is given.
    private var waiting: [[UInt8]] = []
    private var deadline: (any SchedulerTimer)?
    private var buffer = [UInt8](repeating: 0, count: TLSStream.recordBytes)

    /// The most plain bytes of one TLS record.
    private static let recordBytes = 16_384
    /// Encrypted at a time: OpenSSL's buffer keeps the size that it once had, and all of it is cleared each time.
    private static let pieceBytes = 65_536

    init(over plain: any OutgoingStream, scheduler: any Scheduler, context: TLSContext, serverName: String) {
        self.plain = plain
        self.scheduler = scheduler
        self.context = context
        name = serverName
        plain.delegate = self
    }

    func connect(to address: StreamAddress, timeout: Duration) {
        if name.isEmpty, case .tcp(let host, _) = address { name = host }
        // Before whoever asked for the connection gives it up: what it was waiting for is told.
        let timer = scheduler.makeTimer { [unowned self] in
            if filter != nil, !isOpen { ended(.insecure(.unfinished)) }
        }
        timer.start(after: timeout * 19 / 20)
        deadline = timer
        plain.connect(to: address, timeout: timeout)
    }

    func write(_ bytes: [UInt8]) {
        guard !isClosed, !bytes.isEmpty else { return }
        bytes.withUnsafeBytes { bytes in
            var rest = bytes
            while !rest.isEmpty {
                let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(Self.pieceBytes))
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(piece.count))
                if !waiting.isEmpty || !encrypt(piece) { waiting.append(Array(piece)) }
            }
        }
    }

    func close() {
        isClosed = true
        isOpen = false
        deadline?.cancel()
        deadline = nil
        filter = nil
        waiting = []
        plain.close()
    }

    /// Encrypts and sends bytes.
    /// - Returns: whether they are done with; else they are to be given again.
    private func encrypt(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard isOpen, let filter else { return false }
        let progress = filter.write(bytes)
        send(filter)
        switch progress {
        case .done: break
        case .waiting: return false
        // Not from within the owner's call.
        case .failed(let fault): scheduler.later { [weak self] in self?.ended(.insecure(fault)) }
        }
        return true
    }

    private func encryptWaiting() {
        while let first = waiting.first, first.withUnsafeBytes({ encrypt($0) }) { waiting.removeFirst() }
    }

    private func send(_ filter: TLSFilter) {
        filter.takeOutput { plain.write(Array($0)) }
    }

    private func ended(_ reason: StreamCloseReason) {
        guard !isClosed else { return }
        close()
        delegate?.streamClosed(reason)
    }

    /// Goes on with the handshake, and reads what there is to be read.
    private func advance() {
        guard let filter else { return }
        if !isOpen {
            let progress = filter.shakeHands()
            // Also where it failed: the peer is told why.
            send(filter)
            switch progress {
            case .waiting: return
            case .failed(let fault): return ended(.insecure(fault))
            case .done: opened()
            }
        }
        // The owner may close the stream in each call.
        while !isClosed {
            switch buffer.withUnsafeMutableBytes({ filter.read(into: $0) }) {
            case .bytes(let count):
                buffer.withUnsafeBytes {
                    delegate?.streamReceived(UnsafeRawBufferPointer(rebasing: $0[..<min(count, $0.count)]))
                }
            case .nothing:
                send(filter)
                return encryptWaiting()
            case .end: return ended(.endOfFile)
            case .failed(let fault): return ended(.insecure(fault))
            }
        }
    }

    private func opened() {
        isOpen = true
        deadline?.cancel()
        deadline = nil
        encryptWaiting()
        delegate?.streamConnected()
    }
}

extension TLSStream: ByteStreamDelegate {
    func streamConnected() {
        do throws(TLSFault) {
            filter = try TLSFilter(context, name: name)
            advance()
        } catch { ended(.insecure(error)) }
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        filter?.receive(bytes)
        advance()
    }

    func streamClosed(_ reason: StreamCloseReason) {
        if let filter, reason == .endOfFile {
            filter.endInput()
            advance()
        }
        ended(filter != nil && !isOpen ? .insecure(.unfinished) : reason)
    }
}
