internal import EventLoop
internal import RedisLink
internal import Tokens
internal import UnixTime

/// The index of a subject's sessions.
extension SessionStore {
    /// Enters a session into its subject's index. To be acknowledged before the session is written. The completion says
    /// whether Redis was reached in time; else nothing was changed, and what was decided by the old clock is to be
    /// decided anew.
    func addToIndex(
        _ index: SubjectIndex, sid: SessionID, absoluteEnd: UnixMilliseconds, arrival: MonotonicInstant,
        _ done: @escaping Completion<Bool>
    ) {
        guard let notAfter = notAfter(arrival) else { return later { [outage] in done(.failure(outage)) } }
        run(
            SessionScripts.index, key: keys.index(index),
            arguments: [decimal(notAfter), sid.hex, decimal(absoluteEnd)], repeatable: true
        ) { done($0.map { !$0.isLate }) }
    }

    /// Takes ended sessions out of the index. Nobody waits: a member left behind leaves by its score.
    func removeFromIndex(_ index: SubjectIndex, _ sids: [SessionID]) {
        guard !sids.isEmpty else { return }
        let key = keys.index(index)
        send(RedisCommand([Array("ZREM".utf8), key] + sids.map(\.hex), key: key)) { _ in }
    }

    /// Sessions of a subject.
    func read(_ index: SubjectIndex, _ query: IndexQuery, _ done: @escaping Completion<IndexPage>) {
        switch query {
        case .after(let cursor):
            range(index, cursor.arguments()) { members in
                guard members.count.isMultiple(of: 2) else { throw ScriptReply.unexpected }
                let page = stride(from: 0, to: members.count, by: 2).map { at in
                    IndexCursor.Member(score: members[at + 1], name: members[at])
                }
                let (seen, next) = cursor.advanced(over: page)
                return IndexPage(sids: Self.sids(seen.map(\.name)), next: next)
            } done: {
                done($0)
            }
        case .newest(let limit):
            range(index, [decimal(0), decimal(Int64(max(limit, 1) - 1)), Array("REV".utf8)]) { members in
                IndexPage(sids: Self.sids(members), next: nil)
            } done: {
                done($0)
            }
        }
    }

    private func range<Value>(
        _ index: SubjectIndex, _ arguments: [[UInt8]], _ read: @escaping ([[UInt8]]) throws -> Value,
        done: @escaping Completion<Value>
    ) {
        let key = keys.index(index)
        send(RedisCommand([Array("ZRANGE".utf8), key] + arguments, key: key)) { result in
            done(
                result.mapToAvailable { reply in
                    guard case .array(let elements) = reply else { throw ScriptReply.unexpected }
                    return try read(
                        try elements.map { element in
                            guard case .bulk(let text) = element else { throw ScriptReply.unexpected }
                            return text
                        })
                })
        }
    }

    /// Without whatever else is no sid.
    private static func sids(_ members: [[UInt8]]) -> [SessionID] { members.compactMap { SessionID(text: $0[...]) } }
}
