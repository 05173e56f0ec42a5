public import EventLoop

/// What a link or a feed runs on: time and turns, streams, and where chance begins.
public struct LinkHost {
    public let scheduler: any Scheduler
    public let streams: any StreamMaker
    /// Of the jitter between attempts to connect: daemons of a fleet begin with different ones.
    public let seed: UInt64

    public init(scheduler: any Scheduler, streams: any StreamMaker, seed: UInt64) {
        self.scheduler = scheduler
        self.streams = streams
        self.seed = seed
    }

    /// On a loop, over sockets.
    public init(loop: EventLoop) { self.init(scheduler: loop, streams: loop, seed: .random(in: 0 ... .max)) }
}
