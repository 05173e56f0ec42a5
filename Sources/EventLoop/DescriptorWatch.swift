internal import CLibevent

/// What a watched descriptor tells its owner; called on the loop's thread.
public protocol DescriptorHandler: AnyObject {
    /// There is something to read, an end of file or an error; or `activateRead()` asked for this call.
    func readable()
    /// There is room to write, or an error.
    func writable()
}

/// One descriptor in the loop: plain persistent libevent events, level-triggered. Belongs to its loop's thread.
///
/// This is the hot path: one indirect call from the event to the handler. The handler is held unowned, so it must
/// own the watch, or cancel it before it dies. In its own callback a handler may cancel the watch, let go of it, or
/// let go of itself: it is kept alive for the length of the call, and no further call follows a cancel.
public final class DescriptorWatch {
    public let descriptor: Int32
    private let loop: EventLoop
    /// Unchecked, as this is the hot path.
    private unowned(unsafe) let handler: any DescriptorHandler
    private var readEvent: OpaquePointer?
    /// Made when first needed: most connections never have to wait for room.
    private var writeEvent: OpaquePointer?
    /// A timer of length zero: libevent then takes the turn in between that `event_active` would not.
    private var activation: OpaquePointer?
    /// Whether `readable()` is called.
    public private(set) var isReading = false
    private var isWriting = false
    private var isCancelled = false

    init(loop: EventLoop, descriptor: Int32, handler: any DescriptorHandler) {
        self.loop = loop
        self.descriptor = descriptor
        self.handler = handler
    }

    deinit {
        cancel()
    }

    /// Turns calls of `readable()` on or off.
    public func setReading(_ on: Bool) {
        guard on != isReading, !isCancelled else { return }
        if readEvent == nil { readEvent = makeReadEvent(on: descriptor, Int16(EV_READ | EV_PERSIST)) }
        guard let readEvent else { return }
        isReading = on
        if on { event_add(readEvent, nil) } else { event_del(readEvent) }
    }

    /// Turns calls of `writable()` on or off.
    public func setWriting(_ on: Bool) {
        guard on != isWriting, !isCancelled else { return }
        if writeEvent == nil { writeEvent = makeWriteEvent() }
        guard let writeEvent else { return }
        isWriting = on
        if on { event_add(writeEvent, nil) } else { event_del(writeEvent) }
    }

    /// Calls `readable()` once in the next turn, also without new bytes and also while reading is off.
    ///
    /// For a handler that stops after its share of a turn and has more in its buffer; others come between.
    public func activateRead() {
        guard !isCancelled else { return }
        if activation == nil { activation = makeReadEvent(on: -1, 0) }
        guard let activation else { return }
        var time = Duration.zero.timeval
        event_add(activation, &time)
    }

    /// Ends all calls, for good. The descriptor stays open.
    public func cancel() {
        isCancelled = true
        isReading = false
        isWriting = false
        if let event = readEvent { event_free(event) }
        if let event = writeEvent { event_free(event) }
        if let event = activation { event_free(event) }
        readEvent = nil
        writeEvent = nil
        activation = nil
    }

    private func makeReadEvent(on descriptor: Int32, _ what: Int16) -> OpaquePointer? {
        event_new(
            loop.base, descriptor, what,
            { _, _, context in
                guard let context else { return }
                Unmanaged<DescriptorWatch>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.handler.readable() }
            },
            Unmanaged.passUnretained(self).toOpaque())
    }

    private func makeWriteEvent() -> OpaquePointer? {
        event_new(
            loop.base, descriptor, Int16(EV_WRITE | EV_PERSIST),
            { _, _, context in
                guard let context else { return }
                Unmanaged<DescriptorWatch>.fromOpaque(context)._withUnsafeGuaranteedRef { $0.handler.writable() }
            },
            Unmanaged.passUnretained(self).toOpaque())
    }
}
