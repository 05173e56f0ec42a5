internal import CLinux
internal import EventLoop

/// Gives memory back to the kernel after much of it was let go of.
///
/// The allocator keeps what is freed below something that lives, however much it is: what a burst of large requests
/// took would stay the process's for good (malloc_trim(3)). Handing it back goes through the whole heap, so it is done
/// when it is worth it, and at a bounded rate. Belongs to its loop's thread.
final class MemoryReturn {
    /// Less is not worth the walk.
    static let worthwhile = 8 << 20
    /// Time from the release to the return, and between two returns at least.
    static let interval = Duration.seconds(2)

    private let loop: EventLoop
    private var released = 0
    private var timer: LoopTimer?

    init(loop: EventLoop) { self.loop = loop }

    /// Takes down that so many bytes were let go of.
    func released(_ bytes: Int) {
        released += bytes
        guard released >= Self.worthwhile else { return }
        let timer = timer ?? loop.makeTimer { [unowned self] in giveBack() }
        self.timer = timer
        if !timer.isActive { timer.start(after: Self.interval) }
    }

    private func giveBack() {
        released = 0
        _ = malloc_trim(0)
    }
}
