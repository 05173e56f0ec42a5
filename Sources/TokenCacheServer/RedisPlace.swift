public import EventLoop
internal import Glibc
internal import Logging
public import RedisLink

/// A Redis as a daemon's configuration names it, for a program that is no daemon: `tokencachectl migrate`.
///
/// Belongs to its loop's thread.
public final class RedisPlace {
    /// What is to be done there.
    public enum Purpose: Sendable {
        /// All is read, and every change is told. It needs no right to write.
        case source
        /// All is read and written.
        case target
    }

    public let router: RedisRouter
    /// `redis.prefix`.
    public let prefix: [UInt8]
    /// `redis.url` without its password; of an embedded server its socket.
    public let name: String
    /// The ACL user; nil: `default`.
    public let user: String?
    /// The daemon's own server, which it starts and ends.
    public let isEmbedded: Bool
    /// The key ring that a daemon with these settings uses; empty: none.
    public let keyRingFile: String
    private let access: RedisAccess
    /// Of its servers, those that were asked for.
    private var followers: [RedisNode] = []

    /// How long a request may take: more than a daemon grants, whose visitors wait.
    private static let timeout = Duration.seconds(10)

    /// - Parameter scripts: that are run there.
    public init(
        _ settings: Settings, for purpose: Purpose, scripts: [RedisScript] = [], loop: EventLoop,
        environment: [String: String]
    ) throws {
        isEmbedded = settings.redis.url.target == .embedded
        let socket = "\(settings.stateDirectory)/redis/redis.sock"
        name = isEmbedded ? "unix://\(socket)" : settings.redis.url.description
        user = settings.redis.url.user
        prefix = Array(settings.redis.prefix.utf8)
        keyRingFile = settings.keyring.file
        let log = LogOutput(level: .error, journalStream: nil)
        access = try RedisAccess(
            settings, endpoint: settings.redisEndpoint ?? .unix(path: socket), isEmbedded: isEmbedded, loop: loop,
            environment: environment, log: log, logger: log.logger(label: "tokencachectl"), scripts: scripts
        ) { node in
            node.link.timeout = Self.timeout
            node.link.connectTimeout = .seconds(5)
            // An index may have as many members as a subject has sessions.
            node.link.maxReplyElements = 8 << 20
            node.link.maxReplyBytes = 512 << 20
            node.link.maxPendingBytes = 512 << 20
            node.hasFeed = purpose == .source
            node.tellsAll = true
            node.proof = .ping
            // One that was begun before goes on, and one that goes back goes where there is one.
            node.heedsMoves = false
            node.waitReplicas = 0
        }
        router = access.router
    }

    /// Why it is out of reach, or who says where it is; nil while nothing is known.
    public var fault: RedisFault? {
        let states = [router.first.state] + (access.topology?.informants.map(\.state) ?? [])
        for case .down(let fault) in states { return fault }
        return nil
    }

    /// A server that follows one of its own, connected to from now on.
    public func follower(at endpoint: RedisEndpoint) -> RedisNode {
        if let known = followers.first(where: { $0.endpoint == endpoint }) { return known }
        let follower = access.makeFollower(endpoint)
        followers.append(follower)
        follower.start()
        return follower
    }

    public func start() { access.start { true } }

    public func stop() {
        access.stop()
        for follower in followers { follower.close() }
    }
}

extension Settings {
    /// `redis.prefix`.
    public var keyPrefix: String { self.redis.prefix }
}
