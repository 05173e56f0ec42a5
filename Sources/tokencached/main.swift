internal import ArgumentParser
internal import Foundation
internal import TokenCacheServer

/// Exit status for a wrong configuration (EX_CONFIG of sysexits.h).
let configurationError: Int32 = 78

let arguments = Arguments.parseOrExit()
let environment = ProcessInfo.processInfo.environment

func say(_ text: String) {
    FileHandle.standardError.write(Data("\(text)\n".utf8))
}

switch arguments.load(environment: environment) {
case .failure(let errors):
    for problem in errors.problems { say("tokencached: \(problem)") }
    exit(configurationError)
case .success((_, let warnings)):
    for warning in warnings { say("tokencached: warning: \(warning)") }
    if arguments.checkConfig {
        print("configuration ok (\(arguments.sources(environment: environment)))")
    }
}
