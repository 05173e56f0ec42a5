internal import Glibc

/// One connected socket: moves bytes, keeps what the kernel does not take, and tells when the peer takes nothing.
///
/// A value inside its owner, who is called when there is something to read or room to write; none of its methods calls
/// back. Bytes pass through `read` and `send` alone, so that a filter (TLS) has one place to go to. Back-pressure is the
/// owner's: it looks at `unsentBytes`, and turns reading off. Belongs to its loop's thread.
public struct SocketChannel {
    /// What a read found.
    public enum ReadOutcome: Equatable, Sendable {
        /// So many bytes, at least one. Fewer than there was room for: that was all there is.
        case bytes(Int)
        /// Nothing now.
        case nothing
        /// A signal came between: to be tried again.
        case interrupted
        /// The peer sends no more.
        case end
        /// The connection is broken: a number of errno.
        case failed(Int32)
    }

    /// What became of bytes that were given to be sent.
    public enum WriteOutcome: Equatable, Sendable {
        /// The kernel took so many now; the others are kept, in order.
        case taken(Int)
        /// The connection is broken: nothing more can be sent.
        case failed(Int32)
    }

    /// Storage that an idle channel may keep, bytes.
    public static let keptBuffer = 4_096

    public let descriptor: Int32
    @usableFromInline var watch: DescriptorWatch?
    /// What the kernel has not taken, from `outputStart` on.
    @usableFromInline var output: [UInt8] = []
    @usableFromInline var outputStart = 0
    /// Since when the peer has taken nothing of what waits for it.
    public private(set) var stalledSince: MonotonicInstant?
    @usableFromInline var released = 0

    /// Takes over a connected, non-blocking descriptor.
    public init(_ descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Has the handler called for what is there to read, and later for room to write.
    /// - Parameter urgency: before whom it is called.
    /// - Returns: whether the kernel watches the descriptor.
    public mutating func open(on loop: EventLoop, handler: any DescriptorHandler, _ urgency: Urgency = .usual) -> Bool {
        let watch = loop.watch(descriptor, handler: handler, urgency)
        self.watch = watch
        watch.setReading(true)
        return watch.isReading
    }

    // What a request asks for is worked out at its owner's: elsewhere, all of the value would be copied for it.

    @inlinable public var isReading: Bool { watch?.isReading == true }
    /// Bytes that wait for the kernel.
    @inlinable public var unsentBytes: Int { output.count &- outputStart }
    /// Nothing waits, and nothing was given back.
    @inlinable public var isQuiet: Bool { output.isEmpty && released == 0 }

    // MARK: Reading

    /// Reads what is there, as far as there is room.
    public mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> ReadOutcome {
        let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
        if count > 0 { return .bytes(count) }
        if count == 0 { return .end }
        return errno == EAGAIN ? .nothing : errno == EINTR ? .interrupted : .failed(errno)
    }

    public func setReading(_ on: Bool) { watch?.setReading(on) }

    /// Has `readable()` called once more: see `DescriptorWatch.activateRead`.
    public func activateRead() { watch?.activateRead() }

    // MARK: Writing

    /// Sends bytes behind those that wait. They are taken over before this returns.
    public mutating func write(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
        var sent = 0
        if output.isEmpty {
            switch send(bytes) {
            case .failed(let number): return .failed(number)
            case .taken(let count):
                if count == bytes.count { return .taken(count) }
                sent = count
            }
        }
        append(UnsafeRawBufferPointer(rebasing: bytes[sent...]))
        settle(hasProgress: sent > 0)
        return .taken(sent)
    }

    /// Keeps bytes behind those that wait, for the next `flush`.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) { output.append(contentsOf: bytes) }

    /// Sends what waits, as far as the kernel takes it.
    public mutating func flush() -> WriteOutcome {
        let outcome = output.withUnsafeBytes { send(UnsafeRawBufferPointer(rebasing: $0[outputStart...])) }
        guard case .taken(let count) = outcome else { return outcome }
        outputStart += count
        settle(hasProgress: count > 0)
        return outcome
    }

    private func send(_ bytes: UnsafeRawBufferPointer) -> WriteOutcome {
        guard !bytes.isEmpty else { return .taken(0) }
        let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 { return .taken(count) }
        return errno == EAGAIN || errno == EINTR ? .taken(0) : .failed(errno)
    }

    /// Waits for room as long as something is left, and gives storage back.
    private mutating func settle(hasProgress: Bool) {
        guard unsentBytes > 0 else {
            dropOutput()
            stalledSince = nil
            watch?.setWriting(false)
            return
        }
        if outputStart > Self.keptBuffer {
            output.removeFirst(outputStart)
            outputStart = 0
        }
        if hasProgress || stalledSince == nil { stalledSince = .now() }
        watch?.setWriting(true)
    }

    private mutating func dropOutput() {
        if output.capacity > Self.keptBuffer {
            released += output.capacity
            output = []
        } else {
            output.removeAll(keepingCapacity: true)
        }
        outputStart = 0
    }

    /// Bytes of storage that were given back since this was asked last.
    public mutating func takeReleased() -> Int {
        defer { released = 0 }
        return released
    }

    // MARK: End

    /// Closes the socket; what waits is dropped, and nobody is called any more.
    public mutating func close() {
        guard let watch else { return }
        watch.close()
        self.watch = nil
        released += output.capacity
        output = []
        outputStart = 0
        stalledSince = nil
    }
}
