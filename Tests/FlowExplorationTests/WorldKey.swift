import TokenCrypto
import UnixTime

@testable import TokenCache
@testable import Tokens

extension World {
    /// Equal for worlds whose future is the same.
    func key(_ symbols: Symbols) -> [UInt8] {
        var key: [UInt8] = []
        key.reserveCapacity(256)
        key += [UInt8(now), jar, UInt8(losses), UInt8(touches.count)]
        for daemon in 0..<2 {
            key += [UInt8(clamping: max(0, deniedUntil[daemon] - now)), gaveUpEnd[daemon] ? 1 : 0]
        }
        append(stored, symbols, to: &key)
        for request in requests {
            switch request.phase {
            case .unsent:
                key.append(0)
                continue
            case .finished:
                key.append(1)
                continue
            case .adrift(let commit):
                key += [2, request.token]
                append(commit, symbols, to: &key)
                continue
            case .waiting(let flow, let others):
                key += [3, others]
                append(flow, symbols, to: &key)
            case .reading(let flow):
                key.append(4)
                append(flow, symbols, to: &key)
            case .read(let flow, let copy):
                key.append(5)
                append(flow, symbols, to: &key)
                append(copy.session, symbols, to: &key)
            case .committing(let commit):
                key.append(6)
                append(commit, symbols, to: &key)
            case .answered(let answer):
                switch answer {
                case .accepted(nil): key.append(7)
                case .accepted(let successor?): key += [8, successor]
                case .issued(let token): key += [9, token]
                case .refused: key.append(10)
                case .revoked: key.append(11)
                case .unavailable: key.append(12)
                }
                key.append(UInt8(request.sentAt))
                continue
            }
            key += [
                request.token, UInt8(request.sentAt), request.interruptions,
                (request.mustBeRefused ? 1 : 0) | (request.wasGivenUp ? 2 : 0) | (request.held == nil ? 0 : 4),
            ]
            request.right.appendKey(to: &key)
        }
        for touch in touches { key.append(UInt8(touch.notAfter)) }
        reference.appendKey(to: &key)
        return key
    }

    private func append(_ commit: Commit, _ symbols: Symbols, to key: inout [UInt8]) {
        key += [
            UInt8(clamping: commit.revision), commit.effect.rawValue, UInt8(commit.request), UInt8(commit.decidedAt),
            UInt8(commit.notAfter),
        ]
        append(commit.flow, symbols, to: &key)
        append(commit.next, symbols, to: &key)
    }

    /// A flow's own state.
    private func append(_ flow: Flow, _ symbols: Symbols, to key: inout [UInt8]) {
        switch flow {
        case .access(let flow):
            key += [(flow.hasConfirmed ? 1 : 0) | (flow.wasTouched ? 2 : 0) | (flow.origin.mayRefuse ? 4 : 0)]
            switch flow.awaited {
            case .guest: key.append(0)
            case .copy: key.append(1)
            case .touch: key.append(2)
            case .time(let copy): append(3, copy, symbols, to: &key)
            case .end: key.append(4)
            case .state(let copy): append(5, copy, symbols, to: &key)
            case .bindings(let copy): append(6, copy, symbols, to: &key)
            }
        case .login(let flow):
            switch flow.awaited {
            case .session: key.append(10)
            case .time(let copy): append(11, copy, symbols, to: &key)
            case .renewal(let record): append(12, .live(record), symbols, to: &key)
            case .end: key.append(13)
            case .creation(_, let record, _): append(14, .live(record), symbols, to: &key)
            case .repeated(let token, let since):
                key += [15, token.sid == symbols.sid ? 0 : 1, Ticks.tick(since)]
                key += token.verifier.bytes.prefix(2)
            case .amendment(let record, _, _): append(16, .live(record), symbols, to: &key)
            case .note: key.append(17)
            case .told(let record, _): append(18, .live(record), symbols, to: &key)
            }
        case .rotate(let flow):
            switch flow.awaited {
            case .session: key.append(20)
            case .time(let copy): append(21, copy, symbols, to: &key)
            case .rotation(let record): append(22, .live(record), symbols, to: &key)
            }
        case .revoke: key.append(30)
        }
    }

    private func append(_ tag: UInt8, _ copy: StoredCopy, _ symbols: Symbols, to key: inout [UInt8]) {
        append(tag, copy.session, symbols, to: &key)
    }

    private func append(_ tag: UInt8, _ session: StoredSession, _ symbols: Symbols, to key: inout [UInt8]) {
        key.append(tag)
        append(session, symbols, to: &key)
    }

    private func append(_ session: StoredSession, _ symbols: Symbols, to key: inout [UInt8]) {
        switch session {
        case .absent: key.append(0)
        case .ended(let tombstone): key += [1, tombstone.login.map { symbols.number(of: $0.digest) } ?? 255]
        case .live(let record):
            key += [
                2, UInt8(clamping: record.revision), symbols.number(of: record.current),
                record.confirmedAt.map(Ticks.tick) ?? 0, UInt8(clamping: record.generation),
                Ticks.tick(record.lastAccess), Ticks.tick(record.absoluteEnd), UInt8(clamping: record.forcedGeneration),
                record.previous.map { symbols.number(of: $0.digest) } ?? 255, UInt8(record.remembered.count),
            ]
            for token in record.remembered {
                key += [symbols.number(of: token.prefix), Ticks.tick(token.retiredAt), Ticks.tick(token.overlapEnd)]
            }
            if let login = record.login {
                key += [1, symbols.number(of: login.digest), Ticks.tick(login.until)]
                key.append(login.firstStep.map { symbols.number(of: $0.digest) } ?? 255)
            }
            key.append(UInt8(clamping: record.subject.count))
        }
    }
}
