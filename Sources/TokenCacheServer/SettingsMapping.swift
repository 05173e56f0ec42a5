internal import Glibc
internal import RedisLink
internal import TokenCache
internal import Tokens
internal import WireProtocol

extension TokenPolicy {
    init(_ settings: Settings) {
        self.init(
            rotationAfter: settings.rotation.after.wholeMilliseconds,
            rotationOverlap: settings.rotation.overlap.wholeMilliseconds,
            onReplay: settings.rotation.onReplay == .revoke ? .revoke : .reject,
            lostSuccessor: settings.rotation.lostSuccessor == .recover ? .recover : .refuse,
            replayGrace: settings.rotation.replayGrace.wholeMilliseconds,
            idle: settings.session.idle.wholeMilliseconds, absolute: settings.session.absolute.wholeMilliseconds,
            maxAbsolute: settings.session.maxAbsolute.wholeMilliseconds,
            touchInterval: settings.session.touchInterval.wholeMilliseconds,
            tombstone: settings.session.tombstone.wholeMilliseconds, maxData: settings.session.maxData)
    }
}

extension StatelessPolicy {
    init(_ settings: Settings) {
        self.init(
            guestLifetime: settings.guest.lifetime.components.seconds,
            guestAbsolute: settings.guest.absolute.components.seconds,
            csrfLifetime: settings.csrf.lifetime.components.seconds,
            requiresSameOrigin: settings.csrf.enforce == .sameOrigin,
            captchaLifetime: settings.captcha.lifetime.components.seconds, captchaLength: settings.captcha.length,
            bindings: BindingPolicy(
                ip: BindingMode(settings.binding.ip), userAgent: BindingMode(settings.binding.userAgent),
                prefix4: settings.binding.prefix4, prefix6: settings.binding.prefix6),
            captchaBinding: CaptchaBinding(rawValue: settings.captcha.binding.rawValue) ?? .inherit)
    }
}

extension BindingMode {
    init(_ mode: Settings.BindingMode) {
        self =
            switch mode {
            case .off: .off
            case .log: .log
            case .strict: .strict
            }
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
    /// Where to connect; nil for the embedded server. Settings that were loaded name nothing else.
    var endpoint: RedisEndpoint? {
        let login = RedisLogin(
            user: url.user, password: url.password.map { RedisPassword($0.reveal()) }, database: url.database)
        switch url.target {
        case .embedded, .sentinel, .cluster: return nil
        case .unix(let path): return .unix(path: path, login: login)
        case .standalone(let endpoint): return .tcp(host: endpoint.host, port: endpoint.port, login: login)
        }
    }
}
