/// What one load on one server came to.
struct Sample {
    var outcome: LoadOutcome
    /// Server CPU in the measured time; seconds. Nil where the process is not ours to look at.
    var serverCPU: Double?

    /// Microseconds of server CPU an answer.
    var serverMicroseconds: Double? {
        guard let serverCPU, outcome.answered > 0 else { return nil }
        return serverCPU * 1e6 / Double(outcome.answered)
    }

    /// Share of a core that was used.
    var serverLoad: Double? { serverCPU.map { outcome.seconds > 0 ? $0 / outcome.seconds : 0 } }
    var clientLoad: Double { outcome.seconds > 0 ? outcome.clientCPU / outcome.seconds : 0 }

    /// Runs a load and accounts for the server's CPU during its measured time.
    static func take(
        _ shape: LoadShape, lanes: [LaneSpec], process: Int32?,
        progress: @escaping (Double, Int, Int) -> Void = { _, _, _ in }
    ) throws(LoadTestError) -> Sample {
        var before: Double?
        var after: Double?
        var observer = LoadObserver()
        observer.begins = { before = process.flatMap(ProcessAccounting.cpuSeconds) }
        observer.ends = { after = process.flatMap(ProcessAccounting.cpuSeconds) }
        observer.progresses = progress
        let outcome = try Load.run(shape, lanes: lanes, observer: observer)
        var used: Double?
        if let before, let after { used = after - before }
        return Sample(outcome: outcome, serverCPU: used)
    }
}

/// Who was the slower one: a throughput is the server's only if the server was busy.
public enum Bottleneck {
    static let busy = 0.95

    /// Whether the client had no time left while the server had.
    public static func isClient(clientLoad: Double, serverLoad: Double?) -> Bool {
        guard let serverLoad else { return clientLoad >= busy }
        return clientLoad >= busy && serverLoad < busy
    }
}
