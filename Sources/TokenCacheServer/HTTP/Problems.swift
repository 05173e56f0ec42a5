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
    /// When it began, as far as that is known.
    var began: MonotonicInstant?

    fileprivate init(_ place: String, _ text: String, began: MonotonicInstant? = nil, remedy: String) {
        self.place = place
        self.text = text
        self.began = began
        self.remedy = remedy
    }
}

extension HTTPSite {
    /// What is wrong now.
    ///
    /// They are looked for with each sample of the rates, so that it is known when one began that nobody noted.
    /// - Parameter silence: why no write to Redis came back.
    func problems(_ source: Figure.Source, silence: String? = nil) -> [Problem] {
        let now = MonotonicInstant.now()
        let found = found(source, silence)
        problemsBegan = Dictionary(
            found.map { ($0.place, $0.began ?? problemsBegan[$0.place] ?? now) }, uniquingKeysWith: min)
        return found.map { problem in
            var problem = problem
            problem.began = problemsBegan[problem.place]
            return problem
        }
    }

    private func found(_ source: Figure.Source, _ silence: String?) -> [Problem] {
        let environment = dispatcher.environment
        let nodes = environment.router.servers
        var problems = nodes.compactMap { node in
            fault(of: node).map { fault in
                Problem(
                    "\(node.endpoint)", "Redis at \(node.endpoint): \(fault)", began: node.counters.faults.last?.began,
                    remedy: KnownFault.of(fault)?.remedy ?? "")
            }
        }
        if nodes.isEmpty, let fault = unreadiness {
            problems.append(Problem("Redis", "Redis: \(fault)", remedy: KnownFault.of(fault)?.remedy ?? ""))
        } else if problems.isEmpty, let silence {
            problems.append(Problem("a write", silence, remedy: KnownFault.remedy(for: silence)))
        }
        let near = source.near
        if near.maxBytes > 0, !near.isArmed, let fault = near.fault {
            problems.append(
                Problem("the near cache", "the near cache does not answer: \(fault)", remedy: source.nearCacheRemedy))
        }
        if let fault = environment.passwordFault() {
            problems.append(
                Problem(
                    "the password", "redis.password-command: \(fault)", remedy: "look at what it writes to stderr"))
        }
        for node in nodes {
            if let skew = node.clockSkew, skew.magnitude > Product.tolerableClockSkew.magnitude {
                problems.append(
                    Problem(
                        "the clock of \(node.endpoint)",
                        "this host's clock and that of Redis at \(node.endpoint) differ by \(skew) ms",
                        remedy: "run a time service (chrony, systemd-timesyncd) on both hosts"))
            }
            if let policy = node.serverInfo.maxmemoryPolicy, policy != "noeviction" {
                problems.append(
                    Problem(
                        "the policy of \(node.endpoint)",
                        "the maxmemory-policy of Redis at \(node.endpoint) is \(policy): sessions vanish",
                        remedy: "CONFIG SET maxmemory-policy noeviction, and in redis.conf"))
            }
        }
        if server.places.limit < server.limits.maxClients {
            problems.append(
                Problem(
                    "descriptors",
                    "the limit of open files allows \(server.places.limit) clients, fewer than limits.max-clients",
                    remedy: "raise LimitNOFILE= of the service"))
        }
        return problems
    }
}
