internal import ArgumentParser
internal import Foundation
internal import Host
internal import LoadTest

// Started to become a server: never anything else, and before anything else.
if LaunchArguments.words.first == ServerLaunch.verb {
    exit(ServerLaunch.run(Array(LaunchArguments.words.dropFirst())))
}

let arguments = Arguments.parseOrExit(LaunchArguments.words)
Interruption.watch()
exit(Session(arguments).run())
