import EventLoop
import Foundation
import TestSupport
import Testing

@testable import RedisLink

/// What is encrypted and cannot be sent.
@Suite("A server that stops reading, over TLS")
struct TLSBackPressureTests {
    /// Sockets, and the most that ever waited in one of them.
    private final class MeasuredStreams: StreamMaker {
        let loop: EventLoop
        var mostUnsent = 0

        init(_ loop: EventLoop) { self.loop = loop }

        func makeStream() -> any OutgoingStream { Stream(ByteStream(loop: loop), self) }

        private final class Stream: OutgoingStream {
            private let stream: ByteStream
            private let owner: MeasuredStreams

            init(_ stream: ByteStream, _ owner: MeasuredStreams) { (self.stream, self.owner) = (stream, owner) }

            var delegate: (any ByteStreamDelegate)? {
                get { stream.delegate }
                set { stream.delegate = newValue }
            }
            func connect(to address: StreamAddress, timeout: Duration) { stream.connect(to: address, timeout: timeout) }
            func write(_ bytes: [UInt8]) {
                stream.write(bytes)
                owner.mostUnsent = max(owner.mostUnsent, stream.pendingOutput)
            }
            func close() { stream.close() }
        }
    }

    @Test("what waits is bounded, what is more is refused at once, and the server is used again when it goes on")
    func stopped() throws {
        let folder = try TemporaryFolder()
        let authority = try CertificateAuthority(in: folder.path)
        let port = try FreePort.find()
        let server = try RedisProcess(authority.options(authority.issue("redis", for: ["127.0.0.1"]), port: port))
        defer { server.kill9() }
        var material = TLSContext.Material()
        material.authorities = Array(try Data(contentsOf: URL(filePath: authority.certificate)))
        let context = try TLSContext(material)
        var measured: MeasuredStreams?
        let bench = try Bench(
            .tcp(host: "127.0.0.1", port: UInt16(port)), { $0.timeout = .seconds(1) },
            over: { loop -> any StreamMaker in
                let streams = MeasuredStreams(loop)
                measured = streams
                return TLSStreams(over: streams, scheduler: loop, context: context)
            })
        bench.waitReady()
        let limit = bench.link.settings.maxPendingBytes

        server.signal(SIGSTOP)
        let megabyte = RedisCommand("ECHO", [UInt8](repeating: 120, count: 1 << 20))
        var faults: [RedisFault.Kind?: Int] = [:]
        for wave in 1...3 {
            bench.run("wave \(wave)") { done in
                var left = 100
                for _ in 0..<left {
                    bench.link.send(megabyte, repeatable: false) { result in
                        faults[result.faultKind, default: 0] += 1
                        left -= 1
                        if left == 0 { done() }
                    }
                }
            }
        }
        // What was given up at its time still waits to be sent: what comes behind it is refused as well.
        #expect(faults == [.timeout: 63, .overloaded: 237])
        let most = try #require(measured).mostUnsent
        #expect(most > limit / 2 && most < limit + limit / 50, "\(most) bytes waited")
        bench.wait("lost") { if case .down = $0 { true } else { false } }

        server.signal(SIGCONT)
        bench.waitReady()
        #expect(bench.call("PING") == .success(.status("PONG")))
        #expect(bench.link.pendingRequests == 0)
    }
}
