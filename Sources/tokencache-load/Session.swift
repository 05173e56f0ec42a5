internal import Foundation
internal import Host
internal import LoadTest

/// One call of the program, from its arguments to its exit status.
struct Session {
    private let arguments: Arguments
    /// How to repeat this run.
    private let command: String
    private let progress: LoadTest.Progress

    /// - Parameter words: what the arguments were read from.
    init(_ arguments: Arguments, from words: [String]) {
        self.arguments = arguments
        command = (["tokencache-load"] + words).joined(separator: " ")
        progress = LoadTest.Progress(isWanted: !arguments.quiet)
    }

    /// What was measured, as far as it came.
    private struct Results {
        var report: Report
        var histograms: [(Workload, LatencyHistogram)] = []
    }

    func run() -> Int32 {
        do throws(LoadTestError) {
            try checkOutputs()
            var results = Results(report: Report(command: command, machine: .read()))
            do throws(LoadTestError) {
                try measure(&results)
            } catch {
                progress.clear()
                return end(early: error, &results)
            }
            progress.clear()
            try write(results)
            if !results.report.isClean { return 1 }
            return arguments.require && !results.report.missed.isEmpty ? 2 : 0
        } catch {
            progress.clear()
            return complain(error)
        }
    }

    /// What was finished before is told, and where it was asked for it is written. Whoever ended it gets an answer even
    /// if that is nothing.
    private func end(early reason: LoadTestError, _ results: inout Results) -> Int32 {
        results.report.ended = reason.description
        do throws(LoadTestError) {
            if results.report.holdsResults {
                try write(results)
            } else if case .interrupted = reason {
                try Output.write(printed(results.report))
            }
        } catch {
            _ = complain(error)
        }
        return complain(reason)
    }

    private func complain(_ error: LoadTestError) -> Int32 {
        FileHandle.standardError.write(Data("tokencache-load: \(error)\n".utf8))
        return error.exitStatus
    }

    private func measure(_ results: inout Results) throws(LoadTestError) {
        let cores =
            arguments.noPin || arguments.socket != nil ? Cores() : Cores.apart(clientThreads: arguments.threadCount)
        if let socket = arguments.socket {
            results.report.machine.placement = "the daemon as it was found"
            return try workloads(socket, ownsDaemon: false, cores: cores, into: &results)
        }
        let programs = try Programs.find(
            daemon: arguments.daemon, redisServer: arguments.redisServer, memcached: arguments.memcached,
            searchPath: ProcessInfo.processInfo.environment["PATH"] ?? "")
        let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let bed = try TestBed(programs: programs, cores: cores, parent: parent)
        defer { bed.end() }
        results.report.machine.note(bed)
        switch arguments.run {
        case .compare:
            let comparison = try Comparison(comparisonPlan, bed: bed, progress: progress)
            defer { results.report.comparison = comparison.finished }
            try comparison.measure()
        case .guests:
            let comparison = try GuestComparison(comparisonPlan, bed: bed, progress: progress)
            defer { results.report.guests = comparison.finished }
            try comparison.measure()
        case .scale:
            let scale = try Scale(scalePlan, bed: bed, progress: progress)
            defer { results.report.scale = scale.finished }
            try scale.measure()
        case .load:
            let socket = try bed.startDaemonAndStore(settings: arguments.settings)
            try workloads(socket, ownsDaemon: true, cores: cores, into: &results)
        }
    }

    private func workloads(
        _ socket: String, ownsDaemon: Bool, cores: Cores, into results: inout Results
    ) throws(LoadTestError) {
        for workload in arguments.asked {
            var plan = WorkloadPlan(workload: workload, socketPath: socket)
            plan.ownsDaemon = ownsDaemon
            plan.sessions = arguments.sessions
            plan.connections = arguments.connectionCount
            plan.pipeline = arguments.pipeline ?? 1
            plan.threads = arguments.threadCount
            plan.duration = arguments.duration?.value ?? .seconds(10)
            plan.warmUp = workload.warmsUp ? arguments.warmUp?.value ?? .seconds(1) : .zero
            plan.rate = arguments.rate
            plan.clientCore = cores.client
            let (result, histogram) = try WorkloadRun(plan, progress: progress).measure()
            results.report.workloads.append(result)
            results.histograms.append((workload, histogram))
        }
    }

    private var comparisonPlan: ComparisonPlan {
        var plan = arguments.quick ? ComparisonPlan.quick : .full
        if let rounds = arguments.rounds { plan.rounds = rounds }
        if let sessions = arguments.sessions { plan.sessions = sessions }
        if let duration = arguments.duration { plan.seconds = duration.value.inSeconds }
        plan.connections = arguments.connectionCount
        plan.clientThreads = arguments.threadCount
        plan.settings = arguments.settings
        return plan
    }

    private var scalePlan: ScalePlan {
        var plan = ScalePlan()
        if arguments.quick {
            plan.sessions /= 10
            plan.rounds = 3
            plan.seconds = 0.5
        }
        if let sessions = arguments.sessions { plan.sessions = sessions }
        if let rounds = arguments.rounds { plan.rounds = rounds }
        if let duration = arguments.duration { plan.seconds = duration.value.inSeconds }
        return plan
    }

    private func checkOutputs() throws(LoadTestError) {
        if let path = arguments.report { try Output.check(file: path) }
        if let folder = arguments.docs { try Output.prepare(folder: folder) }
        for workload in arguments.asked {
            if let path = histogramPath(workload) { try Output.check(file: path) }
        }
    }

    private func printed(_ report: Report) -> String {
        arguments.json ? report.json() : arguments.csv ? report.csv() : report.text()
    }

    /// To standard output, and into the files that were asked for; those also if standard output fails.
    private func write(_ results: Results) throws(LoadTestError) {
        var failure: LoadTestError?
        do throws(LoadTestError) { try Output.write(printed(results.report)) } catch { failure = error }
        if let path = arguments.report { try writeFile(path, results.report.html()) }
        if let folder = arguments.docs { try results.report.writeDocs(to: folder) }
        for (workload, histogram) in results.histograms {
            if let path = histogramPath(workload) { try writeFile(path, percentileDistribution(of: histogram)) }
        }
        if let failure { throw failure }
    }

    /// Where a workload's latencies go; nil if nobody wants them.
    private func histogramPath(_ workload: Workload) -> String? {
        arguments.hgrm.map { arguments.asked.count == 1 ? $0 : Self.path($0, for: workload) }
    }

    /// `out.hgrm` → `out-mixed.hgrm`
    static func path(_ path: String, for workload: Workload) -> String {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        guard let dot = path[slash...].lastIndex(of: ".") else { return "\(path)-\(workload.rawValue)" }
        return "\(path[..<dot])-\(workload.rawValue)\(path[dot...])"
    }
}
