import Tokens
import UnixTime

@testable import TokenCache

/// One change of a field of a session's data.
struct DataStep {
    let sid: SessionID
    let field: String
    /// Empty: there was no such field.
    let from: [UInt8]
    let to: [UInt8]
    let at: SimulatedTime
    let source: ModelRedis.ChangeSource
}

/// S14: what became of data, held against what was asked for and what was told. And the limits that EXPIRE gives.
extension Checker {
    static let dataFields = ["cart", "count", "seat"]

    func dataChanged(_ sid: SessionID, _ entry: ModelEntry?, _ source: ModelRedis.ChangeSource) {
        var after: [String: [UInt8]] = [:]
        for field in Self.dataFields { after[field] = entry?[bytes("." + field)] }
        let before = data.updateValue(after, forKey: sid) ?? [:]
        // Data goes with its session, and with what was lost.
        guard entry?[bytes("r")] != nil, source.path != nil else { return }
        for field in Self.dataFields where before[field] != after[field] {
            let step = DataStep(
                sid: sid, field: field, from: before[field] ?? [], to: after[field] ?? [], at: agenda.now,
                source: source)
            dataSteps.append(step)
            checkCondition(step)
        }
    }

    /// SET with IF is written over the value that it names, and no other.
    private func checkCondition(_ step: DataStep) {
        guard step.field == "seat" else { return }
        let writer = recent.first { request in
            if case .set(let fields, _) = request.wish.change {
                fields.value(of: bytes("seat")) == step.to
            } else {
                false
            }
        }
        guard case .set(_, let conditions)? = writer?.wish.change, !conditions.isEmpty else {
            return fail("S14", "\(step.source.command): nobody set this on a condition")
        }
        if conditions.value(of: bytes("seat")) != step.from {
            fail("S14", "\(step.source.command) wrote over another value than its condition names")
        }
    }

    // MARK: The end of the run

    /// Every change of data is one request's, and every answer tells of one.
    func checkData(_ requests: [Request]) {
        let asked = requests.filter(\.operation.changesData).filter { request in
            request.sid.map { !lossy.contains($0) } ?? false
        }
        var steps = dataSteps.filter { !lossy.contains($0.sid) }
        for request in asked { claim(request, &steps) }
        for request in asked where request.told == nil && isUnknown(request) {
            _ = take(&steps, of: request, until: fate(of: request)) { isOf(request, $0) }
        }
        for step in steps {
            fail("S14", "\(step.field) went from \(text(step.from)) to \(text(step.to)), which was told to nobody")
        }
    }

    /// What it was told must have happened while it was under way, to nobody else.
    private func claim(_ request: Request, _ steps: inout [DataStep]) {
        guard let told = request.told, let end = request.finished else { return }
        let name = "#\(request.number) \(request.operation.rawValue)"
        switch told {
        case .changed(0), .taken([]), .sum(0): break
        case .changed:
            if !take(&steps, of: request, until: end, where: { isOf(request, $0) }) {
                fail("S14", "\(name) was told of a change that was not made")
            }
        case .sum(let sum):
            if !take(
                &steps, of: request, until: end,
                where: { $0.field == "count" && $0.to == decimal(sum) && isOf(request, $0) })
            {
                fail("S14", "\(name) was told \(sum), to which nothing was counted for it")
            }
        case .taken(let fields):
            let value = fields.value(of: bytes("cart"))
            if !take(&steps, of: request, until: end, where: { isOf(request, $0) && $0.from == value }) {
                fail("S14", "\(name) was told a value that it did not take")
            }
        case .conflict(let fields):
            guard case .set(_, let conditions) = request.wish.change else { return }
            if fields.value(of: bytes("seat")) == conditions.value(of: bytes("seat")) {
                fail("S14", "\(name) was told of a conflict with its own condition")
            }
        }
    }

    private func isOf(_ request: Request, _ step: DataStep) -> Bool {
        guard step.sid == request.sid, step.source.path?.daemon == request.daemon else { return false }
        switch request.wish.change {
        case .add: return step.field == "count" && number(step.to) == (number(step.from) ?? 0) + 1
        case .take: return step.field == "cart" && step.to.isEmpty
        case .set(let fields, _): return fields.contains { text($0.name) == step.field && $0.value == step.to }
        }
    }

    private func take(
        _ steps: inout [DataStep], of request: Request, until end: SimulatedTime, where matches: (DataStep) -> Bool
    ) -> Bool {
        guard let place = steps.firstIndex(where: { $0.at >= request.began && $0.at <= end && matches($0) }) else {
            return false
        }
        steps.remove(at: place)
        return true
    }

    /// Whether nobody knows if it was carried out.
    private func isUnknown(_ request: Request) -> Bool { request.outcome?.isUnavailable ?? true }

    /// Until when it may act.
    private func fate(of request: Request) -> SimulatedTime {
        if request.isAbandoned { return request.began + Self.scriptLifetime * 2 }
        return (request.finished ?? .max - Self.scriptLifetime) + Self.scriptLifetime
    }

    // MARK: EXPIRE

    /// The limits that were acknowledged stand there.
    func limited(_ request: Request, _ view: SessionView) {
        guard let sid = request.sid, !lossy.contains(sid),
            !truth.hasJumped(since: request.began - .milliseconds(6_000))
        else { return }
        let isSo = truth.states(of: sid, from: request.began, to: agenda.now).contains { state in
            if case .live(let record) = state.session { hasLimits(record, of: request) } else { false }
        }
        if !isSo { fail("S11", "#\(request.number) acknowledged limits that do not stand in Redis") }
    }

    /// Whether a session has those that an EXPIRE asked for.
    func hasLimits(_ record: SessionRecord, of request: Request) -> Bool {
        let limits = request.wish.limits
        let hasEnd = limits.absolute.map { isEnd(record.absoluteEnd, after: $0, of: request) } ?? true
        return hasEnd && limits.idle.map { record.idle == min($0, limits.absolute ?? $0) } ?? true
    }

    /// Whether an end is so long after some moment since a request came.
    func isEnd(_ end: UnixMilliseconds, after span: Milliseconds, of request: Request) -> Bool {
        let clocks = truth.clocks(at: request.began) + truth.clocks(at: agenda.now)
        guard let first = clocks.min(), let last = clocks.max() else { return false }
        let error = clockError(of: request)
        return end - span >= first - error && end - span <= last + error
    }

    /// What a daemon's idea of Redis's time may be wrong by. Behind a jump of Redis's clock it has a reply to TIME, and of one
    /// that was held up nobody knows better than to half of how long when it was made.
    private func clockError(of request: Request) -> Milliseconds {
        let now = agenda.now
        let held =
            impairments.filter { impairment in
                ["hold", "pause"].contains(impairment.name) && impairment.daemon ?? request.daemon == request.daemon
                    && impairment.start <= now && impairment.end >= request.began - Truth.jumpMemory
            }.map { min($0.end, now) - $0.start }.max() ?? 0
        return Self.clockError + min(held, Self.latestReply) / 2_000_000
    }

    /// The same where nothing is held up, milliseconds.
    private static let clockError: Milliseconds = 100
    /// A connection ends whose oldest reply is a second late.
    private static let latestReply = timeout + .milliseconds(1_000)
}
