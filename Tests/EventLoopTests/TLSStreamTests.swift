import Foundation
import TestSupport
import Testing

@testable import EventLoop

/// Messages of TLS's own on a connection that stands.
@Suite("A stream over TLS")
struct TLSStreamTests {
    /// What carries the records: the test hands them over.
    private final class Wire: OutgoingStream {
        weak var delegate: (any ByteStreamDelegate)?
        private(set) var sent: [UInt8] = []

        func connect(to address: StreamAddress, timeout: Duration) {}
        func write(_ bytes: [UInt8]) { sent += bytes }
        func close() {}

        func takeSent() -> [UInt8] {
            defer { sent = [] }
            return sent
        }
        func deliver(_ record: [UInt8]) { record.withUnsafeBytes { delegate?.streamReceived($0) } }
    }

    private final class Owner: ByteStreamDelegate {
        var isConnected = false
        var received: [UInt8] = []
        var closed: StreamCloseReason?

        func streamConnected() { isConnected = true }
        func streamReceived(_ bytes: UnsafeRawBufferPointer) { received += bytes }
        func streamClosed(_ reason: StreamCloseReason) { closed = reason }
    }

    /// Both ends of a connection that stands.
    private final class Connection {
        let loop: EventLoop
        let wire = Wire()
        let owner = Owner()
        let stream: TLSStream
        let server: TLSServerEnd
        private let folder: TemporaryFolder

        init() throws {
            loop = try EventLoop()
            folder = try TemporaryFolder()
            let authority = try CertificateAuthority(in: folder.path)
            server = try TLSServerEnd(authority.issue("redis", for: ["redis.example"]))
            var material = TLSContext.Material()
            material.authorities = Array(try Data(contentsOf: URL(filePath: authority.certificate)))
            stream = TLSStream(
                over: wire, scheduler: loop, context: try TLSContext(material), serverName: "redis.example")
            stream.delegate = owner
            stream.connect(to: .tcp(host: "redis.example", port: 1), timeout: .seconds(20))
            wire.delegate?.streamConnected()
            for _ in 0..<3 { exchange() }
            #expect(owner.isConnected)
        }

        /// Everything that either has to say reaches the other.
        /// - Returns: what the server was told.
        @discardableResult
        func exchange() -> String {
            let said = server.receive(wire.takeSent())
            for record in server.records() { wire.deliver(record) }
            return String(decoding: said + server.receive(wire.takeSent()), as: UTF8.self)
        }
    }

    @Test("what is written in the middle of a message of TLS's own waits for the rest of it, in order")
    func fragment() throws {
        let connection = try Connection()
        try connection.server.sendLargeTicket()
        let records = connection.server.records()
        #expect(records.count > 3)
        connection.wire.deliver(records[0])
        let large = String(repeating: "x", count: 200_000)
        for text in ["first", large, "last"] { connection.stream.write(Array(text.utf8)) }
        #expect(connection.wire.sent.isEmpty)
        for record in records.dropFirst() { connection.wire.deliver(record) }
        #expect(connection.exchange() == "first" + large + "last")
        connection.server.write("answer")
        connection.exchange()
        #expect(connection.owner.received == Array("answer".utf8))
        #expect(connection.owner.closed == nil)
    }

    @Test("keys that the server changes are changed on this side, too")
    func keyUpdate() throws {
        let connection = try Connection()
        for number in 0..<3 {
            try connection.server.updateKeys()
            connection.stream.write(Array("before \(number),".utf8))
            #expect(connection.exchange() == "before \(number),")
            connection.stream.write(Array("after".utf8))
            connection.server.write("\(number)")
            #expect(connection.exchange() == "after")
        }
        #expect(connection.owner.received == Array("012".utf8))
        #expect(connection.owner.closed == nil)
    }
}
