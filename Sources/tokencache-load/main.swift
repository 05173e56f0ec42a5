internal import ArgumentParser
internal import Foundation
internal import LoadTest

// Started to become a server: never anything else, and before anything else.
if CommandLine.arguments.count > 1, CommandLine.arguments[1] == ServerLaunch.verb {
    exit(ServerLaunch.run(Array(CommandLine.arguments.dropFirst(2))))
}

let arguments = Arguments.parseOrExit()
Interruption.watch()
exit(Session(arguments).run())
