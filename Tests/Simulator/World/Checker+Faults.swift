import Tokens

/// What goes wrong in a run, as far as an answer may be excused by it.
extension Checker {
    func impair(_ name: String, _ daemon: Int?, until end: SimulatedTime) {
        impairments.append(Impairment(name: name, daemon: daemon, start: agenda.now, end: end))
    }

    func endImpairments(_ name: String, of daemon: Int? = nil, at end: SimulatedTime) {
        for index in impairments.indices
        where impairments[index].name == name && impairments[index].daemon == daemon && impairments[index].end > end {
            impairments[index].end = end
        }
    }

    func endImpairments() {
        for index in impairments.indices { impairments[index].end = min(impairments[index].end, agenda.now) }
    }

    /// What keeps Redis from saying anything to a daemon, or a daemon from hearing it.
    static let silences: Set<String> = [
        "kill", "cut", "refuse", "half-open", "hold", "slow", "down", "pause", "stopped", "restart", "clients",
        "failover",
    ]

    /// Whether something was wrong with a daemon's way to Redis in a span.
    func isImpaired(
        _ daemon: Int, from start: SimulatedTime, to end: SimulatedTime, but spared: Set<String> = []
    ) -> Bool {
        impairments.contains { impairment in
            (impairment.daemon == nil || impairment.daemon == daemon) && impairment.start <= end
                && impairment.end >= start && !spared.contains(impairment.name)
        }
    }

    /// The same of some faults.
    func isImpaired(
        _ daemon: Int, from start: SimulatedTime, to end: SimulatedTime, only names: Set<String>
    ) -> Bool {
        impairments.contains { impairment in
            (impairment.daemon == nil || impairment.daemon == daemon) && impairment.start <= end
                && impairment.end >= start && names.contains(impairment.name)
        }
    }

    func jumped(_ offset: Int64) {
        truth.noteClock(offset, at: agenda.now)
        impair("clock", nil, until: agenda.now)
    }

    func lost(_ keys: [String]) {
        lastLoss = agenda.now
        for key in keys { if let sid = Self.sid(of: key) { lossy.insert(sid) } }
    }

    func stolen(_ sid: SessionID) { stolenSessions.insert(sid) }

    func restarted(_ daemon: Int) {
        unconfirmed[daemon] = nil
        endsSent[daemon] = nil
        masters.promises[daemon] = nil
        masters.entered[daemon] = nil
        everyone[daemon] = nil
    }

    static func sid(of key: String) -> SessionID? {
        guard key.utf8.starts(with: "tc:s:".utf8) else { return nil }
        return SessionID(text: Array(key.utf8.dropFirst(5)))
    }
}
