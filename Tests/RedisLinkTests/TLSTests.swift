import EventLoop
import Foundation
import TestSupport
import Testing

@testable import RedisLink

/// Links over TLS, to real redis-servers and to what listens in their place.
@Suite("A link over TLS")
struct TLSTests {
    private let folder: TemporaryFolder
    private let authority: CertificateAuthority

    init() throws {
        folder = try TemporaryFolder()
        authority = try CertificateAuthority(in: folder.path)
    }

    private func context(
        trusting path: String? = nil, showing identity: CertificateAuthority.Identity? = nil
    ) throws -> TLSContext {
        var material = TLSContext.Material()
        material.authorities = try bytes(path ?? authority.certificate)
        material.certificate = try identity.map { try bytes($0.certificate) }
        material.key = try identity.map { try bytes($0.key) }
        return try TLSContext(material)
    }

    private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    private func server(
        _ identity: CertificateAuthority.Identity, asksClients: Bool = false, _ more: String...
    ) throws -> (RedisProcess, port: Int) {
        let port = try FreePort.find()
        return (try RedisProcess(authority.options(identity, port: port, asksClients: asksClients) + more), port)
    }

    private func bench(_ port: Int, _ context: TLSContext?, host: String = "127.0.0.1", name: String = "") throws
        -> Bench
    {
        try Bench(
            .tcp(host: host, port: UInt16(port)), { $0.timeout = .seconds(20) },
            over: { loop -> any StreamMaker in
                guard let context else { return loop }
                return TLSStreams(over: loop, scheduler: loop, context: context, serverName: name)
            })
    }

    private func fault(_ bench: Bench, sourceLocation: SourceLocation = #_sourceLocation) -> String {
        bench.wait("down", sourceLocation: sourceLocation) { if case .down = $0 { true } else { false } }
        if case .down(let fault) = bench.link.state { return fault.description }
        return ""
    }

    @Test("commands, large replies and a long pipeline, by name and by address")
    func good() throws {
        let (server, port) = try server(authority.issue("redis", for: ["127.0.0.1", "localhost"]))
        defer { server.kill9() }
        for host in ["127.0.0.1", "localhost"] {
            let bench = try bench(port, try context(), host: host)
            bench.waitReady()
            #expect(bench.call("PING") == .success(.status("PONG")))
            let large = String(repeating: "0123456789abcdef", count: 200_000)
            #expect(bench.call("ECHO", large) == .success(.text(large)))
            var order: [Int] = []
            bench.run { done in
                for number in 0..<5_000 {
                    let text = String(repeating: "x", count: number * 7 % 2_000) + "\(number)"
                    bench.link.send(RedisCommand("ECHO", text), repeatable: true) { result in
                        if result == .success(.text(text)) { order.append(number) }
                        if number == 4_999 { done() }
                    }
                }
            }
            #expect(order == Array(0..<5_000))
        }
    }

    @Test("TLS 1.2 is spoken, too")
    func older() throws {
        let identity = try authority.issue("redis", for: ["127.0.0.1"])
        let (server, port) = try server(identity, asksClients: true, "--tls-protocols", "TLSv1.2")
        defer { server.kill9() }
        let bench = try bench(port, try context(showing: authority.issue("daemon", for: [])))
        bench.waitReady()
        #expect(bench.call("PING") == .success(.status("PONG")))
    }

    @Test(
        "a certificate for another name or address is refused, and the names are told",
        arguments: [
            (["redis.example", "other.example"], "127.0.0.1", "", "redis.example, other.example, not for 127.0.0.1"),
            (["127.0.0.2"], "127.0.0.1", "", "127.0.0.2, not for 127.0.0.1"),
            (["127.0.0.1"], "localhost", "", "127.0.0.1, not for localhost"),
            (["127.0.0.1"], "127.0.0.1", "redis.example", "127.0.0.1, not for redis.example"),
            (["*.site.example"], "127.0.0.1", "a.b.site.example", "*.site.example, not for a.b.site.example"),
            ([], "127.0.0.1", "", "no host, not for 127.0.0.1"),
        ] as [([String], String, String, String)])
    func wrongName(hosts: [String], host: String, name: String, told: String) throws {
        let (server, port) = try server(authority.issue("redis", for: hosts))
        defer { server.kill9() }
        let bench = try bench(port, try context(), host: host, name: name)
        #expect(fault(bench) == "the TLS certificate of Redis is for another name: for \(told)")
    }

    @Test("redis.tls-server-name is what the certificate is for")
    func serverName() throws {
        let (server, port) = try server(authority.issue("redis", for: ["*.site.example"]))
        defer { server.kill9() }
        let bench = try bench(port, try context(), name: "redis.site.example")
        bench.waitReady()
    }

    @Test("a name that was good once makes no other good: nothing is resumed")
    func resumption() throws {
        let (server, port) = try server(authority.issue("redis", for: ["good.example"]))
        defer { server.kill9() }
        let shared = try context()
        for _ in 0..<2 {
            let good = try bench(port, shared, name: "good.example")
            good.waitReady()
            #expect(good.call("PING") == .success(.status("PONG")))
            good.link.close()
        }
        #expect(
            fault(try bench(port, shared, name: "evil.example")).hasSuffix("for good.example, not for evil.example"))
    }

    @Test(
        "a certificate out of its time is refused",
        arguments: [
            (2020, "the TLS certificate of Redis has expired"),
            (2037, "the TLS certificate of Redis is not valid yet"),
        ])
    func time(year: Int, told: String) throws {
        let (server, port) = try server(authority.issue("redis", for: ["127.0.0.1"], year: year))
        defer { server.kill9() }
        #expect(fault(try bench(port, try context())) == told)
    }

    @Test("a certificate that nobody trusted has signed is refused")
    func untrusted() throws {
        let (server, port) = try server(authority.issue("redis", for: ["127.0.0.1"]))
        defer { server.kill9() }
        let other = try CertificateAuthority(in: folder.path, name: "other")
        let told = "the TLS certificate of Redis is signed by nobody trusted here: "
        #expect(fault(try bench(port, try context(trusting: other.certificate))).hasPrefix(told))
        // The system's authorities do not know it either.
        #expect(fault(try bench(port, try TLSContext())).hasPrefix(told))
    }

    @Test(
        "a client certificate that Redis demands: without one, with one, with one of others",
        arguments: ["TLSv1.2", "TLSv1.3"])
    func clientCertificate(version: String) throws {
        let identity = try authority.issue("redis", for: ["127.0.0.1"])
        let (server, port) = try server(identity, asksClients: true, "--tls-protocols", version)
        defer { server.kill9() }
        #expect(fault(try bench(port, try context())) == "Redis asks for a TLS client certificate")
        let other = try CertificateAuthority(in: folder.path, name: "other")
        let foreign = try context(showing: other.issue("stranger", for: []))
        #expect(fault(try bench(port, foreign)).hasPrefix("Redis refuses the TLS client certificate: "))
        let good = try bench(port, try context(showing: authority.issue("daemon", for: [])))
        good.waitReady()
    }

    @Test("TLS to a port without it is told within the time for connecting")
    func plainPort() throws {
        let port = try FreePort.find()
        let server = try RedisProcess("--port", "\(port)")
        defer { server.kill9() }
        let began = MonotonicInstant.now()
        #expect(fault(try bench(port, try context())) == "no TLS handshake with Redis")
        #expect(MonotonicInstant.now() - began < .milliseconds(1_500))
    }

    @Test("no TLS to a port that wants it is told, be it by silence or by an alert")
    func tlsPort() throws {
        let identity = try authority.issue("redis", for: ["127.0.0.1"])
        let (server, port) = try server(identity)
        defer { server.kill9() }
        #expect(fault(try bench(port, nil)) == "Redis ended the connection before its first answer")
        let alerting = try ListeningPort { peer in
            _ = peer.receive()
            peer.send([21, 3, 3, 0, 2, 2, 70])
            _ = peer.receive()
        }
        #expect(fault(try bench(alerting.port, nil)) == "Redis's port speaks TLS")
    }

    @Test(
        "what is no TLS, or ends in the middle of the handshake, is told and ends nothing else",
        arguments: [
            (Array("-ERR Protocol error\r\n".utf8), "no TLS handshake with Redis"),
            (Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), "no TLS handshake with Redis"),
            ([], "no TLS handshake with Redis"), ([22, 3, 3, 0, 80], "no TLS handshake with Redis"),
            ([21, 3, 3, 0, 2, 2, 40], "Redis asks for a TLS client certificate"),
            ([21, 3, 3, 0, 2, 2, 70], "TLS to Redis failed: tlsv1 alert protocol version"),
            ([UInt8](repeating: 0xff, count: 20_000), "no TLS handshake with Redis"),
        ] as [([UInt8], String)])
    func noHandshake(answer: [UInt8], told: String) throws {
        let listener = try ListeningPort { peer in
            _ = peer.receive()
            peer.send(answer)
        }
        #expect(fault(try bench(listener.port, try context())) == told)
    }

    @Test("records that come a byte at a time are put together; one that was changed on the way ends the connection")
    func broken() throws {
        let (server, port) = try server(authority.issue("redis", for: ["127.0.0.1"]))
        defer { server.kill9() }
        let slow = try ListeningPort(to: port) { bytes, _ in bytes.map { [$0] } }
        let bench = try bench(slow.port, try context())
        bench.waitReady()
        #expect(
            bench.call("ECHO", String(repeating: "y", count: 3_000))
                == .success(.text(String(repeating: "y", count: 3_000))))

        // The first answers have a few thousand bytes: what is changed is behind them.
        let lying = try ListeningPort(to: port) { bytes, seen in
            guard seen + bytes.count > 8_000, var last = bytes.last else { return [bytes] }
            last ^= 1
            return [bytes.dropLast() + [last]]
        }
        let other = try self.bench(lying.port, try context())
        other.waitReady()
        let lost = other.call("ECHO", String(repeating: "z", count: 8_000))
        // Not the operator's to mend: it is made anew at once, and what went wrong is told.
        #expect(lost == .failure(RedisFault(.closed, "TLS to Redis failed: decryption failed or bad record mac")))
        #expect(other.states.last == .connecting)
    }

    @Test("a server that is killed is found again, and what was under way is told")
    func killed() throws {
        let (server, port) = try server(authority.issue("redis", for: ["127.0.0.1"]))
        let bench = try bench(port, try context())
        bench.waitReady()
        server.kill9()
        #expect(bench.call("PING").faultKind != nil)
        try server.start()
        bench.waitReady()
        #expect(bench.call("PING") == .success(.status("PONG")))
        server.kill9()
    }

    @Test("another context is for new connections; those that stand go on")
    func replaced() throws {
        let (server, port) = try server(authority.issue("redis", for: ["127.0.0.1"]))
        var streams: TLSStreams?
        let bench = try Bench(
            .tcp(host: "127.0.0.1", port: UInt16(port)),
            over: { loop -> any StreamMaker in
                guard let context = try? context() else { return loop }
                let made = TLSStreams(over: loop, scheduler: loop, context: context)
                streams = made
                return made
            })
        bench.waitReady()
        let other = try CertificateAuthority(in: folder.path, name: "other")
        streams?.use(try context(trusting: other.certificate), serverName: "")
        #expect(bench.call("PING") == .success(.status("PONG")))
        server.kill9()
        try server.start()
        bench.wait("the new context is in use") { if case .down(let fault) = $0 { fault.kind == .tls } else { false } }
        streams?.use(try context(), serverName: "")
        bench.waitReady()
        server.kill9()
    }
}
