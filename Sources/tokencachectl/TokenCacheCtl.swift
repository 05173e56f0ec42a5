import ArgumentParser
import Glibc
import Host

/// A command with subcommands: it does nothing by itself.
protocol CommandGroup: ParsableCommand {}

extension CommandGroup {
    func run() throws { throw ValidationError("Which subcommand?") }
}

/// The root of the command line.
struct TokenCacheCtl: CommandGroup {
    static let configuration = CommandConfiguration(
        commandName: "tokencachectl",
        abstract: "Look into and operate the token cache daemon of this host.",
        discussion: """
            Tokens are read from standard input only: arguments are visible to every user of the host.

            \(ExitStatus.table)
            """,
        version: Product.version,
        subcommands: [
            Ping.self, Status.self, Top.self, Issue.self, Validate.self, Inspect.self, Revoke.self, Sessions.self,
            GuestCommand.self, CSRFCommand.self, CaptchaCommand.self, InfoPage.self, Metrics.self, Config.self,
            Reload.self,
            KeyRingCommand.self, Doctor.self, Why.self, Migrate.self,
        ])

    @OptionGroup var global: GlobalOptions
}

@main
enum Program {
    static func main() {
        _ = StandardDescriptors.fill()
        let arguments = LaunchArguments.words
        guard !ArgumentScreen.holdsToken(arguments) else {
            end(.usage, saying: ArgumentScreen.refusal)
        }
        do {
            var command = try TokenCacheCtl.parseAsRoot(arguments)
            try command.run()
            exit(ExitStatus.accepted.rawValue)
        } catch let outcome as Outcome {
            exit(outcome.status.rawValue)
        } catch let failure as Failure {
            end(failure.status, saying: failure.message)
        } catch {
            // Help and version are "errors" of the argument parser that succeed.
            let text = TokenCacheCtl.fullMessage(for: error)
            guard TokenCacheCtl.exitCode(for: error).isSuccess else {
                Terminal.complain(text)
                exit(ExitStatus.usage.rawValue)
            }
            do {
                try Terminal.print(text)
                exit(ExitStatus.accepted.rawValue)
            } catch {
                end(.other, saying: error.message)
            }
        }
    }

    private static func end(_ status: ExitStatus, saying message: String) -> Never {
        Terminal.complain("tokencachectl: \(message)")
        exit(status.rawValue)
    }
}
