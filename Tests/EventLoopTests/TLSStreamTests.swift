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

    /// Both ends of a connection, behind their handshake.
    private final class Connection {
        let loop: EventLoop
        let wire = Wire()
        let owner = Owner()
        let stream: TLSStream
        let server: TLSServerEnd
        private let folder: TemporaryFolder

        /// - Parameters:
        ///   - host: that is connected to.
        ///   - names: that the server's certificate is for.
        ///   - serverName: whom it must be for; empty: the host.
        init(to host: String = "redis.example", of names: [String] = ["redis.example"], serverName: String = "") throws
        {
            loop = try EventLoop()
            folder = try TemporaryFolder()
            let authority = try CertificateAuthority(in: folder.path)
            server = try TLSServerEnd(authority.issue("redis", for: names))
            var material = TLSContext.Material()
            material.authorities = Array(try Data(contentsOf: URL(filePath: authority.certificate)))
            stream = TLSStream(over: wire, scheduler: loop, context: try TLSContext(material), serverName: serverName)
            stream.delegate = owner
            stream.connect(to: .tcp(host: host, port: 1), timeout: .seconds(20))
            wire.delegate?.streamConnected()
            for _ in 0..<3 { exchange() }
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

    @Test("a server at an address is asked for no name, and its certificate has the address as one")
    func address() throws {
        for address in ["192.0.2.7", "2001:db8::7"] {
            let good = try Connection(to: address, of: ["redis.example", address])
            #expect(good.owner.isConnected && good.owner.closed == nil, "\(address)")
            #expect(good.server.askedName == nil)
            // Another address, a name, the address as a name, and all names.
            for names in [["192.0.2.8", "2001:db8::8"], ["redis.example"], ["DNS:\(address)"], ["*.example"]] {
                let bad = try Connection(to: address, of: names)
                #expect(!bad.owner.isConnected, "\(address) and \(names)")
                guard case .insecure(.wrongName(address, _))? = bad.owner.closed else {
                    Issue.record("\(address) and \(names): \(String(describing: bad.owner.closed))")
                    continue
                }
            }
        }
    }

    @Test("a server is asked for the name that its certificate must be for, wherever it is")
    func name() throws {
        for connection in [try Connection(), try Connection(to: "192.0.2.7", serverName: "redis.example")] {
            #expect(connection.owner.isConnected)
            #expect(connection.server.askedName == "redis.example")
        }
        let address = try Connection(to: "redis.example", of: ["192.0.2.7"], serverName: "192.0.2.7")
        #expect(address.owner.isConnected && address.server.askedName == nil)
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
