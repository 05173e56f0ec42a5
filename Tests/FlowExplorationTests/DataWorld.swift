import TokenCrypto

@testable import TokenCache
@testable import Tokens

/// One moment of an exploration of data: a session in Redis, or none yet, and commands on their way.
struct DataWorld {
    enum Presenter {
        /// A session's token, a guest's, or a worker that names the session.
        case token, guest, worker
    }

    enum Phase {
        case unsent
        /// Redis has not taken up its read yet.
        case reading
        /// It has; the copy is on its way back.
        case read(StoredCopy)
        case writing(SessionWrite)
        /// Given up while its write was out: it may act still.
        case adrift(SessionWrite)
        case answered
    }

    struct Request {
        let command: DataCommand
        let presenter: Presenter
        var phase = Phase.unsent
        var flow: DataFlow?
        var answer: DataAnswer?
        /// Requests that had been answered before it was sent, one bit each.
        var after: UInt8 = 0
        /// All that its flow was told: it is made of nothing else.
        var seen: [UInt8] = []
        /// The data that it decided on, for a removed rule.
        var decidedOn: [RecordField] = []
    }

    var session: SessionRecord?
    var data: [RecordField]
    var requests: [Request]
    var losses: Int
    /// How often a LOGIN may come between, after which the old tokens are good no longer.
    var logins: Int

    var copy: StoredCopy { StoredCopy(session: session.map(StoredSession.live) ?? .absent, data: data) }

    /// Of a copy, all that makes a difference.
    static func mark(_ copy: StoredCopy) -> [UInt8] {
        var mark: [UInt8] = [UInt8(copy.data.count)]
        if case .live(let record) = copy.session {
            mark += [1, UInt8(clamping: record.revision)] + record.current.bytes.prefix(4)
        }
        for field in copy.data.sorted(by: { $0.name.lexicographicallyPrecedes($1.name) }) {
            mark += field.name + [0] + field.value + [0]
        }
        return mark
    }

    /// Equal for worlds whose future is the same.
    var key: [UInt8] {
        var key = [UInt8(losses), UInt8(logins)] + Self.mark(copy)
        for request in requests {
            key += [UInt8(request.seen.count)] + request.seen + [request.after]
            switch request.phase {
            case .unsent: key.append(0)
            case .reading: key.append(1)
            case .read(let copy): key += [2] + Self.mark(copy)
            case .writing: key.append(3)
            case .adrift: key.append(4)
            case .answered: key += [5] + (request.answer?.mark ?? [])
            }
        }
        return key
    }

    /// `commit.lua`: writes if what the change was decided on stands there still, and its conditions hold.
    /// - Parameter isOverAnything: whatever stands there: a rule removed.
    mutating func commit(_ write: SessionWrite, isOverAnything: Bool) -> FlowEvent {
        let stands =
            switch write.over {
            case nil: session != nil
            case let old? where old.isStored: session?.revision == old.revision
            case .some: session == nil || isOverAnything
            }
        guard stands else { return .overtaken(copy) }
        if case .promote = write.kind, case .live(let made) = write.next { (session, data) = (made, []) }
        return .written(carryOut(write.data))
    }

    private mutating func carryOut(_ change: DataChange) -> DataOutcome {
        switch change {
        case .set(let fields, let conditions):
            let standing = data.picked(conditions.map(\.name))
            guard conditions.allSatisfy({ data.value(of: $0.name) == $0.value }) else { return .conflict(standing) }
            let changed = fields.count { data.value(of: $0.name) != $0.value }
            for field in fields { put(field.value, field.name) }
            return .changed(changed)
        case .add(let number, let name):
            let sum = (Int64(strict: data.value(of: name)) ?? 0) + number
            put(Array(String(sum).utf8), name)
            return .sum(sum)
        case .take(let names):
            let taken = data.picked(names)
            for name in names { put([], name) }
            return .taken(taken)
        }
    }

    private mutating func put(_ value: [UInt8], _ name: [UInt8]) {
        data.removeAll { $0.name == name }
        if !value.isEmpty { data.append(RecordField(name: name, value: value)) }
    }

    var reference: DataReference {
        DataReference(
            fields: Dictionary(
                uniqueKeysWithValues: data.map {
                    (String(decoding: $0.name, as: UTF8.self), String(decoding: $0.value, as: UTF8.self))
                }))
    }
}
