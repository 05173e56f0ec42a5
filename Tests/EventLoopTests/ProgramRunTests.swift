import EventLoop
import Foundation
import Glibc
import TestSupport
import Testing

@Suite("One run of a program")
struct ProgramRunTests {
    /// Runs words to their end; what `done` was called with.
    private func run(
        _ words: [String], environment: [String: String] = [:], timeLimit: Duration = .seconds(10),
        maxBytes: Int = 4_096
    ) throws -> Result<[UInt8], ProgramFault>? {
        let loop = try EventLoop()
        var results: [Result<[UInt8], ProgramFault>] = []
        let run = ProgramRun(
            loop: loop, words: words, environment: environment, timeLimit: timeLimit, maxBytes: maxBytes
        ) {
            results.append($0)
            loop.stop()
        }
        #expect(results.isEmpty, "never before it has returned")
        loop.run(atMost: .seconds(20))
        withExtendedLifetime(run) {}
        #expect(results.count == 1)
        return results.first
    }

    private func shell(_ script: String) -> [String] { ["/bin/sh", "-c", script] }

    @Test("its output, its words as they are, and its environment")
    func output() throws {
        #expect(try run(["/bin/echo", "a  b", "$HOME", ";"]) == .success(Array("a  b $HOME ;\n".utf8)))
        #expect(try run(shell("echo $A; pwd"), environment: ["A": "1"]) == .success(Array("1\n/\n".utf8)))
        #expect(try run(["/bin/true"]) == .success([]))
        let most = String(repeating: "x", count: 4_096)
        #expect(try run(["/bin/echo", "-n", most]) == .success(Array(most.utf8)))
    }

    @Test("how it ended otherwise")
    func ends() throws {
        #expect(try run(shell("echo secret; exit 3")) == .failure(.ended(.exited(status: 3))))
        #expect(try run(shell("kill -9 $$")) == .failure(.ended(.killed(signal: 9))))
        #expect(try run(["/nonexistent/program"]) == .failure(.cannotStart(number: ENOENT)))
        #expect(try run([]) == .failure(.cannotStart(number: ENOENT)))
        #expect("\(ProgramFault.cannotStart(number: ENOENT))" == "it cannot be started: No such file or directory")
        #expect("\(ProgramFault.ended(.exited(status: 3)))" == "exit status 3")
    }

    @Test("one that says too much, or nothing for too long, is ended with what it started; the loop goes on meanwhile")
    func bounds() throws {
        #expect(try run(shell("cat /dev/zero")) == .failure(.tooLong(maxBytes: 4_096)))
        let folder = try TemporaryFolder()
        let child = folder.file("child")
        let loop = try EventLoop()
        var ticks = 0
        var timer: LoopTimer?
        timer = loop.makeTimer {
            ticks += 1
            timer?.start(after: .milliseconds(10))
        }
        timer?.start(after: .milliseconds(10))
        var result: Result<[UInt8], ProgramFault>?
        let run = ProgramRun(
            loop: loop, words: shell("sleep 100 & echo $! >\(child); wait"), environment: ["PATH": "/usr/bin:/bin"],
            timeLimit: .milliseconds(500), maxBytes: 100
        ) {
            result = $0
            loop.stop()
        }
        loop.run(atMost: .seconds(10))
        timer?.cancel()
        withExtendedLifetime(run) {}
        #expect(result == .failure(.timeout(.milliseconds(500))) && ticks > 10)
        let number = try #require(pid_t(String(contentsOfFile: child, encoding: .utf8).dropLast()))
        _ = try eventually("the grandchild is gone") { kill(number, 0) != 0 || Self.isZombie(number) ? true : nil }
    }

    @Test("who holds its output after its end is not waited for")
    func leftBehind() throws {
        let start = ContinuousClock.now
        let result = try run(shell("sleep 3 & echo word"), environment: ["PATH": "/usr/bin:/bin"])
        #expect(result == .success(Array("word\n".utf8)) && ContinuousClock.now - start < .seconds(2))
    }

    @Test("a run that is cancelled says nothing, and leaves nothing behind")
    func cancelled() throws {
        let folder = try TemporaryFolder()
        let own = folder.file("own")
        let loop = try EventLoop()
        var isTold = false
        let run = ProgramRun(
            loop: loop, words: shell("echo $$ >\(own); exec sleep 100"), environment: ["PATH": "/usr/bin:/bin"],
            timeLimit: .seconds(100), maxBytes: 100
        ) { _ in isTold = true }
        let number = try eventually("it runs") { () -> pid_t? in
            (try? String(contentsOfFile: own, encoding: .utf8)).flatMap { pid_t($0.dropLast()) }
        }
        run.cancel()
        let timer = loop.makeTimer { if kill(number, 0) != 0 { loop.stop() } }
        loop.later { timer.start(after: .milliseconds(300)) }
        loop.run(atMost: .seconds(10))
        #expect(!isTold && kill(number, 0) != 0)
    }

    private static func isZombie(_ number: pid_t) -> Bool {
        ((try? String(contentsOfFile: "/proc/\(number)/stat", encoding: .utf8)) ?? "").contains(") Z ")
    }
}
