import ArgumentParser
import EventLoop
import Host
import Migration
import TokenCacheServer

/// `migrate`: everything of a site goes from one Redis to another, and nobody is logged out.
struct Migrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Carry all sessions from one Redis to another, without logging anybody out.",
        discussion: """
            The daemons go on while all is copied. Then their ACL user at the source loses its rights, the rest is carried \
            and both sides are compared; from then until each daemon is restarted with the new redis.url it answers \
            UNAVAILABLE. An address is one as for redis.url, `embedded` too. Where it was ended, --resume goes on. The \
            daemons are not asked: run it where both Redis can be reached.
            """)

    @OptionGroup var from: SourceOptions
    @OptionGroup var to: TargetOptions

    @Option(help: "redis.prefix at both (default: that of the file of configuration, else tc:).")
    var prefix: String?

    @Option(
        help: ArgumentHelp(
            "The ACL user that the daemons are at the source (embedded: default). It loses its rights there.",
            valueName: "name"))
    var fenceUser: String?

    @Flag(help: "You have stopped all daemons, or have taken their rights to write at the source yourself.")
    var fenced = false

    @Flag(
        help:
            "Go on with a move that was ended before: the target may have keys, and loses those that the source has not."
    )
    var resume = false

    @Flag(
        help:
            "Wait, at the end, until the daemons that were at the source are at the target, and say how long that took."
    )
    var wait = false

    @Flag(help: "Look at both, count, and write nothing.")
    var dryRun = false

    @OptionGroup var global: GlobalOptions

    func run() throws {
        guard !fenced || fenceUser == nil else {
            throw Failure(status: .usage, message: "give --fence-user or --fenced, not both")
        }
        var options = Migration.Options()
        (options.fenceUser, options.isFencedByHand) = (fenceUser, fenced)
        (options.resumes, options.isDryRun, options.waits) = (resume, dryRun, wait)
        let page = MigrationPage(asJSON: global.json)
        let loop = try EventLoop()
        let environment = LaunchEnvironment.read()
        let migration: Migration
        do {
            // A file says it for both where the other side has none.
            let target = to.file == nil ? nil : try to.place.settings(prefix, environment)
            let source = try from.place.settings(prefix ?? (from.file == nil ? target?.keyPrefix : nil), environment)
            migration = try Migration(
                from: source, to: try target ?? to.place.settings(prefix ?? source.keyPrefix, environment),
                options: options, loop: loop, environment: environment, tell: page.show)
        } catch let failure as Failure { throw failure } catch {
            throw Failure(status: .badConfiguration, message: Layout.printable("\(error)"))
        }
        do throws(MigrationFault) {
            try migration.run()
        } catch {
            page.clearProgress()
            throw page.failure(error, at: migration.stage, migration.report)
        }
        page.clearProgress()
        try page.show(migration.report, isDryRun: dryRun)
    }
}

/// Where the sessions are.
struct SourceOptions: ParsableArguments {
    @Option(name: .customLong("from"), help: ArgumentHelp("Where the sessions are.", valueName: "url"))
    var url: String?

    @Option(
        name: .customLong("from-config"),
        help: ArgumentHelp("A daemon's configuration for it: redis.* of it, --from over redis.url.", valueName: "file"))
    var file: String?

    @Option(name: .customLong("from-password-file"), help: ArgumentHelp("As redis.password-file.", valueName: "file"))
    var passwordFile: String?

    var place: PlaceOptions { PlaceOptions(name: "from", url: url, file: file, passwordFile: passwordFile) }
}

/// Where they go.
struct TargetOptions: ParsableArguments {
    @Option(name: .customLong("to"), help: ArgumentHelp("Where they go.", valueName: "url"))
    var url: String?

    @Option(
        name: .customLong("to-config"),
        help: ArgumentHelp("A daemon's configuration for it: redis.* of it, --to over redis.url.", valueName: "file"))
    var file: String?

    @Option(name: .customLong("to-password-file"), help: ArgumentHelp("As redis.password-file.", valueName: "file"))
    var passwordFile: String?

    var place: PlaceOptions { PlaceOptions(name: "to", url: url, file: file, passwordFile: passwordFile) }
}

/// One of the two, as it was named.
struct PlaceOptions {
    let name: String
    let url: String?
    let file: String?
    let passwordFile: String?

    /// As a daemon would read them, but for its own variables of the environment: those are about one Redis.
    func settings(_ prefix: String?, _ environment: [String: String]) throws -> Settings {
        guard url != nil || file != nil else {
            throw Failure(status: .usage, message: "--\(name) URL or --\(name)-config FILE is missing")
        }
        var overrides: [(key: String, value: String, origin: String)] = []
        if let url { overrides.append(("redis.url", url, "--\(name)")) }
        if let passwordFile {
            overrides.append(("redis.password-file", passwordFile, "--\(name)-password-file"))
        }
        if let prefix { overrides.append(("redis.prefix", prefix, "--prefix")) }
        var environment = environment.filter { !$0.key.hasPrefix("TOKENCACHED_") }
        // No socket is made: whether there is a place for one does not matter.
        environment["RUNTIME_DIRECTORY"] = "/run/tokencached"
        switch SettingsLoader.load(file: file, environment: environment, overrides: overrides) {
        case .success(let settings): return settings
        case .failure(let errors):
            throw Failure(status: .badConfiguration, message: Layout.printable("--\(name): \(errors)"))
        }
    }
}
