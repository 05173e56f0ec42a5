/// How fast a server answered one kind of request, over all rounds.
public struct Speed: Codable, Sendable {
    /// Answers a second.
    public var throughput: Spread
    /// To the throughput that a table compares with, round by round.
    public var ratio: Spread?
    /// Server CPU an answer, µs.
    public var serverMicroseconds: Spread?
    /// Shares of a core, medians.
    public var serverLoad: Double?
    public var clientLoad: Double
    /// The client had no time left while the server had: the server can do more than this.
    public var isClientBound: Bool
    /// Round by round, for ratios.
    public var throughputs: [Double] = []
    public var microseconds: [Double] = []
}

extension Speed {
    /// Nil if there is no sample.
    /// - Parameters:
    ///   - samples: one a round.
    ///   - bases: the throughputs that it is compared with, of the same rounds.
    init?(_ samples: [Sample], bases: [Double]) {
        throughputs = samples.map(\.outcome.throughput)
        microseconds = samples.compactMap(\.serverMicroseconds)
        guard let throughput = Spread(throughputs), let clientLoad = Spread(samples.map(\.clientLoad))?.median else {
            return nil
        }
        self.throughput = throughput
        ratio = Spread.ratio(throughputs, to: bases)
        serverMicroseconds = Spread(microseconds)
        serverLoad = Spread(samples.compactMap(\.serverLoad))?.median
        self.clientLoad = clientLoad
        isClientBound = Bottleneck.isClient(clientLoad: clientLoad, serverLoad: serverLoad)
    }
}

/// What a speed is that of.
public protocol SpeedSubject: Codable, Sendable {
    /// As JSON names it.
    static var member: String { get }
    /// As tables name it.
    var title: String { get }
}

/// A row of a table of speeds. In JSON one object: the subject, and what was measured of it.
public struct SpeedRow<Subject: SpeedSubject>: Codable, Sendable {
    public var subject: Subject
    public var speed: Speed

    private struct Member: CodingKey {
        let stringValue = Subject.member
        let intValue: Int? = nil

        init() {}
        init?(stringValue: String) { guard stringValue == Subject.member else { return nil } }
        init?(intValue: Int) { nil }
    }

    init(_ subject: Subject, _ speed: Speed) {
        self.subject = subject
        self.speed = speed
    }

    public init(from decoder: any Decoder) throws {
        subject = try decoder.container(keyedBy: Member.self).decode(Subject.self, forKey: Member())
        speed = try Speed(from: decoder)
    }

    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: Member.self)
        try members.encode(subject, forKey: Member())
        try speed.encode(to: encoder)
    }
}
