import ArgumentParser
import Glibc
import TokenCacheClient

/// The options of every subcommand; they may stand before or after its name.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The daemon's socket (default: where a daemon of this host listens).", valueName: "path"))
    var socket: String?

    @Flag(help: "Print JSON with the protocol's field names and raw numbers.")
    var json = false

    @Option(help: ArgumentHelp("How long to wait for the daemon, for example 500ms or 5s.", valueName: "duration"))
    var timeout = DurationArgument(text: "5s", duration: .seconds(5))

    /// `--socket`, or the default.
    var socketPath: String {
        socket ?? SocketPath.standard { name in getenv(name).map { String(cString: $0) } }
    }

    /// Opens a connection of its own.
    /// - Parameter patience: how long a command may take, where that is not ``timeout``.
    func connect(patience: Duration? = nil) throws -> BlockingConnection {
        let path = socketPath
        do throws(TokenCacheError) {
            return try BlockingConnection(socketPath: path, timeout: patience ?? timeout.duration)
        } catch {
            throw Failure.cannotConnect(to: path, because: error)
        }
    }

    /// One command on one connection.
    func call(_ arguments: [[UInt8]], patience: Duration? = nil) throws -> ReplyValue {
        let connection = try connect(patience: patience)
        do throws(TokenCacheError) {
            return try connection.call(arguments)
        } catch {
            throw Failure(error, socketPath: socketPath)
        }
    }

    /// One command whose reply is a map that begins with `status`.
    func callForFields(_ arguments: [[UInt8]], patience: Duration? = nil) throws -> ReplyFields {
        guard let fields = try call(arguments, patience: patience).fields, fields.status != nil else {
            throw Failure(.protocolViolation, socketPath: socketPath)
        }
        return fields
    }

    /// `INFO`, read.
    func info(section: String? = nil) throws -> Info { Info(parsing: try infoText(section: section)) }

    /// `INFO`, as the daemon writes it.
    func infoText(section: String?) throws -> String {
        let arguments = ["INFO"] + (section.map { [$0] } ?? [])
        guard let text = try call(arguments.map(\.bytes)).string else {
            throw Failure(.protocolViolation, socketPath: socketPath)
        }
        return text
    }
}

extension String {
    /// The argument as it goes to the daemon.
    var bytes: [UInt8] { Array(utf8) }
}

/// A number with a unit (`500ms`, `90s`, `15m`, `12h`, `30d`); a bare number means seconds.
struct DurationArgument: ExpressibleByArgument {
    /// As it was given, and as the daemon gets it.
    let text: String
    let duration: Duration

    init(text: String, duration: Duration) {
        self.text = text
        self.duration = duration
    }

    init?(argument: String) {
        let digits = argument.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int64(digits) else { return nil }
        let milliseconds: Int64
        switch argument.dropFirst(digits.count) {
        case "ms": milliseconds = 1
        case "", "s": milliseconds = 1_000
        case "m": milliseconds = 60_000
        case "h": milliseconds = 3_600_000
        case "d": milliseconds = 86_400_000
        default: return nil
        }
        let (product, isTooLong) = number.multipliedReportingOverflow(by: milliseconds)
        guard !isTooLong else { return nil }
        self.init(text: argument, duration: .milliseconds(product))
    }

    var defaultValueDescription: String { text }
}
