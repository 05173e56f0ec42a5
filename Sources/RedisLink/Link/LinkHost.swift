public import EventLoop

/// What a link or a feed runs on: time and turns, streams, and where chance begins.
public struct LinkHost {
    public let scheduler: any Scheduler
    public let streams: any StreamMaker
    /// For feeds; nil: the same.
    private let feedStreams: (any StreamMaker)?
    /// Of the jitter between attempts to connect: daemons of a fleet begin with different ones.
    public let seed: UInt64

    public init(
        scheduler: any Scheduler, streams: any StreamMaker, feedStreams: (any StreamMaker)? = nil, seed: UInt64
    ) {
        self.scheduler = scheduler
        self.streams = streams
        self.feedStreams = feedStreams
        self.seed = seed
    }

    /// What the feed beside a link runs on.
    var forFeed: LinkHost {
        LinkHost(scheduler: scheduler, streams: feedStreams ?? streams, seed: seed &+ 1)
    }

    /// What the link beside a link runs on that waits for replicas.
    var forWait: LinkHost { LinkHost(scheduler: scheduler, streams: streams, seed: seed &+ 2) }

    /// On a loop, over its sockets or what filters them.
    public init(loop: EventLoop, streams: (any StreamMaker)? = nil) {
        self.init(scheduler: loop, streams: streams ?? loop, seed: .random(in: 0 ... .max))
    }
}
