internal import EventLoop
internal import Host
internal import RedisLink
internal import TokenCache

/// What is wrong, since when, and what to do about it: for people.
struct Problem {
    /// What it is about: while that is wrong, it is the same problem.
    let place: String
    let text: String
    let remedy: String
    /// When it was first seen.
    let began: MonotonicInstant
}

extension HTTPSite {
    /// What is wrong now.
    ///
    /// They are looked for with each sample of the rates, so that it is known when one began that nobody looked at.
    /// - Parameter isSilent: no write to Redis came back.
    func problems(_ source: Figure.Source, isSilent: Bool) -> [Problem] {
        let now = MonotonicInstant.now()
        let found = found(source, isSilent: isSilent)
        problemsBegan = Dictionary(
            found.map { ($0.place, problemsBegan[$0.place] ?? now) }, uniquingKeysWith: { first, _ in first })
        return found.map {
            Problem(place: $0.place, text: $0.text, remedy: $0.remedy, began: problemsBegan[$0.place] ?? now)
        }
    }

    /// That no write comes back is known while somebody asks, and holds until one does.
    func lookForProblems() {
        _ = problems(figures, isSilent: problemsBegan[Self.silentPlace] != nil && !isProved)
    }

    private static let silentPlace = "a write"

    private func found(
        _ source: Figure.Source, isSilent: Bool
    ) -> [(place: String, text: String, remedy: String)] {
        let environment = dispatcher.environment
        let nodes = environment.router.servers
        var problems = nodes.compactMap { node in
            fault(of: node).map { fault in
                (
                    place: "\(node.endpoint)", text: "Redis at \(node.endpoint): \(fault)",
                    remedy: KnownFault.of(fault)?.remedy ?? ""
                )
            }
        }
        if nodes.isEmpty, let fault = unreadiness {
            problems.append(("Redis", "Redis: \(fault)", KnownFault.of(fault)?.remedy ?? ""))
        } else if problems.isEmpty, isSilent {
            problems.append((Self.silentPlace, Self.silence, KnownFault.remedy(for: Self.silence)))
        }
        let near = source.near
        if near.maxBytes > 0, !near.isArmed, let fault = near.fault {
            problems.append(("the near cache", "the near cache does not answer: \(fault)", source.nearCacheRemedy))
        }
        if let fault = environment.passwordFault() {
            problems.append(
                ("the password", "redis.password-command: \(fault)", "look at what it writes to stderr"))
        }
        for node in nodes {
            if let skew = node.clockSkew, skew.magnitude > Product.tolerableClockSkew.magnitude {
                problems.append(
                    (
                        "the clock of \(node.endpoint)",
                        "this host's clock and that of Redis at \(node.endpoint) differ by \(skew) ms",
                        "run a time service (chrony, systemd-timesyncd) on both hosts"
                    ))
            }
            if let policy = node.serverInfo.maxmemoryPolicy, policy != "noeviction" {
                problems.append(
                    (
                        "the policy of \(node.endpoint)",
                        "the maxmemory-policy of Redis at \(node.endpoint) is \(policy): sessions vanish",
                        "CONFIG SET maxmemory-policy noeviction, and in redis.conf"
                    ))
            }
        }
        if server.places.limit < server.limits.maxClients {
            problems.append(
                (
                    "descriptors",
                    "the limit of open files allows \(server.places.limit) clients, fewer than limits.max-clients",
                    "raise LimitNOFILE= of the service"
                ))
        }
        return problems
    }
}
