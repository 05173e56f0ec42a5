import Foundation
import TestSupport
import Testing

/// How fast a daemon is whose every validation asks Redis, over TLS and beside it over plain TCP, in the same run.
/// `make bench-tls`.
@Suite(
    "The speed of cold validations over TLS",
    .enabled(if: ProcessInfo.processInfo.environment["BENCH_TLS"] == "1", "a measurement: make bench-tls"))
struct TLSSpeedTests {
    @Test("50 connections, 1 in flight")
    func cold() throws {
        let stage = try Stage()
        let authority = try CertificateAuthority(in: try stage.certificates())
        let (plainPort, tlsPort) = (try FreePort.find(), try FreePort.find())
        let server = try RedisProcess(
            authority.options(authority.issue("redis", for: ["127.0.0.1"]), port: tlsPort) + ["--port", "\(plainPort)"])
        defer { server.kill9() }
        let cold = ["near-cache.max-memory": "0"]
        let plain = try stage.addDaemon(.url("redis://127.0.0.1:\(plainPort)"), settings: cold)
        let secure = try stage.addDaemon(
            .url("rediss://127.0.0.1:\(tlsPort)"),
            settings: cold.merging(["redis.tls-ca-cert-file": authority.certificate]) { $1 })

        let median = try SpeedRatio.median("cold validations over TLS") {
            try rate(secure)
        } plain: {
            try rate(plain)
        }
        #expect(median >= 0.7)
        for daemon in stage.daemons { try daemon.stop() }
    }

    private struct Report: Decodable {
        struct Workload: Decodable { let throughput: Double }
        let workloads: [Workload]
    }

    /// Validations a second.
    private func rate(_ daemon: Daemon) throws -> Double {
        let tool = try Tool.run(
            PackageFolder.program("tokencache-load"),
            [
                "validate", "--socket", daemon.socket, "-c", "50", "-d", "1500ms", "--warm-up", "200ms", "--json",
                "--quiet", "--no-pin",
            ])
        guard tool.status == 0 else { throw HarnessFailure("tokencache-load: \(tool.errors)") }
        let report = try JSONDecoder().decode(Report.self, from: Data(tool.output.utf8))
        return try #require(report.workloads.first).throughput
    }
}
