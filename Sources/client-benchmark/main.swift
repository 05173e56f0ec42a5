internal import ArgumentParser
internal import Glibc
internal import LoadTest

// Started to become a server: never anything else, and before anything else.
if CommandLine.arguments.count > 1, CommandLine.arguments[1] == ServerLaunch.verb {
    exit(ServerLaunch.run(Array(CommandLine.arguments.dropFirst(2))))
}

let arguments = Arguments.parseOrExit()
Interruption.watch()
do {
    exit(try await arguments.measure())
} catch {
    let line = Array("client-benchmark: \(error)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
    exit((error as? LoadTestError)?.exitStatus ?? 1)
}
