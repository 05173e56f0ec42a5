import ArgumentParser
import TokenCacheClient

/// `reload`: let the daemon read its configuration again, and say what came of it.
struct Reload: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Let the daemon read its configuration again, without closing a connection.",
        discussion: """
            Says which keys differ and change with a restart only. A configuration with anything wrong in it changes \
            nothing: what is wrong is said, and the exit status is 78.
            """)

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let connection = try global.connect()
        let reply: ReplyValue
        do throws(TokenCacheError) {
            reply = try connection.call(["RELOAD".bytes])
        } catch .badArgument(let reason) where Self.isRefusal(reason) {
            throw Failure(status: .badConfiguration, message: Layout.printable(reason))
        } catch {
            throw Failure(error, socketPath: global.socketPath)
        }
        guard let text = reply.string, text.hasPrefix("OK") else {
            throw Failure(.protocolViolation, socketPath: global.socketPath)
        }
        let keys = Self.keysForRestart(text)
        try Terminal.print(
            global.json
                ? JSONText.object([("need_restart", .array(keys.map { .string($0) }))]).text
                : Self.page(keys))
    }

    /// Whether the daemon read the configuration and found it wrong; any other error is about the call.
    static func isRefusal(_ reason: String) -> Bool { reason.hasPrefix("nothing was changed") }

    /// The keys behind the colon of `OK, but these keys change with a restart only: redis.url, socket.path`.
    static func keysForRestart(_ reply: String) -> [String] {
        guard let colon = reply.firstIndex(of: ":") else { return [] }
        return reply[reply.index(after: colon)...].split(separator: ",").map { key in
            Layout.printable(String(key.drop { $0 == " " }))
        }
    }

    static func page(_ keys: [String]) -> String {
        guard !keys.isEmpty else { return "the configuration was reloaded" }
        return "the configuration was reloaded; these keys change with a restart only: "
            + keys.joined(separator: ", ")
    }
}
