import Foundation
import TestSupport
import Testing

/// A server that lacks what is needed is told by name, with what is needed, not by what it says to a script that it cannot
/// read.
@Suite("Servers that cannot be used", .parallel)
struct UnfitServerTests {
    /// What one says of itself, and what is said of it.
    struct Server: Sendable, CustomTestStringConvertible {
        /// `INFO server`.
        let info: String
        let words: String
        let remedy: String
        let testDescription: String

        init(_ name: String, _ info: String, _ words: String, _ remedy: String) {
            testDescription = name
            self.info = info + "run_id:abc\r\nrole:master\r\n"
            self.words = words
            self.remedy = remedy
        }

        private static let needed = "; Redis 7.0 or Valkey 7.2 is needed"
        private static let other = "let `redis.url` lead to Redis 7.0, Valkey 7.2 or newer"
        static let redis6 = Server(
            "Redis 6", "redis_version:6.0.16\r\n", "Redis is too old: 6.0.16, and 7.0 is the least",
            "update Redis to 7.0 or newer")
        static let keyDB = Server(
            "KeyDB", "redis_version:6.3.4\r\nexecutable:/usr/bin/keydb-server\r\n",
            "the server lacks what the daemon needs: KeyDB 6.3.4\(needed)", other)
        static let all = [
            redis6, keyDB,
            Server(
                "Dragonfly", "redis_version:7.4.0\r\ndragonfly_version:df-v1.40.1\r\n",
                "the server lacks what the daemon needs: Dragonfly 1.40.1\(needed)", other),
            Server(
                "Kvrocks", "version:2.9.0\r\nkvrocks_version:2.9.0\r\nredis_version:7.0.0\r\n",
                "the server lacks what the daemon needs: Kvrocks 2.9.0\(needed)", other),
            Server(
                "Garnet", "garnet_version:1.0.84\r\nredis_version:7.4.3\r\n",
                "the server lacks what the daemon needs: Garnet 1.0.84\(needed)", other),
        ]

        /// What it answers: to what a daemon says first as a server of that name would, as far as that matters.
        func answer(_ words: [String]) -> String {
            func bulk(_ text: String) -> String { "$\(text.utf8.count)\r\n\(text)\r\n" }
            switch words.first?.uppercased() ?? "" {
            case "INFO": return bulk(info)
            case "TIME": return "*2\r\n" + bulk("1700000000") + bulk("1")
            case "CONFIG": return "*2\r\n" + bulk("maxmemory-policy") + bulk("noeviction")
            case "HELLO": return "-NOPROTO unsupported protocol version\r\n"
            case "SCRIPT": return "-ERR Error compiling script (new function): unexpected symbol near '#'\r\n"
            default: return "+OK\r\n"
            }
        }
    }

    @Test("an external one: answers, log, INFO and doctor name it, and what is needed", arguments: Server.all)
    func external(_ server: Server) throws {
        try withWorld { world in
            let fake = try ScriptedServer { .reply(server.answer($0)) }
            let daemon = try world.stage.addDaemon(.url("unix://\(fake.path)"), readiness: .answers)
            let client = try daemon.client()
            _ = try eventually("the server is told") {
                try client.call("TOKEN.ISSUE").errorText == "UNAVAILABLE \(server.words)" ? true : nil
            }
            #expect(daemon.log.contains(server.words) && daemon.log.contains(server.remedy), "\(daemon.log)")
            #expect(!daemon.log.contains("script "), "\(daemon.log)")
            let facts = try DaemonFacts(client, "upstream")
            #expect(facts["upstream_last_fault"] == server.words)
            let page = try Tool.run(
                world.stage, PackageFolder.program("tokencachectl"), ["--socket", daemon.socket, "doctor"])
            #expect(page.output.contains(server.words) && page.output.contains("→ \(server.remedy)"), "\(page.output)")
            try daemon.stop()
        }
    }

    /// In the place of `redis-server`: answers what a daemon says first.
    private static let program = """
        #!/usr/bin/python3
        import os, socket, sys, threading
        options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
        os.chdir(options['--dir'])
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(options['--unixsocket'])
        listener.listen(16)
        def bulk(text): return b'$%d\\r\\n%s\\r\\n' % (len(text), text)
        def answer(words):
            name = words[0].upper()
            if name == b'INFO': return bulk(b'INFORMATION')
            if name == b'TIME': return b'*2\\r\\n' + bulk(b'1700000000') + bulk(b'1')
            if name == b'CONFIG': return b'*2\\r\\n' + bulk(b'maxmemory-policy') + bulk(b'noeviction')
            return b'+OK\\r\\n'
        def serve(client):
            reader = client.makefile('rb')
            while line := reader.readline():
                words = []
                for _ in range(int(line[1:])):
                    length = int(reader.readline()[1:])
                    words.append(reader.read(length))
                    reader.read(2)
                client.sendall(answer(words))
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client,), daemon=True).start()
        """

    @Test("an embedded one ends the daemon at its start, with status 69", arguments: [Server.redis6, .keyDB])
    func embedded(_ server: Server) throws {
        try withWorld { world in
            let folder = try world.stage.folder.folder("unfit")
            let path = "\(folder)/redis-server"
            let information = server.info.replacingOccurrences(of: "\r\n", with: "\\r\\n")
            try Self.program.replacingOccurrences(of: "INFORMATION", with: information).write(
                toFile: path, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: path)
            let child = try ChildProcess(
                Daemon.program,
                [
                    "--socket", "\(folder)/s", "--state-dir", "\(folder)/state", "--redis", "embedded", "--set",
                    "redis.executable=\(path)",
                ], name: "daemon", folder: folder)
            #expect(try child.wait(.seconds(20)) == .exited(69))
            #expect(child.errors.contains("\(server.words): \(server.remedy)"), "\(child.errors)")
        }
    }
}
