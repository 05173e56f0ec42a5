internal import Glibc
internal import Host
internal import Logging
internal import TokenCacheServer

/// Exit status for a wrong command line (EX_USAGE of sysexits.h).
let usageError: Int32 = 64

/// Exit status for a wrong configuration (EX_CONFIG of sysexits.h).
let configurationError: Int32 = 78

/// Exit status where the system refuses what the daemon cannot do without (EX_OSERR).
let systemError: Int32 = 71

guard StandardDescriptors.fill() else { exit(systemError) }
let arguments = argumentsOrExit()
let environment = LaunchEnvironment.read()

func argumentsOrExit() -> Arguments {
    do throws(Arguments.Misuse) {
        return try Arguments(LaunchArguments.words)
    } catch {
        complain(
            "Error: \(error.message)\nUsage: \(Option.synopsis)\n  See 'tokencached --help' for more information.\n")
        exit(usageError)
    }
}

/// One line about the start: for people, or as a line of the log where the journal or a program reads it.
func say(_ text: String, level: Logger.Level = .error, format: LogFormat) {
    let log = LogOutput(level: .trace, format: format, journalStream: environment["JOURNAL_STREAM"])
    switch (log.style, format) {
    case (.journal, _), (_, .json): log.logger(label: "tokencached").log(level: level, "\(text)")
    case (.readable, .text): complain("tokencached: \(text)\n")
    }
}

/// To standard error, in one write: lines of others do not come between.
func complain(_ line: String) {
    let bytes = Array(line.utf8)
    _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
}

func serve(_ settings: Settings) -> Int32 {
    let service = ServiceContext.take(from: environment)
    let log = LogOutput(
        level: settings.log.level, format: settings.log.format, journalStream: environment["JOURNAL_STREAM"])
    do throws(StartError) {
        let daemon = try Daemon(
            settings: settings, configurationFile: arguments.file(environment: environment) ?? "",
            environment: environment, log: log, service: service
        ) {
            arguments.load(environment: environment)
        }
        return daemon.run()
    } catch {
        say("\(error)", format: settings.log.format)
        return error.exitStatus
    }
}

/// `--check-config --json`.
func checkAsJSON() -> Int32 {
    var report = CheckReport(sources: arguments.sources(environment: environment))
    switch arguments.load(environment: environment) {
    case .failure(let errors):
        for problem in errors.problems { report.add(problem) }
    case .success(let settings):
        report.warnings = settings.warnings
        if let problem = settings.fileProblem { report.add(message: problem) }
    }
    print(report.text)
    return report.isValid ? 0 : configurationError
}

switch arguments.request {
case .help?:
    print(Option.manual, terminator: "")
    exit(0)
case .version?:
    print("tokencached \(Product.version)")
    exit(0)
case nil: break
}
if arguments.json { exit(checkAsJSON()) }

switch arguments.load(environment: environment) {
case .failure(let errors):
    for problem in errors.problems { say("\(problem)", format: errors.logFormat) }
    exit(configurationError)
case .success(let settings):
    for warning in settings.warnings {
        say(
            settings.log.format == .json ? warning : "warning: \(warning)", level: .warning, format: settings.log.format
        )
    }
    if arguments.checkConfig {
        if let problem = settings.fileProblem {
            say(problem, format: settings.log.format)
            exit(configurationError)
        }
        print("configuration ok (\(arguments.sources(environment: environment)))")
    } else {
        exit(serve(settings))
    }
}
