internal import ArgumentParser
internal import Glibc
internal import LoadTest
internal import TokenCacheClient

/// Compares the client library with bare hiredis, against a daemon of its own.
struct Arguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client-benchmark",
        abstract: "Measures TokenCacheClient beside bare hiredis: validations that the daemon answers from memory.",
        discussion: """
            The clients take turns in every round; a ratio is the median of the ratios of all rounds. Exit status 2 \
            with --require if a figure was not reached.
            """)

    @Option(help: "Rounds.")
    var rounds = 9

    @Option(help: "Milliseconds that each client runs in each round.")
    var milliseconds = 700

    @Option(help: "Callers of the asynchronous client at a time.")
    var callers = 64

    @Option(help: "Sessions that are asked about.")
    var sessions = 1_000

    @Flag(help: "Exit with status 2 if a figure was not reached.")
    var require = false

    func validate() throws {
        guard (1...1_000).contains(rounds), (10...60_000).contains(milliseconds), (1...10_000).contains(callers),
            (1...100_000).contains(sessions)
        else { throw ValidationError("rounds 1 to 1000, milliseconds 10 to 60000, callers 1 to 10000") }
    }

    /// Starts a daemon, measures, prints; answers the exit status.
    func measure() async throws -> Int32 {
        let programs = try Programs.find(searchPath: getenv("PATH").map { String(cString: $0) } ?? "")
        let bed = try TestBed(programs: programs, cores: Cores())
        defer { bed.end() }
        let socket = try bed.startDaemonAndStore(settings: [])
        let tokens = try Self.issue(sessions, at: socket)
        var figures: [Lane: [Lane.Figures]] = [:]
        // The first round only warms up.
        for round in 0...rounds {
            for lane in Lane.allCases {
                try Interruption.check()
                let turn = try await lane.run(
                    at: socket, tokens: tokens, callers: callers, duration: .milliseconds(milliseconds))
                if round > 0 { figures[lane, default: []].append(turn) }
            }
        }
        return report(figures)
    }

    private static func issue(_ count: Int, at socket: String) throws -> [SessionToken] {
        let client = BlockingClient(socketPath: socket)
        return try (0..<count).map { _ in
            guard let token = try client.call(.issue()).issued?.token else { throw TokenCacheError.protocolViolation }
            return token
        }
    }

    private func report(_ figures: [Lane: [Lane.Figures]]) -> Int32 {
        let rates = figures.mapValues { $0.map(\.rate) }
        print("validations a second, medians of \(rounds) rounds of \(milliseconds) ms (lowest to highest)")
        for lane in Lane.allCases {
            guard let spread = Spread(rates[lane] ?? []) else { continue }
            let name = lane.title(callers: callers)
            let shown = [spread.median, spread.lowest, spread.highest].map { "\(Int($0))" }
            let cost = Self.hundredths(Spread(figures[lane]?.map(\.microseconds) ?? [])?.median ?? 0)
            print("  \(name): \(shown[0])  (\(shown[1]) to \(shown[2])), \(cost) µs of this process's CPU each")
        }
        var isReached = true
        for target in Target.all(callers: callers) {
            guard let ratio = Spread.ratio(rates[target.lane] ?? [], to: rates[target.base] ?? []) else { continue }
            let isGood = ratio.median >= target.least
            isReached = isReached && isGood
            print(
                "  \(target.meaning): \(Self.hundredths(ratio.median)) (at least \(target.least)) \(isGood ? "yes" : "NO")"
            )
        }
        return require && !isReached ? 2 : 0
    }

    private static func hundredths(_ value: Double) -> String {
        "\((value * 100).rounded() / 100)"
    }
}

/// A figure that is to be reached.
struct Target {
    let meaning: String
    let lane: Lane
    let base: Lane
    let least: Double

    static func all(callers: Int) -> [Target] {
        [
            Target(meaning: "BlockingClient / bare hiredis", lane: .blocking, base: .hiredis, least: 0.9),
            Target(meaning: "\(callers) async callers / one blocking caller", lane: .async, base: .blocking, least: 5),
        ]
    }
}
