import ArgumentParser
import TokenCacheClient

/// `ping`: does the daemon answer, and how fast.
struct Ping: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Ask whether the daemon answers, and how fast.")

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let connection = try global.connect()
        let clock = ContinuousClock()
        let start = clock.now
        let reply: ReplyValue
        do throws(TokenCacheError) {
            reply = try connection.call(["PING".bytes])
        } catch {
            throw Failure(error, socketPath: global.socketPath)
        }
        let microseconds = start.duration(to: clock.now).microseconds
        guard reply.string == "PONG" else { throw Failure(.protocolViolation, socketPath: global.socketPath) }
        try Terminal.print(
            global.json
                ? JSONText.object([("reply", .string("PONG")), ("round_trip_us", .integer(microseconds))]).text
                : "PONG from \(Layout.printable(global.socketPath)) in \(microseconds) µs")
    }
}

extension Duration {
    /// Whole microseconds.
    var microseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, isTooLong) = seconds.multipliedReportingOverflow(by: 1_000_000)
        return isTooLong ? Int64.max : whole + attoseconds / 1_000_000_000_000
    }
}
