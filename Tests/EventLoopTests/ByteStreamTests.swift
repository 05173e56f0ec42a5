import EventLoop
import Glibc
import TestSupport
import Testing

/// Records what its stream does and stops the loop when it ends.
final class Client: ByteStreamDelegate {
    enum Event: Equatable {
        case connected
        case received(String)
        case closed(StreamCloseReason)
    }

    let loop: EventLoop
    let stream: ByteStream
    var events: [Event] = []
    var receivedCount = 0
    var onConnected: (() -> Void)?
    var onReceived: (() -> Void)?

    init(loop: EventLoop) {
        self.loop = loop
        stream = ByteStream(loop: loop)
        stream.delegate = self
    }

    func streamConnected() {
        events.append(.connected)
        onConnected?()
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        receivedCount += bytes.count
        if bytes.count < 100 { events.append(.received(String(decoding: bytes, as: UTF8.self))) }
        onReceived?()
    }

    func streamClosed(_ reason: StreamCloseReason) {
        events.append(.closed(reason))
        loop.stop()
    }
}

@Suite("Byte streams")
struct ByteStreamTests {
    @Test("a refused connection and a missing socket fail in time, each by its name")
    func refusedAndMissing() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let missing = Client(loop: loop)
        missing.stream.connect(unixPath: folder.path + "/none", timeout: .seconds(5))
        #expect(missing.events.isEmpty)
        loop.run(atMost: .seconds(5))
        #expect(missing.events == [.closed(.failed(number: ENOENT, connecting: true))])

        let refused = Client(loop: loop)
        refused.stream.connect(host: "127.0.0.1", port: 1, timeout: .seconds(5))
        loop.run(atMost: .seconds(5))
        #expect(refused.events == [.closed(.failed(number: ECONNREFUSED, connecting: true))])

        let long = Client(loop: loop)
        long.stream.connect(unixPath: String(repeating: "x", count: 200), timeout: .seconds(5))
        loop.run(atMost: .seconds(5))
        #expect(long.events == [.closed(.failed(number: ENAMETOOLONG, connecting: true))])
    }

    @Test("a name that does not resolve is a failure")
    func unresolvableName() throws {
        let loop = try EventLoop()
        let client = Client(loop: loop)
        client.stream.connect(host: "no such name", port: 1, timeout: .milliseconds(300))
        loop.run(atMost: .seconds(5))
        #expect(client.events.count == 1)
    }

    @Test("it connects by TCP, to an address and to a name", arguments: ["127.0.0.1", "localhost"])
    func connectsByTCP(host: String) throws {
        let loop = try EventLoop()
        let (descriptor, port) = try listenOnLoopback()
        let listener = loop.listen(on: descriptor) { accepted in
            write(accepted, "hi", 2)
            close(accepted)
        }
        let client = Client(loop: loop)
        client.stream.connect(host: host, port: port, timeout: .seconds(5))
        loop.run(atMost: .seconds(10))
        #expect(client.events == [.connected, .received("hi"), .closed(.endOfFile)])
        listener.close()
    }

    @Test("everything written arrives, however much it is")
    func everythingArrives() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let bound = try UnixListener.bind(path: folder.path + "/s")
        let echo = Echo(loop: loop)
        let listener = loop.listen(on: bound.descriptor) { echo.take($0) }
        let client = Client(loop: loop)
        client.stream.connect(unixPath: bound.path, timeout: .seconds(5))
        // Before the connection stands, and more than the kernel takes at once.
        for _ in 0..<64 { client.stream.write([UInt8](repeating: 7, count: 65_536)) }
        #expect(client.stream.pendingOutput == 4 << 20)
        client.onReceived = { [unowned client] in if client.receivedCount == 4 << 20 { loop.stop() } }
        loop.run(atMost: .seconds(20))
        #expect(client.receivedCount == 4 << 20)
        #expect(client.stream.pendingOutput == 0)
        listener.close()
    }

    @Test("closing inside its own callback is silent and safe")
    func closingInCallback() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let bound = try UnixListener.bind(path: folder.path + "/s")
        let echo = Echo(loop: loop)
        let listener = loop.listen(on: bound.descriptor) { echo.take($0) }
        let client = Client(loop: loop)
        client.stream.connect(unixPath: bound.path, timeout: .seconds(5))
        client.stream.write(Array("ping".utf8))
        client.onReceived = { [unowned client] in
            client.stream.close()
            client.stream.write([1, 2, 3])
            loop.later { loop.stop() }
        }
        loop.run(atMost: .seconds(5))
        #expect(client.events == [.connected, .received("ping")])
        #expect(!client.stream.isConnected)
        listener.close()
    }

    private func listenOnLoopback() throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #expect(bind(descriptor, $0, length) == 0)
                #expect(listen(descriptor, 8) == 0)
                #expect(getsockname(descriptor, $0, &length) == 0)
            }
        }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }
}

/// Sends back what it reads on the one connection it took.
final class Echo: DescriptorHandler {
    private let loop: EventLoop
    private var watch: DescriptorWatch?
    private var pending: [UInt8] = []

    init(loop: EventLoop) {
        self.loop = loop
    }

    deinit {
        if let watch {
            watch.cancel()
            close(watch.descriptor)
        }
    }

    func take(_ descriptor: Int32) {
        watch = loop.watch(descriptor, handler: self)
        watch?.setReading(true)
    }

    func readable() -> Bool {
        guard let watch else { return false }
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = read(watch.descriptor, &buffer, buffer.count)
        guard count > 0 else {
            watch.setReading(false)
            return false
        }
        pending.append(contentsOf: buffer[..<count])
        flush()
        return count == buffer.count
    }

    func writable() {
        flush()
    }

    private func flush() {
        guard let watch else { return }
        let count = send(watch.descriptor, pending, pending.count, Int32(MSG_NOSIGNAL))
        if count > 0 { pending.removeFirst(count) }
        watch.setWriting(!pending.isEmpty)
    }
}
