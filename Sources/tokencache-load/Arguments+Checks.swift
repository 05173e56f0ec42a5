internal import ArgumentParser
internal import LoadTest

/// What one call does.
enum Run: String, CaseIterable {
    case load = "a workload"
    case compare = "--compare"
    case guests = "--guests"
    case scale = "--scale"
}

/// Nothing on the command line is left unheard: what does not go together is an error.
extension Arguments {
    /// An option, whether it was given, and the runs that take it. What all of them take is not here.
    private var options: [(name: String, isGiven: Bool, runs: [Run])] {
        let measured: [Run] = [.compare, .guests, .scale]
        return [
            ("--socket", socket != nil, [.load]),
            ("--connections", connections != nil, [.load, .compare, .guests]),
            ("--pipeline", pipeline != nil, [.load]),
            ("--rate", rate != nil, [.load]),
            ("--warm-up", warmUp != nil, [.load]),
            ("--threads", threads != nil, [.load, .compare, .guests]),
            ("--set", !settings.isEmpty, [.load, .compare, .guests]),
            ("--hgrm", hgrm != nil, [.load]),
            ("--quick", quick, measured),
            ("--rounds", rounds != nil, measured),
            ("--require", require, measured),
            ("--docs", docs != nil, measured),
            ("--memcached", memcached != nil, [.compare]),
        ]
    }

    /// An option, whether it was given, and the workloads that it means something to.
    private var workloadOptions: [(name: String, isGiven: Bool, isTaken: (Workload) -> Bool)] {
        [
            ("--sessions", sessions != nil, \.usesSessions),
            ("--pipeline", pipeline != nil, \.pipelines),
            ("--warm-up", warmUp != nil, \.warmsUp),
        ]
    }

    func checkRuns() throws {
        if [compare, scale, guests].count(where: { $0 }) > 1 {
            throw ValidationError("--compare, --scale and --guests are runs of their own: choose one")
        }
        if run != .load && !workloads.isEmpty {
            throw ValidationError("--compare, --scale and --guests choose what is asked: leave the workload out")
        }
        if json && csv { throw ValidationError("--json and --csv: choose one") }
    }

    func checkOptions() throws {
        let taken = options.filter { $0.runs.contains(run) }.map(\.name)
        for option in options where option.isGiven && !option.runs.contains(run) {
            let others = option.runs.map(\.rawValue).joined(separator: ", ")
            throw ValidationError(
                "\(option.name) goes with \(others), not with \(run.rawValue), which takes \(list(taken))")
        }
        if run == .load {
            for option in workloadOptions where option.isGiven && !asked.contains(where: option.isTaken) {
                let names = Workload.allCases.filter(option.isTaken).map(\.rawValue)
                throw ValidationError("\(option.name) goes with \(list(names))")
            }
        }
        if socket != nil {
            let own: [(String, Bool)] = [
                ("--set", !settings.isEmpty), ("--daemon", daemon != nil), ("--redis-server", redisServer != nil),
            ]
            for (name, isGiven) in own where isGiven {
                throw ValidationError("\(name) is for a daemon that is started here: leave it or --socket out")
            }
        }
        for setting in settings where !setting.dropFirst().contains("=") {
            throw ValidationError("--set takes KEY=VALUE")
        }
    }

    func checkSizes() throws {
        let sizes: [(String, Int?, ClosedRange<Int>)] = [
            ("--sessions", sessions, (run == .scale ? ScalePlan.fewestSessions : 1)...50_000_000),
            ("--connections", connections, 1...100_000), ("--threads", threads, 1...64),
            ("--pipeline", pipeline, 1...(rate == nil ? 1_024 : WorkloadPlan.mostInFlightAtRate)),
            ("--rounds", rounds, 1...100),
        ]
        for (name, value, range) in sizes {
            guard let value, !range.contains(value) else { continue }
            let reason = name == "--sessions" && run == .scale ? ": --scale compares with 1,000" : ""
            throw ValidationError(
                "\(name)\(rate != nil && name == "--pipeline" ? " with --rate" : "") is \(range.lowerBound) to "
                    + "\(range.upperBound)\(reason)")
        }
        if threadCount > connectionCount {
            throw ValidationError("a thread needs a connection: --threads is too high")
        }
        if let rate, !(rate > 0 && rate <= 1e8) { throw ValidationError("--rate is above 0 and at most 100000000") }
        if let duration, duration.value < .milliseconds(10) { throw ValidationError("--duration is at least 10ms") }
        if run == .scale, require, quick && sessions == nil || (sessions ?? .max) < ScalePlan.fullSessions {
            throw ValidationError(
                "--scale --require needs --sessions \(ScalePlan.fullSessions) at least: with fewer, P5 and P6 are not judged"
            )
        }
    }

    private func list(_ names: [String]) -> String { names.joined(separator: ", ") }
}
