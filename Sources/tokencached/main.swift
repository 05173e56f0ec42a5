internal import ArgumentParser
internal import Foundation
internal import Host
internal import Logging
internal import TokenCacheServer

/// Exit status for a wrong configuration (EX_CONFIG of sysexits.h).
let configurationError: Int32 = 78

/// Exit status where the system refuses what the daemon cannot do without (EX_OSERR).
let systemError: Int32 = 71

guard StandardDescriptors.fill() else { exit(systemError) }
let arguments = Arguments.parseOrExit(LaunchArguments.words)
let environment = ProcessInfo.processInfo.environment

/// One line about the start: for people, or with a priority where the journal reads it.
func say(_ text: String, level: Logger.Level = .error) {
    let log = LogOutput(level: .trace, journalStream: environment["JOURNAL_STREAM"])
    switch log.style {
    case .journal: log.logger(label: "tokencached").log(level: level, "\(text)")
    case .readable: FileHandle.standardError.write(Data("tokencached: \(text)\n".utf8))
    }
}

func serve(_ settings: Settings) -> Int32 {
    let service = ServiceContext.take(from: environment)
    let log = LogOutput(level: settings.log.level, journalStream: environment["JOURNAL_STREAM"])
    do throws(StartError) {
        let daemon = try Daemon(
            settings: settings, configurationFile: arguments.file(environment: environment) ?? "", log: log,
            service: service
        ) {
            arguments.load(environment: environment).map { $0.0 }
        }
        return daemon.run()
    } catch {
        say("\(error)")
        return error.exitStatus
    }
}

switch arguments.load(environment: environment) {
case .failure(let errors):
    for problem in errors.problems { say("\(problem)") }
    exit(configurationError)
case .success((let settings, let warnings)):
    for warning in warnings { say("warning: \(warning)", level: .warning) }
    if arguments.checkConfig {
        if let problem = settings.fileProblem {
            say(problem)
            exit(configurationError)
        }
        print("configuration ok (\(arguments.sources(environment: environment)))")
    } else {
        exit(serve(settings))
    }
}
