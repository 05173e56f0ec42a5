import EventLoop
import Foundation
import TestSupport
import Testing

@testable import RedisLink

/// How fast the link is over TLS, beside plain TCP to the same server in the same run. `make bench-tls`.
@Suite(
    "The speed of the link over TLS",
    .enabled(if: ProcessInfo.processInfo.environment["BENCH_TLS"] == "1", "a measurement: make bench-tls"))
struct TLSSpeedTests {
    private static let inFlight = 16
    private static let span = Duration.seconds(1)

    @Test("16 in flight")
    func link() throws {
        let folder = try TemporaryFolder()
        let authority = try CertificateAuthority(in: folder.path)
        let (plainPort, tlsPort) = (try FreePort.find(), try FreePort.find())
        let server = try RedisProcess(
            authority.options(authority.issue("redis", for: ["127.0.0.1"]), port: tlsPort) + ["--port", "\(plainPort)"])
        defer { server.kill9() }
        var material = TLSContext.Material()
        material.authorities = Array(try Data(contentsOf: URL(filePath: authority.certificate)))
        let context = try TLSContext(material)
        let plain = try Bench(.tcp(host: "127.0.0.1", port: UInt16(plainPort)))
        let secure = try Bench(
            .tcp(host: "127.0.0.1", port: UInt16(tlsPort)),
            over: { TLSStreams(over: $0, scheduler: $0, context: context) })
        plain.waitReady()
        secure.waitReady()
        // As large as a session's record.
        plain.call("HSET", "k", "a", String(repeating: "x", count: 100), "b", String(repeating: "y", count: 150))

        let median = try SpeedRatio.median("the link over TLS, 16 in flight") {
            try rate(secure)
        } plain: {
            try rate(plain)
        }
        #expect(median >= 0.4)
    }

    /// Replies a second, for a second.
    private func rate(_ bench: Bench) throws -> Double {
        let command = RedisCommand("HGETALL", "k")
        let began = MonotonicInstant.now()
        var answered = 0
        bench.run { done in
            var left = Self.inFlight
            func send() {
                bench.link.send(command, repeatable: true) { result in
                    guard case .success = result else { return }
                    answered += 1
                    guard began.duration(to: .now()) < Self.span else {
                        left -= 1
                        return left == 0 ? done() : ()
                    }
                    send()
                }
            }
            for _ in 0..<Self.inFlight { send() }
        }
        return Double(answered) / (began.duration(to: .now()) / .seconds(1))
    }
}
