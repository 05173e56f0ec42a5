internal import Foundation
internal import LoadTest

/// One call of the program, from its arguments to its exit status.
struct Session {
    private let arguments: Arguments
    private let progress: LoadTest.Progress

    init(_ arguments: Arguments) {
        self.arguments = arguments
        progress = LoadTest.Progress(isWanted: !arguments.quiet)
    }

    func run() -> Int32 {
        do throws(LoadTestError) {
            var report = Report(command: command, machine: .read())
            let histograms = try measure(&report)
            progress.clear()
            print(arguments.json ? report.json() : arguments.csv ? report.csv() : report.text(), terminator: "")
            try write(report, histograms)
            if !report.isClean { return 1 }
            return arguments.require && !report.missed.isEmpty ? 2 : 0
        } catch {
            progress.clear()
            FileHandle.standardError.write(Data("tokencache-load: \(error)\n".utf8))
            return error.exitStatus
        }
    }

    private func measure(_ report: inout Report) throws(LoadTestError) -> [(Workload, LatencyHistogram)] {
        let cores = arguments.noPin || arguments.socket != nil ? Cores() : Cores.apart(clientThreads: arguments.threads)
        if let socket = arguments.socket {
            report.machine.placement = "the daemon as it was found"
            return try workloads(socket, ownsDaemon: false, cores: cores, into: &report)
        }
        let programs = try Programs.find(
            daemon: arguments.daemon, redisServer: arguments.redisServer, memcached: arguments.memcached,
            searchPath: ProcessInfo.processInfo.environment["PATH"] ?? "")
        let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        let bed = try TestBed(programs: programs, cores: cores, parent: parent)
        defer { bed.end() }
        report.machine.note(bed)
        if arguments.compare {
            report.comparison = try Comparison(comparisonPlan, bed: bed, progress: progress).measure()
        } else if arguments.guests {
            report.guests = try GuestComparison(comparisonPlan, bed: bed, progress: progress).measure()
        } else if arguments.scale {
            report.scale = try Scale(scalePlan, bed: bed, progress: progress).measure()
        } else {
            let socket = try bed.startDaemonAndStore(settings: arguments.settings)
            return try workloads(socket, ownsDaemon: true, cores: cores, into: &report)
        }
        return []
    }

    private func workloads(
        _ socket: String, ownsDaemon: Bool, cores: Cores, into report: inout Report
    ) throws(LoadTestError) -> [(Workload, LatencyHistogram)] {
        var histograms: [(Workload, LatencyHistogram)] = []
        for workload in arguments.workloads.isEmpty ? [.validate] : arguments.workloads {
            var plan = WorkloadPlan(workload: workload, socketPath: socket)
            plan.ownsDaemon = ownsDaemon
            plan.sessions = arguments.sessions
            plan.connections = arguments.connections
            plan.pipeline = arguments.pipeline
            plan.threads = arguments.threads
            plan.duration = arguments.duration?.value ?? .seconds(10)
            plan.warmUp = [.validateCold, .captchaVerify].contains(workload) ? .zero : arguments.warmUp.value
            plan.rate = arguments.rate
            plan.clientCore = cores.client
            let (result, histogram) = try WorkloadRun(plan, progress: progress).measure()
            report.workloads.append(result)
            histograms.append((workload, histogram))
        }
        return histograms
    }

    private var comparisonPlan: ComparisonPlan {
        var plan = arguments.quick ? ComparisonPlan.quick : .full
        if let rounds = arguments.rounds { plan.rounds = rounds }
        if let sessions = arguments.sessions { plan.sessions = sessions }
        if let duration = arguments.duration { plan.seconds = duration.value.inSeconds }
        plan.connections = arguments.connections
        plan.clientThreads = arguments.threads
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
        return plan
    }

    private func write(_ report: Report, _ histograms: [(Workload, LatencyHistogram)]) throws(LoadTestError) {
        if let path = arguments.report { try writeFile(path, report.html()) }
        if let folder = arguments.docs { try report.writeDocs(to: folder) }
        guard let path = arguments.hgrm else { return }
        for (workload, histogram) in histograms {
            let own = histograms.count == 1 ? path : Self.path(path, for: workload)
            try writeFile(own, percentileDistribution(of: histogram))
        }
    }

    /// `out.hgrm` → `out-mixed.hgrm`
    static func path(_ path: String, for workload: Workload) -> String {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        guard let dot = path[slash...].lastIndex(of: ".") else { return "\(path)-\(workload.rawValue)" }
        return "\(path[..<dot])-\(workload.rawValue)\(path[dot...])"
    }

    /// How to repeat this run.
    private var command: String {
        (["tokencache-load"] + CommandLine.arguments.dropFirst()).joined(separator: " ")
    }
}
