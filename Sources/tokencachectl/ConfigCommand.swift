import ArgumentParser
import Glibc
import Host

/// `config`: about the daemon's configuration.
struct Config: CommandGroup {
    static let configuration = CommandConfiguration(
        abstract: "Check the daemon's configuration.", subcommands: [ConfigCheck.self])
}

/// `config check`: the daemon's own judgement, so that there is one parser and one list of keys.
struct ConfigCheck: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Let tokencached check a configuration file.",
        discussion: """
            The exit status is that of `tokencached --check-config`: 0 if valid, 78 if not. With --json an object says \
            what is wrong: valid, problems (each with key, origin and message, as far as there are), warnings, sources.
            """)

    @Argument(help: "The file (default: the one tokencached reads by itself).")
    var file: String?

    @OptionGroup var global: GlobalOptions

    func run() throws {
        let program = try Self.daemonPath()
        let arguments =
            [program, "--check-config"] + (global.json ? ["--json"] : []) + (file.map { ["--config", $0] } ?? [])
        // The daemon takes this process's place: its output and status are the answer, unchanged.
        var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        execv(program, &pointers)
        let reason = strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
        pointers.forEach { free($0) }
        throw Failure(status: .other, message: "cannot run \(Layout.printable(program)): \(reason)")
    }

    /// Next to this program, else on the search path.
    private static func daemonPath() throws -> String {
        let own = ProgramFile.path
        var folders = own.lastIndex(of: "/").map { [String(own[..<$0])] } ?? []
        let search = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        // An empty entry would mean the current folder: never run a program from there.
        folders += search.split(separator: ":").map(String.init).filter { $0.hasPrefix("/") } + ["/usr/sbin"]
        for folder in folders where access("\(folder)/tokencached", X_OK) == 0 {
            return "\(folder)/tokencached"
        }
        throw Failure(
            status: .other,
            message: "cannot find tokencached next to tokencachectl or on the search path: is it installed?")
    }
}
