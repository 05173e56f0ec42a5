public import ArgumentParser
internal import Host
public import LoadTest

extension Workload: ExpressibleByArgument {}

/// The command line of the load test.
struct Arguments: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokencache-load",
        abstract: "Measures tokencached: how fast, how steadily, how big, and beside its peers.",
        discussion: """
            Without --socket it starts a daemon and a redis-server of its own in a temporary folder and ends them \
            when it is done, however it ends.

            WORKLOADS
            \(Workload.allCases.map { "  \($0.rawValue): \($0.meaning)" }.joined(separator: "\n"))

            EXAMPLES
              tokencache-load                                  hits, as fast as they go, for 10 seconds
              tokencache-load mixed --rate 50000               what a site does, at 50,000 a second: latencies
              tokencache-load validate issue rotate -d 5s      one after the other
              tokencache-load --socket /run/tokencached/tokencached.sock validate -c 200
              tokencache-load --compare --report compare.html  beside redis-server, memcached and the limit
              tokencache-load --scale                          bytes a session, 10,000 connections, growth, data
              tokencache-load --guests                         guests, forms, captchas, and what bots cost Redis

            HOW TO READ IT
              Without --rate each connection sends its next request when the answer is there: that finds the \
            throughput. With --rate requests are due at fixed times, and a latency counts from then, so a stall of \
            the server shows in full. Look at the client's load: at 100 % of a core with the server below, it is the \
            client that was measured.

            Exit status: 0 when every request was answered as it should be; 1 when some were not; 2 with --require \
            when a figure was not reached; 64 for a wrong command line; 69 when a server cannot be started or \
            reached; 73 when a file cannot be written (looked at before anything is measured), 74 when standard output \
            cannot; 76 when a server answers something that makes the test \
            pointless; 128 and the signal's number when it was interrupted: what was finished by then is printed and written.
            """,
        version: "tokencache-load \(Product.version)")

    @Argument(help: ArgumentHelp("What to ask of the daemon.", valueName: "workload"))
    var workloads: [Workload] = []

    @Option(name: .shortAndLong, help: "The socket of a running daemon; without it one is started.")
    var socket: String?

    @Option(
        help:
            "Sessions, guests or captchas to ask about. (default: 1000; the -cold and -verify ones 200000, rotate 10000)"
    )
    var sessions: Int?

    @Option(name: .shortAndLong, help: "Connections at a time. (default: 50)")
    var connections: Int?

    @Option(name: .shortAndLong, help: "Requests in flight on each connection. (default: 1)")
    var pipeline: Int?

    @Option(
        name: .shortAndLong,
        help:
            "How long to measure, for example 10s or 500ms. (default: 10s; each measurement of --compare, --guests and --scale 1500ms)"
    )
    var duration: Seconds?

    @Option(help: "How long to run before that. (default: 1s)")
    var warmUp: Seconds?

    @Option(name: .shortAndLong, help: "Requests a second, at fixed times. (default: as many as it takes)")
    var rate: Double?

    @Option(name: .shortAndLong, help: "Threads of the client, each on a core of its own. (default: 1)")
    var threads: Int?

    @Flag(help: "Compare with redis-server GET and EVALSHA, memcached and the limit; about three minutes.")
    var compare = false

    @Flag(help: "Measure memory, growth and the cost of data: a million sessions, 10,000 connections.")
    var scale = false

    @Flag(
        help: "Compare guests, forms and captchas with sessions, and 20,000 page views by bots with as many sessions.")
    var guests = false

    @Flag(help: "Much shorter: --compare in 20 seconds, --guests in 15, --scale with a tenth. Noisier.")
    var quick = false

    @Option(help: "Rounds of --compare, --scale and --guests.")
    var rounds: Int?

    @Flag(help: "Exit with status 2 if a figure of the design was not reached.")
    var require = false

    @Flag(help: "Print the results as JSON instead of tables.")
    var json = false

    @Flag(help: "Print the results as CSV instead of tables.")
    var csv = false

    @Option(help: ArgumentHelp("Write latencies in HdrHistogram's format.", valueName: "file"))
    var hgrm: String?

    @Option(help: ArgumentHelp("Write a page with curves and bars.", valueName: "file.html"))
    var report: String?

    @Option(help: ArgumentHelp("Write Markdown and pictures into this folder.", valueName: "dir"))
    var docs: String?

    @Option(
        name: .customLong("set"), parsing: .singleValue,
        help: ArgumentHelp("Set a key of the daemon that is started; may be repeated.", valueName: "key=value"))
    var settings: [String] = []

    @Option(help: "The daemon's program. (default: the one beside this program, or on PATH)")
    var daemon: String?

    @Option(help: "The redis-server to use. (default: the one on PATH)")
    var redisServer: String?

    @Option(help: "The memcached to compare with. (default: the one on PATH, if there is one)")
    var memcached: String?

    @Flag(help: "Leave it to the kernel which core does what.")
    var noPin = false

    @Flag(help: "No progress line.")
    var quiet = false

    /// Whether this is a measurement in full, which has the machine before all others.
    var wantsMachine: Bool { run != .load && !quick }
    var run: Run { compare ? .compare : guests ? .guests : scale ? .scale : .load }
    /// The workloads of a load, in their order.
    var asked: [Workload] { workloads.isEmpty ? [.validate] : workloads }
    var connectionCount: Int { connections ?? 50 }
    var threadCount: Int { threads ?? 1 }

    func validate() throws {
        try checkRuns()
        try checkOptions()
        try checkSizes()
    }
}

/// A time on the command line: a number with a unit; a bare one means seconds.
struct Seconds: ExpressibleByArgument {
    var value: Duration

    init(_ seconds: Int) { value = .seconds(seconds) }

    init?(argument: String) {
        let number = argument.prefix { $0.isASCII && $0.isNumber || $0 == "." }
        guard let amount = Double(number), amount.isFinite else { return nil }
        let factor: Double? =
            switch argument.dropFirst(number.count) {
            case "ms": 0.001
            case "", "s": 1
            case "m": 60
            case "h": 3_600
            default: nil
            }
        guard let factor, amount * factor <= 86_400 else { return nil }
        value = .milliseconds(Int64(amount * factor * 1_000))
    }

    var defaultValueDescription: String { "\(value.components.seconds)s" }
}
