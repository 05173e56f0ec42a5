internal import TokenCache
internal import Tokens
internal import WireProtocol

/// The last step of loading: what can be judged only when all values are together, and what the host must answer.
struct SettingsResolution {
    private(set) var settings: Settings
    private(set) var problems: [SettingsProblem] = []
    private let sources: SettingSources
    private let host: LocalHost

    init(settings: Settings, sources: SettingSources, host: LocalHost) {
        self.settings = settings
        self.sources = sources
        self.settings.warnings = sources.warnings
        self.host = host
    }

    mutating func resolve(_ paths: DefaultPaths) {
        resolvePaths(paths)
        resolveNames()
        checkLimits()
        checkCertificates(paths)
        checkPasswords(paths)
        resolveKeyring(paths)
        checkGuests()
        checkHTTP()
    }

    private mutating func checkHTTP() {
        let http = settings.http
        for listener in http.listen {
            guard case .unix(_, _, let group) = listener.place, !group.isEmpty else { continue }
            settings.resolved.httpGroups[group] = take(host.groupID(group), "http.listen", shown: group)
        }
        let places = http.listen.map(\.place)
        if places.indices.contains(where: { index in places[..<index].contains { $0.isSame(as: places[index]) } }) {
            refuse("http.listen", "names a place twice: RESP and HTTP, and two listeners, never share a socket")
        }
        if places.contains(where: { $0.path == settings.socket.path }) {
            refuse("http.listen", "names socket.path: RESP and HTTP never share a socket")
        }
        if http.cookieName.hasPrefix("__Host-"), http.cookiePath != "/" || !http.cookieDomain.isEmpty {
            refuse(
                "http.cookie-name",
                "begins with __Host-, and browsers take that with Path / and no Domain only: leave http.cookie-path and "
                    + "http.cookie-domain as they are, or take another name")
        }
        let serves = Set(http.listen.flatMap(\.serve))
        if settings.binding.ip != .off, http.clientIPHeader.isEmpty, serves.contains(.auth) {
            warn("binding.ip is on, and http.client-ip-header is empty: /auth knows no visitor's address")
        }
    }

    private mutating func refuse(_ key: String, _ message: String) {
        problems.append(SettingsProblem(key: key, origin: sources.origin(of: key), message))
    }

    /// Where the key ring is: named, handed over by systemd, or the daemon's own beside its embedded Redis.
    private mutating func resolveKeyring(_ paths: DefaultPaths) {
        let isEmbedded = settings.redis.url.target == .embedded
        if !settings.keyring.file.isEmpty {
            settings.resolved.isKeyringMade = false
            settings.resolved.isKeyringCredential = paths.isCredential(settings.keyring.file)
        } else if let credential = paths.credential("keyring") {
            settings.keyring.file = credential
            settings.resolved.isKeyringCredential = true
        } else if isEmbedded, !settings.stateDirectory.isEmpty {
            settings.keyring.file = DefaultPaths.joined(settings.stateDirectory, "keyring.json")
            settings.resolved.isKeyringMade = true
        }
        let binding = settings.binding
        let key: String
        if binding.ip != .off {
            key = "binding.ip"
        } else if binding.userAgent != .off {
            key = "binding.ua"
        } else if settings.captcha.binding == .strict {
            key = "captcha.binding"
        } else {
            return
        }
        guard settings.keyring.file.isEmpty else { return }
        problems.append(
            SettingsProblem(
                key: key, origin: sources.origin(of: key),
                "a binding needs a key ring, and there is none; give keyring.file, or turn the binding off"))
    }

    private mutating func checkGuests() {
        let guest = settings.guest
        guard guest.lifetime > guest.absolute else { return }
        warn(
            "guest.lifetime, \(DurationText.text(guest.lifetime)), never matters: guest.absolute, "
                + "\(DurationText.text(guest.absolute)), ends a guest first")
    }

    private mutating func resolvePaths(_ paths: DefaultPaths) {
        if settings.socket.path.isEmpty {
            settings.socket.path = take(paths.socket(), "socket.path") ?? ""
        }
        if settings.stateDirectory.isEmpty {
            settings.stateDirectory = take(paths.state(), "state-dir") ?? ""
        }
    }

    private mutating func resolveNames() {
        let group = settings.socket.group
        if !group.isEmpty {
            settings.resolved.socketGroup = take(host.groupID(group), "socket.group", shown: group)
        }
        settings.resolved.users = resolve(settings.access.users, "access.users", host.userID)
        settings.resolved.groups = resolve(settings.access.groups, "access.groups", host.groupID)
    }

    private mutating func resolve(
        _ roles: [String: Role], _ key: String, _ look: (String) -> Result<UInt32, ValueFault>
    ) -> [UInt32: Role] {
        var resolved: [UInt32: Role] = [:]
        for (name, role) in roles.sorted(by: { $0.key < $1.key }) {
            guard let id = take(look(name), key, member: name, shown: name) else { continue }
            if let other = resolved[id], other != role {
                // A name and its number, with different roles: neither is meant more than the other.
                let message = "\(PrintableText.quoted(name)) is number \(id), which has another role as well"
                problems.append(SettingsProblem(key: key, origin: sources.origin(of: key, member: name), message))
            }
            resolved[id] = role
        }
        return resolved
    }

    private mutating func checkLimits() {
        let session = settings.session
        let rotation = settings.rotation
        let badKeys = Set(sources.problems.compactMap(\.key))
        if session.absolute > session.maxAbsolute,
            badKeys.isDisjoint(with: ["session.absolute", "session.max-absolute"])
        {
            let origin = sources.origin(of: "session.absolute") ?? sources.origin(of: "session.max-absolute")
            let message =
                "\(DurationText.text(session.absolute)) is longer than session.max-absolute, "
                + DurationText.text(session.maxAbsolute)
            problems.append(SettingsProblem(key: "session.absolute", origin: origin, message))
        }
        if session.idle > session.absolute {
            warn(
                "session.idle, \(DurationText.text(session.idle)), never matters: session.absolute, "
                    + "\(DurationText.text(session.absolute)), ends a session first")
        }
        if session.touchInterval * 10 > session.idle {
            warn(
                "session.touch-interval, \(DurationText.text(session.touchInterval)), is more than a tenth of "
                    + "session.idle, \(DurationText.text(session.idle)), and is cut to that")
        }
        if rotation.lostSuccessor == .recover, rotation.onReplay == .revoke {
            let origin = sources.origin(of: "rotation.lost-successor") ?? sources.origin(of: "rotation.on-replay")
            problems.append(
                SettingsProblem(
                    key: "rotation.lost-successor", origin: origin,
                    "recover cannot go with rotation.on-replay: revoke: what one tells again, the other ends the session for"
                ))
        }
        let limits = Settings.Limits(settings)
        if limits.maxInput < limits.maxRequest {
            warn(
                "limits.max-input, \(ByteSizeText.text(limits.maxInput)), is less than one whole command may take, "
                    + "\(ByteSizeText.text(limits.maxRequest)) by limits.max-bulk: such a command is refused, OVERLOADED"
            )
        }
        if rotation.after <= rotation.overlap {
            warn(
                "rotation.after, \(DurationText.text(rotation.after)), is not longer than rotation.overlap, "
                    + "\(DurationText.text(rotation.overlap)): a token may rotate while its predecessor is accepted")
        }
    }

    /// TLS to Redis: which files go together. They are opened when the daemon starts.
    private mutating func checkCertificates(_ paths: DefaultPaths) {
        let redis = settings.redis
        settings.resolved.isTLSKeyCredential = paths.isCredential(redis.tlsKey)
        let given = [
            ("redis.tls-ca-cert-file", redis.tlsAuthorities), ("redis.tls-cert-file", redis.tlsCertificate),
            ("redis.tls-key-file", redis.tlsKey), ("redis.tls-server-name", redis.tlsServerName),
        ].filter { !$0.1.isEmpty }.map(\.0)
        guard redis.url.tls else {
            if !given.isEmpty {
                warn("\(given.joined(separator: ", ")): not used, as redis.url has no TLS (rediss://)")
            }
            return
        }
        guard redis.tlsCertificate.isEmpty != redis.tlsKey.isEmpty else { return }
        let (has, lacks) =
            redis.tlsKey.isEmpty
            ? ("redis.tls-cert-file", "redis.tls-key-file") : ("redis.tls-key-file", "redis.tls-cert-file")
        problems.append(
            SettingsProblem(
                key: has, origin: sources.origin(of: has), "needs \(lacks): a certificate and its key go together"))
    }

    private mutating func checkPasswords(_ paths: DefaultPaths) {
        checkSentinelPassword(paths)
        let file = settings.redis.passwordFile
        let hasPassword = settings.redis.url.password != nil
        if !settings.redis.passwordCommand.isEmpty { return checkPasswordCommand(hasPassword: hasPassword) }
        if settings.redis.passwordLifetime > .zero {
            warn("redis.password-lifetime is not used without redis.password-command")
        }
        if hasPassword, case .flag(let flag)? = sources.origin(of: "redis.url") {
            warn("\(flag) holds a password, and every user of this host can see it; use redis.password-file")
        }
        if file.isEmpty { return }
        if settings.redis.url.target == .embedded {
            warn("redis.password-file is not used with redis.url: embedded")
            return
        }
        if hasPassword {
            warn("redis.url and redis.password-file both give a password; the file's is used")
        }
        settings.resolved.isPasswordCredential = paths.isCredential(file)
        let verdict = host.judgeSecret(file, settings.resolved.isPasswordCredential)
        _ = take(verdict, "redis.password-file", shown: file)
    }

    private mutating func checkPasswordCommand(hasPassword: Bool) {
        let key = "redis.password-command"
        guard settings.redis.passwordFile.isEmpty else {
            problems.append(
                SettingsProblem(
                    key: key, origin: sources.origin(of: key),
                    "cannot go with redis.password-file: both give the password; leave one of them out"))
            return
        }
        if settings.redis.url.target == .embedded { return warn("\(key) is not used with redis.url: embedded") }
        if hasPassword { warn("redis.url and \(key) both give a password; the command's is used") }
        let program = PasswordCommand.words(of: settings.redis.passwordCommand).first ?? ""
        _ = take(host.judgeProgram(program), key, shown: program)
    }

    private mutating func checkSentinelPassword(_ paths: DefaultPaths) {
        let redis = settings.redis
        let file = redis.sentinelPasswordFile
        guard case .sentinel = redis.url.target else {
            let given = [("redis.sentinel-user", redis.sentinelUser), ("redis.sentinel-password-file", file)]
                .filter { !$0.1.isEmpty }.map(\.0)
            if !given.isEmpty { warn("\(given.joined(separator: ", ")): not used, as redis.url names no Sentinels") }
            return
        }
        if file.isEmpty { return }
        settings.resolved.isSentinelPasswordCredential = paths.isCredential(file)
        let verdict = host.judgeSecret(file, settings.resolved.isSentinelPasswordCredential)
        _ = take(verdict, "redis.sentinel-password-file", shown: file)
    }

    private mutating func warn(_ text: String) {
        settings.warnings.append(text)
    }

    private mutating func take<Value>(
        _ result: Result<Value, ValueFault>, _ key: String, member: String = "", shown: String? = nil
    ) -> Value? {
        switch result {
        case .success(let value): return value
        case .failure(let fault):
            let message = (shown.map { PrintableText.quoted($0) + " " } ?? "") + fault.text
            problems.append(
                SettingsProblem(key: key, origin: sources.origin(of: key, member: member), message))
            return nil
        }
    }
}
