import ArgumentParser
import TokenCacheClient

/// `metrics`: what Prometheus reads, over the daemon's socket.
struct Metrics: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the figures as Prometheus reads them.",
        discussion: """
            For the textfile collector of the node exporter, where the daemon serves no HTTP:
              tokencachectl metrics > tokencached.prom.new && mv tokencached.prom.new tokencached.prom
            """)

    @Flag(help: "Print OpenMetrics.")
    var openmetrics = false

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let arguments = ["METRICS"] + (openmetrics ? ["OPENMETRICS"] : [])
        guard let text = try global.call(arguments.map(\.bytes)).string else {
            throw Failure(.protocolViolation, socketPath: global.socketPath)
        }
        try Terminal.print(text)
    }
}
