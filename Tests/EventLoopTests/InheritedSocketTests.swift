import EventLoop
import Glibc
import TestSupport
import Testing

@Suite("Sockets that are handed over")
struct InheritedSocketTests {
    @Test("a listening Unix socket is taken over, and its path is left alone")
    func listeningSocket() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/s"
        let made = try UnixListener.bind(path: path)
        // As it comes through exec: blocking, and open in children.
        _ = fcntl(made.descriptor, F_SETFD, 0)
        _ = fcntl(made.descriptor, F_SETFL, 0)
        let adopted = try UnixListener.adopt(made.descriptor)
        #expect(fcntl(adopted.descriptor, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(adopted.descriptor, F_GETFL) & O_NONBLOCK != 0)
        adopted.removePath()
        #expect(access(path, F_OK) == 0)
        made.removePath()
        close(made.descriptor)
    }

    @Test("the other holders of a socket go on listening")
    func otherHolders() throws {
        let folder = try TemporaryFolder()
        let loop = try EventLoop()
        let made = try UnixListener.bind(path: folder.path + "/s")
        let passed = dup(made.descriptor)
        loop.listen(on: try UnixListener.adopt(passed).descriptor) { close($0) }.close()

        let client = Client(loop: loop)
        let listener = loop.listen(on: made.descriptor) { descriptor in
            write(descriptor, "next", 4)
            close(descriptor)
        }
        client.stream.connect(unixPath: folder.path + "/s", timeout: .seconds(5))
        loop.run(atMost: .seconds(5))
        #expect(client.events == [.connected, .received("next"), .closed(.endOfFile)])
        listener.close()
    }

    @Test("anything else is refused")
    func anythingElse() throws {
        #expect(throws: InheritedSocketError.notOpen(descriptor: 9_999)) { try UnixListener.adopt(9_999) }
        let kinds = [
            (AF_UNIX, SOCK_DGRAM), (AF_UNIX, SOCK_SEQPACKET), (AF_INET, SOCK_STREAM),
            // Of the right kind, but nobody listens.
            (AF_UNIX, SOCK_STREAM),
        ]
        for (domain, type) in kinds {
            let descriptor = socket(domain, Int32(type.rawValue), 0)
            #expect(throws: InheritedSocketError.wrongKind(descriptor: descriptor)) {
                try UnixListener.adopt(descriptor)
            }
            close(descriptor)
        }
        let file = open("/dev/null", O_RDONLY)
        #expect(throws: InheritedSocketError.wrongKind(descriptor: file)) { try UnixListener.adopt(file) }
        close(file)
    }

    @Test("a datagram reaches a path and an abstract name")
    func datagram() throws {
        let folder = try TemporaryFolder()
        for address in [folder.path + "/d", "@tokencached-test-\(getpid())-\(UInt32.random(in: 0 ... .max))"] {
            let receiver = try #require(DatagramReceiver(address))
            #expect(UnixDatagram.send("READY=1\nSTATUS=ä", to: address))
            #expect(receiver.next() == "READY=1\nSTATUS=ä")
            #expect(receiver.next() == nil)
        }
    }

    @Test(
        "an address that is none is not sent to",
        arguments: ["", "@", "/", "relative", "/nobody/is/there", "@" + String(repeating: "x", count: 107), "/a\0b"])
    func noAddress(_ address: String) {
        #expect(!UnixDatagram.send("x", to: address))
    }

    @Test("a full receiver is not waited for long")
    func fullReceiver() throws {
        let folder = try TemporaryFolder()
        let receiver = try #require(DatagramReceiver(folder.path + "/d"))
        let start = ContinuousClock.now
        // The queue's length is the kernel's (net.unix.max_dgram_qlen), and far below this.
        let taken = (0..<10_000).prefix { _ in UnixDatagram.send("x", to: folder.path + "/d") }.count
        #expect(taken < 10_000)
        #expect(ContinuousClock.now - start >= UnixDatagram.sendLimit)
        #expect(receiver.next() == "x")
    }
}

/// A datagram socket at a path, or at an abstract name after an `@`.
private final class DatagramReceiver {
    private let descriptor: Int32

    init?(_ address: String) {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var bytes = Array(address.utf8)
        if bytes.first == UInt8(ascii: "@") { bytes[0] = 0 }
        var name = sockaddr_un()
        name.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &name.sun_path) { $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + bytes.count)
        let result = withUnsafePointer(to: &name) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        guard descriptor >= 0, result == 0 else { return nil }
    }

    deinit { close(descriptor) }

    func next() -> String? {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(descriptor, &buffer, buffer.count, 0)
        return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
    }
}
