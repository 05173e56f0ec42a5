import Foundation
import TestSupport
import Testing

@Suite("How the programs are started", .parallel)
struct LaunchTests {
    /// A library that does what agents do: it sets a variable before the program begins.
    private func agent(_ stage: Stage) throws -> String {
        let folder = try stage.clientFolder()
        let source = "\(folder)/agent.c"
        let library = "\(folder)/agent.so"
        let text = """
            #include <stdlib.h>
            __attribute__((constructor)) static void agent(void) { setenv("AGENT_WAS_HERE", "1", 1); }
            """
        try Data(text.utf8).write(to: URL(fileURLWithPath: source))
        let made = try Tool.run(stage, "clang", ["-shared", "-fPIC", "-o", library, source])
        guard made.end == .exited(0) else { throw HarnessFailure(made.errors) }
        return library
    }

    private func withStage(_ body: (Stage) throws -> Void) throws {
        let stage = try Stage()
        try body(stage)
        let problems = stage.finish()
        if !problems.isEmpty { throw HarnessFailure(problems.joined(separator: "\n")) }
    }

    private func run(_ stage: Stage, _ program: String, _ arguments: [String], preloading agent: String) throws
        -> ChildProcess
    {
        let child = try ChildProcess(
            "/usr/bin/env", ["LD_PRELOAD=\(agent)", PackageFolder.program(program)] + arguments, name: program,
            folder: stage.folder.folder("run-\(program)"))
        _ = try child.wait()
        return child
    }

    @Test("with a preloaded library that calls setenv in its constructor, the three programs hear their arguments")
    func preloaded() throws {
        try withStage { stage in
            let agent = try agent(stage)
            for program in ["tokencached", "tokencachectl", "tokencache-load"] {
                let wrong = try run(stage, program, ["--no-such-option"], preloading: agent)
                #expect(wrong.errors.contains("--no-such-option"), "\(program): \(wrong.output) \(wrong.errors)")
                let help = try run(stage, program, ["--help"], preloading: agent)
                #expect(help.ended == .exited(0) && help.output.contains("USAGE: \(program)"), "\(help.errors)")
            }
        }
    }

    /// The programs under test share the Swift runtime, which looks for its arguments before any preloaded library runs.
    /// Those that are installed have it in them, and it looks later.
    @Test("in a program that has the Swift runtime in it, as installed, the library hides Swift's arguments, not ours")
    func preloadedStatic() throws {
        try withStage { stage in
            let agent = try agent(stage)
            let folder = try stage.clientFolder()
            let main = "\(folder)/main.swift"
            let text = "print(CommandLine.arguments.count, LaunchArguments.words)\n"
            try Data(text.utf8).write(to: URL(filePath: main))
            let source = PackageFolder.file("Sources/Host/LaunchArguments.swift")
            let made = try Tool.run(
                stage, "swiftc", ["-static-stdlib", "-o", "\(folder)/probe", main, source], limit: .seconds(120))
            guard made.end == .exited(0) else { throw HarnessFailure(made.errors) }
            let probe = ["LD_PRELOAD=\(agent)", "\(folder)/probe", "--set", "a=b c", "", "ü"]
            let said = try Tool.run(stage, "/usr/bin/env", probe)
            #expect(said.output.hasSuffix(" [\"--set\", \"a=b c\", \"\", \"ü\"]\n"), "\(said.output) \(said.errors)")
        }
    }

    @Test("with such a library the daemon starts the Redis that its command line names, and none at default paths")
    func preloadedDaemon() throws {
        try withStage { stage in
            let agent = try agent(stage)
            let daemon = try stage.addDaemon(.redis(stage.addRedis()), environment: ["LD_PRELOAD": agent])
            let info = try daemon.client().call("INFO", "upstream").text ?? ""
            #expect(info.contains("upstream_state:ready"))
            #expect(Leftovers.below(stage.folder.path).count { $0.command.contains("redis-server") } == 1)
        }
    }

    @Test("descriptors 0 to 2 that were closed at the start are /dev/null, never a socket")
    func closedDescriptors() throws {
        try withStage { stage in
            let folder = try stage.folder.folder("closed")
            let child = try ChildProcess(
                "/bin/sh",
                [
                    "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-", Daemon.program, "--socket", "\(folder)/t.sock",
                    "--state-dir", "\(folder)/state", "--redis", "embedded",
                ], name: "closed", folder: folder)
            let client = try eventually(within: .seconds(20), "the daemon") {
                try? RESPClient(path: "\(folder)/t.sock", book: stage.book)
            }
            _ = try eventually("service") { try? client.issue() }
            for descriptor in 0...2 {
                let target = try FileManager.default.destinationOfSymbolicLink(
                    atPath: "/proc/\(child.pid)/fd/\(descriptor)")
                #expect(target == "/dev/null", "\(descriptor) is \(target)")
            }
            child.signal(SIGTERM)
            #expect(try child.wait() == .exited(0))
        }
    }
}
