internal import ArgumentParser
internal import Foundation
internal import Host
internal import LoadTest

// Started to become a server: never anything else, and before anything else.
if LaunchArguments.words.first == ServerLaunch.verb {
    exit(ServerLaunch.run(Array(LaunchArguments.words.dropFirst())))
}

var words = LaunchArguments.words
let isFirstInLine = words.first == FirstInLine.verb
if isFirstInLine {
    words.removeFirst()
    FirstInLine.enter()
}
let arguments = Arguments.parseOrExit(words)
if !isFirstInLine, arguments.wantsMachine, let status = FirstInLine.run(ProgramFile.path, words) { exit(status) }
Interruption.watch()
exit(Session(arguments, from: words).run())
