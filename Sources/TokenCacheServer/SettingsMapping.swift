internal import Glibc
internal import RedisLink
internal import Tokens
internal import WireProtocol

extension TokenPolicy {
    init(_ settings: Settings) {
        self.init(
            rotationAfter: settings.rotation.after.wholeMilliseconds,
            rotationOverlap: settings.rotation.overlap.wholeMilliseconds,
            onReplay: settings.rotation.onReplay == .revoke ? .revoke : .reject,
            replayGrace: settings.rotation.replayGrace.wholeMilliseconds,
            idle: settings.session.idle.wholeMilliseconds, absolute: settings.session.absolute.wholeMilliseconds,
            maxAbsolute: settings.session.maxAbsolute.wholeMilliseconds,
            touchInterval: settings.session.touchInterval.wholeMilliseconds,
            tombstone: settings.session.tombstone.wholeMilliseconds, maxData: settings.session.maxData)
    }
}

extension AccessRules {
    init(_ access: Settings.Access) {
        self.init(
            everyone: Role(access.defaultRole), users: access.userIDs.mapValues(Role.init),
            groups: access.groupIDs.mapValues(Role.init), ownUserID: geteuid())
    }
}

extension Role {
    init(_ role: AccessRole) {
        self =
            switch role {
            case .none: .none
            case .validator: .validator
            case .worker: .worker
            case .admin: .admin
            }
    }
}

extension Settings.Redis {
    /// Where to connect; nil for the embedded server. What the URL can say but this version cannot do is an error.
    func endpoint() throws(StartError) -> RedisEndpoint? {
        let login = RedisLogin(
            user: url.user, password: url.password.map { RedisPassword($0.reveal()) }, database: url.database)
        guard !url.tls else { throw .notYet("TLS (rediss://)") }
        switch url.target {
        case .embedded: return nil
        case .unix(let path): return .unix(path: path, login: login)
        case .standalone(let endpoint): return .tcp(host: endpoint.host, port: endpoint.port, login: login)
        case .sentinel: throw .notYet("sentinel://")
        case .cluster: throw .notYet("cluster://")
        }
    }
}

extension StartError {
    fileprivate static func notYet(_ what: String) -> StartError {
        StartError(
            "redis.url: this version does not speak \(what) yet; "
                + "allowed now: embedded, unix:///path, redis://[user:password@]host:port[/db]",
            exitStatus: 78)
    }
}
