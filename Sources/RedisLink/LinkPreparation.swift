internal import EventLoop

/// The commands that make a fresh connection fit for use, all sent at once.
enum PreparationStep: Equatable {
    case authenticate
    case select
    case ping
    case name
    case server
    case replication
    case evictionPolicy
    case time
    case script(Int)

    /// What Redis may refuse without the link being the worse for it.
    var isOptional: Bool {
        switch self {
        case .name, .server, .replication, .evictionPolicy: true
        case .authenticate, .select, .ping, .time, .script: false
        }
    }
}

extension LinkMachine {
    func preparation(for login: RedisLogin) -> [(PreparationStep, [UInt8])] {
        var steps: [(PreparationStep, [UInt8])] = []
        if let password = login.password {
            let words = ["AUTH".redisArgument] + (login.user.map { [$0.redisArgument] } ?? []) + [password.bytes]
            steps.append((.authenticate, RedisCommand(words).bytes))
        }
        if login.database != 0 { steps.append((.select, RedisCommand("SELECT", login.database).bytes)) }
        steps.append((.ping, RedisCommand("PING").bytes))
        steps.append((.name, RedisCommand("CLIENT", "SETNAME", "tokencached").bytes))
        steps.append((.server, RedisCommand("INFO", "server").bytes))
        steps.append((.replication, RedisCommand("INFO", "replication").bytes))
        steps.append((.evictionPolicy, RedisCommand("CONFIG", "GET", "maxmemory-policy").bytes))
        steps.append((.time, RedisCommand("TIME").bytes))
        for (index, script) in scripts.enumerated() {
            steps.append((.script(index), RedisCommand("SCRIPT", "LOAD", script.source).bytes))
        }
        return steps
    }

    /// Takes in the reply to a step; a fault if the connection cannot be used.
    mutating func prepared(
        _ step: PreparationStep, reply: RedisReply, sentAt: MonotonicInstant, now: MonotonicInstant
    ) -> RedisFault? {
        if case .error(let text) = reply { return failure(of: step, text: text) }
        switch step {
        case .authenticate, .select, .ping, .name: break
        case .server:
            serverInfo.runID = InformationText.field("run_id", in: reply)
            serverInfo.version = InformationText.field("redis_version", in: reply)
        case .replication: serverInfo.role = InformationText.field("role", in: reply)
        case .evictionPolicy:
            if case .array(let pair) = reply, pair.count == 2, case .bulk(let policy) = pair[1] {
                serverInfo.maxmemoryPolicy = String(decoding: policy, as: UTF8.self)
            }
        case .time: takeTime(reply, sentAt: sentAt, now: now)
        case .script(let index):
            guard case .bulk(let digest) = reply, digest.count == RedisScript.digestLength else {
                return RedisFault(.protocolError, "Redis answered a script with something unexpected")
            }
            digests[index] = digest
        }
        return nil
    }

    /// Takes in a reply to `TIME`: seconds and microseconds, as two bulks.
    mutating func takeTime(_ reply: RedisReply, sentAt: MonotonicInstant, now: MonotonicInstant) {
        guard case .array(let parts) = reply, parts.count == 2,
            case .bulk(let first) = parts[0], case .bulk(let second) = parts[1],
            let seconds = decimal(first, below: 100_000_000_000), let micros = decimal(second, below: 1_000_000)
        else { return }
        clock.sample(serverMicroseconds: seconds * 1_000_000 + micros, sentAt: sentAt, receivedAt: now)
    }

    private func failure(of step: PreparationStep, text: String) -> RedisFault? {
        let verdict = RedisFault.classify(error: text)
        switch verdict.fault.kind {
        // Of the server, not of the step.
        case .loading, .busy, .maxClients, .readOnly, .masterDown: return verdict.fault
        // A disk that is full keeps Redis from writing, not from living.
        case .misconfigured where verdict.consequence == .none && step == .ping: return nil
        case .credentials where step.isOptional && verdict.consequence == .none: return nil
        case .credentials, .misconfigured: return verdict.fault
        default: break
        }
        if step.isOptional { return nil }
        return switch step {
        case .authenticate: RedisFault(.credentials, "Redis refuses user or password")
        case .select: RedisFault(.misconfigured, "Redis refuses the database number")
        case .script(let index): RedisFault(.scriptError, "Redis refuses the script \(scripts[index].name)")
        default: verdict.fault
        }
    }

    private func decimal(_ bytes: [UInt8], below limit: Int64) -> Int64? {
        guard !bytes.isEmpty, bytes.count <= 18, bytes.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        let value = bytes.reduce(Int64(0)) { $0 * 10 + Int64($1 - 0x30) }
        return value < limit ? value : nil
    }
}
