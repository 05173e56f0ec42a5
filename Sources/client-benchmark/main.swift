internal import ArgumentParser
internal import Glibc
internal import Host
internal import LoadTest

// Started to become a server: never anything else, and before anything else.
if LaunchArguments.words.first == ServerLaunch.verb {
    exit(ServerLaunch.run(Array(LaunchArguments.words.dropFirst())))
}

let arguments = Arguments.parseOrExit(LaunchArguments.words)
Interruption.watch()
do {
    exit(try await arguments.measure())
} catch {
    let line = Array("client-benchmark: \(error)\n".utf8)
    _ = write(STDERR_FILENO, line, line.count)
    exit((error as? LoadTestError)?.exitStatus ?? 1)
}
