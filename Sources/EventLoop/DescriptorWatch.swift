internal import CLinux
internal import Glibc

/// What a watched descriptor tells its owner; called on the loop's thread.
public protocol DescriptorHandler: AnyObject {
    /// There is something to read, an end of file or an error; or `activateRead()` asked for this call.
    ///
    /// It is not called again for what it leaves unread, unless it says so: then it is called in the next turn. Once the
    /// peer has closed it is called until it has found the end of file, and turns reading off or cancels.
    /// - Returns: whether there may be more to read. A read that was given less than it had room for found all there is
    ///   (unless descriptors came along, `SCM_RIGHTS`: what follows them is told with the next bytes).
    func readable() -> Bool
    /// There is room to write, or an error.
    func writable()
}

/// Before whom a watch is called in a turn.
public enum Urgency: Sendable {
    /// Before all others: what many wait for, as a Redis's answers.
    case first
    case usual
}

/// One descriptor in the loop. Belongs to its loop's thread.
///
/// This is the hot path: one indirect call from the event to the handler. The handler is held unowned, so it must
/// own the watch, or cancel it before it dies. In its own callback a handler may cancel the watch, let go of it, or
/// let go of itself: it is kept alive for the length of the call, and no further call follows a cancel.
public final class DescriptorWatch {
    public let descriptor: Int32
    /// Whether `readable()` is called.
    public private(set) var isReading = false
    private(set) var isWriting = false
    var isActivated = false
    /// The peer writes no more: behind what is there to read stands the end of file.
    var hasEnded = false
    private var isRegistered = false
    private var isCancelled = false
    /// Unchecked, as this is the hot path.
    unowned(unsafe) let handler: any DescriptorHandler
    /// Where it stands, to be told without counting a reference.
    let handlerAddress: UnsafeRawPointer
    /// Kept, so that the poll lives.
    private let loop: EventLoop
    private let poll: DescriptorPoll

    init(loop: EventLoop, poll: DescriptorPoll, descriptor: Int32, handler: any DescriptorHandler) {
        self.loop = loop
        self.poll = poll
        self.descriptor = descriptor
        self.handler = handler
        handlerAddress = UnsafeRawPointer(Unmanaged.passUnretained(handler as AnyObject).toOpaque())
    }

    deinit {
        cancel()
    }

    /// Turns calls of `readable()` on or off. Turned on, it is called for what is there already, too.
    ///
    /// It stays off where the kernel refuses: out of memory, or more descriptors than `fs.epoll.max_user_watches`.
    public func setReading(_ on: Bool) {
        guard on != isReading, !isCancelled else { return }
        isReading = on
        // Turned off it costs no system call: what arrives is found when it is turned on again.
        if on, !register() { isReading = false }
    }

    /// Turns calls of `writable()` on or off.
    public func setWriting(_ on: Bool) {
        guard on != isWriting, !isCancelled else { return }
        isWriting = on
        register()
    }

    /// Calls `readable()` once at the end of the next turn, also without new bytes and also while reading is off.
    ///
    /// For a handler that stops after its share of a turn and has more in its buffer; others come between.
    public func activateRead() {
        guard !isCancelled, !isActivated else { return }
        isActivated = true
        poll.activate(self)
    }

    /// Ends all calls, for good. The descriptor stays open.
    public func cancel() { cancel(isRegistered: isRegistered) }

    /// Ends all calls, for good, and closes the descriptor, which must be the only one of its socket.
    ///
    /// The kernel forgets what was closed by itself (epoll(7)): a system call less than `cancel` and a close.
    public func close() {
        cancel(isRegistered: false)
        Glibc.close(descriptor)
    }

    private func cancel(isRegistered: Bool) {
        guard !isCancelled else { return }
        isCancelled = true
        isReading = false
        isWriting = false
        poll.forget(self, isRegistered: isRegistered, isActivated: isActivated)
    }

    /// Tells the kernel what is wanted; what holds already is reported.
    /// - Returns: whether the kernel took it.
    @discardableResult
    func register() -> Bool {
        let reading = isReading ? EPOLLIN.rawValue | EPOLLRDHUP.rawValue : 0
        let writing = isWriting ? EPOLLOUT.rawValue : 0
        guard poll.register(for: reading | writing, of: self, isNew: !isRegistered) else { return false }
        isRegistered = true
        return true
    }
}
