internal import EventLoop
internal import RedisLink

/// Whether what the near cache holds is what Redis holds.
///
/// *Armed*: every change is being told, by the server that the data connection speaks to. *Fresh*: and Redis has
/// answered a PING on the invalidation connection that was sent at most a second ago. While neither, entries are
/// suspect: of use only for as long as Redis does not answer, and only for `near-cache.serve-stale`.
final class Freshness {
    /// A hit needs a proof of life sent within this long before it.
    static let proofLimit = Duration.seconds(1)
    private static let proofLimitNanoseconds: Int64 = 1_000_000_000

    /// Called after `isArmed` has become true (with true) or false.
    var onChange: ((Bool) -> Void)?
    private(set) var isArmed = false
    var serveStale: Duration

    private let link: RedisLink
    private let feed: InvalidationFeed
    private var subscribedTo: String?
    private var wasReady = false
    /// The last proof of life while armed: from then on changes may go untold, whatever a new subscription proves.
    private var suspectSince: MonotonicInstant?

    init(link: RedisLink, feed: InvalidationFeed, serveStale: Duration) {
        self.link = link
        self.feed = feed
        self.serveStale = serveStale
        feed.onSubscription = { [unowned self] runID in
            subscribedTo = runID
            update()
        }
    }

    /// To be told of every change of the data connection.
    func linkChanged(_ state: LinkState) {
        update()
        guard state == .ready else { return }
        // The server may have been demoted, or be another one, behind a subscription that looks alive.
        if wasReady { feed.renew() }
        wasReady = true
    }

    func isFresh(at now: MonotonicInstant) -> Bool {
        guard isArmed, let proof = feed.lastProof else { return false }
        return now.nanoseconds &- proof.nanoseconds <= Self.proofLimitNanoseconds
    }

    /// Whether an entry may be used although Redis does not answer.
    /// - Parameter isUnanswered: Redis was asked about the session and said nothing: a silence that is younger than a
    ///   proof of life may be.
    func mayServeStale(at now: MonotonicInstant, isUnanswered: Bool = false) -> Bool {
        let proof = isArmed ? feed.lastProof : suspectSince
        guard serveStale > .zero, let proof, isUnanswered || !isFresh(at: now) else { return false }
        return proof.duration(to: now) <= serveStale
    }

    private func update() {
        let isArmed = link.state == .ready && subscribedTo != nil && subscribedTo == link.serverInfo.runID
        guard isArmed != self.isArmed else { return }
        self.isArmed = isArmed
        if !isArmed { suspectSince = feed.lastProof }
        onChange?(isArmed)
    }
}
