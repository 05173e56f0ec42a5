import Foundation
import TestSupport
import Testing

@Suite("tokencachectl top and metrics", .enabled(if: LiveDaemon.isAvailable), .timeLimit(.minutes(10)))
struct TopTests {
    /// Runs a program in a terminal of 80 × 24 characters and types what is given, a second after it began; `TERM` sends
    /// that signal instead, and the terminal's modes are told before and after.
    private static let terminal = """
        import fcntl, os, pty, select, signal, struct, sys, termios, time
        master, slave = pty.openpty()
        before = termios.tcgetattr(slave)
        pid = os.fork()
        if pid == 0:
            os.login_tty(slave)
            os.environ["TERM"] = "xterm"
            os.execv(sys.argv[2], sys.argv[2:])
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        begin, typed, out = time.monotonic(), False, b""
        while time.monotonic() - begin < 30:
            if not typed and time.monotonic() - begin > 1.5:
                if sys.argv[1] == "TERM":
                    os.kill(pid, signal.SIGTERM)
                else:
                    os.write(master, sys.argv[1].encode())
                typed = True
            if select.select([master], [], [], 0.1)[0]:
                try:
                    data = os.read(master, 65536)
                except OSError:
                    break
                if not data:
                    break
                out += data
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) and not select.select([master], [], [], 0)[0]:
                break
        sys.stdout.buffer.write(out)
        if termios.tcgetattr(slave) != before:
            sys.exit(98)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.exit(status if status >= 0 else 99)
        """

    @Test("redirected, top prints a line each time under a heading, and ends after its count")
    func lines() throws {
        let daemon = try LiveDaemon()
        _ = try daemon.run(["issue", "--subject", "ann"])
        let top = try daemon.run(["top", "--interval", "100ms", "--count", "2"])
        #expect(top.status == 0, "\(top.errors)")
        let lines = top.output.split(separator: "\n")
        #expect(lines.count == 3 && lines[0].hasPrefix("time ") && lines[0].contains("commands"))
        #expect(lines[1].contains("ready") && !top.output.contains("\u{1b}"))
        let json = try daemon.run(["top", "--interval", "100ms", "--count", "1", "--json"])
        #expect((try json.json() as? NSDictionary)?["upstream_state"] as? String == "ready")
        #expect(try daemon.run(["top", "--interval", "1ms"]).status == 2)
        #expect(try daemon.run(["top", "--count", "0"]).status == 2)
    }

    @Test(
        "in a terminal of 80 columns no line is longer, q quits, and the screen before comes back",
        arguments: ["q", "\u{3}"])
    func screen(_ key: String) throws {
        let daemon = try LiveDaemon()
        let program = PackageFolder.program("tokencachectl")
        let top = try Tool.run(
            "python3",
            ["-c", Self.terminal, key, program, "--socket", daemon.socketPath, "top", "--interval", "200ms"])
        #expect(top.status == 0, "\(top)")
        let output = top.output
        #expect(output.hasPrefix("\u{1b}[?1049h") && output.contains("\u{1b}[?1049l"))
        #expect(output.contains("commands") && output.contains("near cache") && output.contains("redis"))
        let pages = output.components(separatedBy: "\u{1b}[H").dropFirst()
        #expect(pages.count >= 2)
        for page in pages {
            let lines = page.components(separatedBy: "\r\n")
            #expect(lines.count <= 24)
            for line in lines {
                let plain = line.replacing(/\u{1b}\[[0-9;?]*[A-Za-z]/, with: "")
                #expect(plain.count <= 80, "\(plain)")
            }
        }
    }

    @Test(
        "colours are for terminals whose user did not decline",
        arguments: [["NO_COLOR="], ["NO_COLOR=1"], ["NO_COLOR=", "TERM=dumb"]])
    func colours(_ variables: [String]) throws {
        let daemon = try LiveDaemon()
        daemon.signalRedis(SIGSTOP)
        defer { daemon.signalRedis(SIGCONT) }
        let words = variables + [PackageFolder.program("tokencachectl"), "--socket", daemon.socketPath, "top"]
        _ = try eventually("Redis is missed") {
            try daemon.run(["info", "upstream"]).output.contains("upstream_state:ready") ? nil : true
        }
        let top = try Tool.run("python3", ["-c", Self.terminal, "q", "/usr/bin/env"] + words)
        #expect(top.status == 0 && top.output.contains("Redis does not answer"))
        #expect(
            top.output.contains(/\u{1b}\[3[0-9]m/) == (variables == ["NO_COLOR="]),
            "\(top.output.debugDescription.prefix(600))")
    }

    @Test("a signal that ends it finds the terminal as it was, and still ends it by that signal")
    func signal() throws {
        let daemon = try LiveDaemon()
        let top = try Tool.run(
            "python3",
            ["-c", Self.terminal, "TERM", PackageFolder.program("tokencachectl"), "--socket", daemon.socketPath, "top"])
        #expect(top.status == 99, "\(top)")
        #expect(top.output.hasPrefix("\u{1b}[?1049h") && top.output.hasSuffix("\u{1b}[?1049l"))
    }

    @Test("metrics are what Prometheus reads")
    func metrics() throws {
        let daemon = try LiveDaemon()
        _ = try daemon.run(["issue"])
        let text = try daemon.run(["metrics"])
        #expect(text.status == 0 && text.output.contains("\ntokencached_tokens_issued_total 1\n"))
        #expect(try daemon.run(["metrics", "--openmetrics"]).output.hasSuffix("# EOF\n"))
    }
}
