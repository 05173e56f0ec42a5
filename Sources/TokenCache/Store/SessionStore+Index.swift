internal import EventLoop
internal import RedisLink
internal import Tokens
internal import UnixTime

/// The index of a subject's sessions.
extension SessionStore {
    func indexKeys(_ index: SubjectIndex) -> [[UInt8]] { keys.index(index, isCluster: isCluster) }

    /// 0 where there is one server.
    func slot(of index: SubjectIndex) -> Int { router.slot(of: key(of: index)) }

    /// Where its members stand.
    func key(of index: SubjectIndex) -> [UInt8] { indexKeys(index)[0] }

    /// Enters a session into its subject's index. To be acknowledged before the session is written.
    func enter(_ entry: IndexEntry, arrival: MonotonicInstant, _ done: @escaping Completion<IndexEntryOutcome>) {
        let keys = indexKeys(entry.index)
        guard let notAfter = notAfter(arrival, keys[0]) else { return later { [outage] in done(.failure(outage)) } }
        let asked = instant
        run(
            SessionScripts.enter, keys: keys,
            arguments: [
                decimal(notAfter), entry.sid.hex, decimal(entry.absoluteEnd), entry.login.argument,
                entry.limit.map { decimal(Int64($0)) } ?? [], decimal(scriptLifetime),
            ] + entry.gone.flatMap { [$0.sid.hex, $0.score] }, repeatable: true,
            // On the same server the wait for the session covers it.
            replicatedBy: isElsewhere(keys[0], than: entry.sid) ? deadline(arrival) : nil
        ) { result in
            done(
                result.flatMap { reply in
                    switch reply.verdict {
                    case "done":
                        Result { .entered(try Self.place(reply.detail, asked: asked)) }.mapError(Unavailable.init)
                    case "full": .success(.full)
                    case "late": .success(.late)
                    default: .failure(ScriptReply.unexpected)
                    }
                })
        }
    }

    /// Puts an index right. Nobody waits: what is not done now is found by the next who looks.
    func tidy(
        _ index: SubjectIndex, _ findings: [IndexFinding],
        _ done: @escaping (_ removed: Int64) -> Void = { _ in }
    ) {
        let keys = indexKeys(index)
        guard let oldest = findings.map(\.asked).min(),
            let notAfter = notAfter(oldest, keys[0], lifetime: IndexFinding.lifetime)
        else { return later { done(0) } }
        let arguments = findings.flatMap { finding -> [[UInt8]] in
            switch finding {
            case .living(let member, let end): [member.sid.hex, member.score, decimal(end)]
            case .gone(let member): [member.sid.hex, member.score, Array("gone".utf8)]
            case .ended(let sid, _): [sid.hex, [], Array("ended".utf8)]
            }
        }
        run(
            SessionScripts.tidy, keys: keys, arguments: [decimal(notAfter)] + arguments, repeatable: true
        ) { result in
            guard case .success(let reply) = result, case .integer(let removed)? = reply.detail else { return done(0) }
            done(removed)
        }
    }

    /// A page of a subject's sessions.
    func read(_ index: SubjectIndex, _ query: IndexQuery, _ done: @escaping Completion<IndexPage>) {
        let key = key(of: index)
        let asked = instant
        send(
            RedisCommand([Array("ZRANGE".utf8), key] + query.cursor.arguments(pageSize: query.pageSize), key: key)
        ) { result in
            done(
                result.mapToAvailable { reply in
                    let (seen, next) = query.cursor.advanced(over: try Self.scored(reply), pageSize: query.pageSize)
                    // Without whatever else is no sid.
                    let members = seen.compactMap { member in
                        SessionID(text: member.name[...]).map {
                            IndexMember(sid: $0, score: member.score, asked: asked)
                        }
                    }
                    return IndexPage(members: members, next: next)
                })
        }
    }

    /// What is known of a session without its tokens.
    func readFacts(_ sid: SessionID, _ fields: FactFields, _ done: @escaping Completion<FoundSession>) {
        let key = keys.session(sid)
        let names: [[UInt8]] =
            switch fields {
            case .fixed: RecordCodec.factFields
            case .named(let names): RecordCodec.factFields + names.map { [RecordCodec.dataMark] + $0 }
            case .all: []
            }
        let command: StaticString = names.isEmpty ? "HGETALL" : "HMGET"
        let judged: Completion<FoundSession> = { [epoch] result in
            done(
                result.map { found in
                    guard case .living(let facts, _) = found, epoch.ends(made: facts.created) else { return found }
                    return .gone
                })
        }
        epoch.accompany(by: { [router] in router.node(of: key) }, judged) { done in
            send(RedisCommand([command.withUTF8Buffer { Array($0) }, key] + names, key: key)) { result in
                done(Self.found(result, names))
            }
        }
    }

    private static func found(
        _ result: Result<RedisReply, RedisFault>, _ names: [[UInt8]]
    ) -> Result<FoundSession, Unavailable> {
        let found = result.mapToAvailable { reply -> FoundSession in
            guard case .array(let elements) = reply else { throw ScriptReply.unexpected }
            var hash: [[UInt8]] = []
            hash.reserveCapacity(elements.count * 2)
            for (at, element) in elements.enumerated() {
                switch element {
                case .bulk(let value) where names.isEmpty: hash.append(value)
                case .bulk(let value) where at < names.count: hash += [names[at], value]
                case .null: continue
                default: throw ScriptReply.unexpected
                }
            }
            guard let (facts, data) = try RecordCodec.decodeFacts(hash) else { return .gone }
            return .living(facts, data)
        }
        // Nobody can be let in by what is of another type, or damaged.
        if case .failure(let fault) = found, fault.isNoSession { return .success(.gone) }
        return found
    }

    private static func scored(_ reply: RedisReply, behind first: Int = 0) throws -> [IndexCursor.Member] {
        guard case .array(let elements) = reply, (elements.count - first).isMultiple(of: 2) else {
            throw ScriptReply.unexpected
        }
        return try stride(from: first, to: elements.count, by: 2).map { at in
            guard case .bulk(let name) = elements[at], case .bulk(let score) = elements[at + 1] else {
                throw ScriptReply.unexpected
            }
            return IndexCursor.Member(score: score, name: name)
        }
    }

    static func place(_ detail: RedisReply?, asked: MonotonicInstant) throws -> IndexPlace {
        guard let detail, case .array(let elements) = detail, elements.count > 0, case .bulk(let number) = elements[0]
        else { throw ScriptReply.unexpected }
        let others = try scored(detail, behind: 1).compactMap { member in
            SessionID(text: member.name[...]).map { IndexMember(sid: $0, score: member.score, asked: asked) }
        }
        return IndexPlace(number: Int64(strict: number), others: others)
    }
}

extension IndexEntry.Login {
    /// As `enter.lua` takes it.
    var argument: [UInt8] {
        switch self {
        case .none: []
        case .numberedWithOthers: [UInt8(ascii: "0")]
        case .numbered: [UInt8(ascii: "1")]
        }
    }
}

/// Which fields of a session are read beside its facts.
public enum FactFields: Equatable, Sendable {
    /// No data.
    case fixed
    /// Data of these names.
    case named([[UInt8]])
    /// All data.
    case all
}

/// What stands under the key of a session that an index names.
enum FoundSession {
    case living(SessionFacts, [RecordField])
    /// Nothing, a tombstone, or what is no session.
    case gone
}
