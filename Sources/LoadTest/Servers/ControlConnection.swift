internal import Glibc

/// A plain blocking connection, for what is done before and after a measurement.
final class ControlConnection {
    /// A reply as far as preparations need it.
    enum Reply: Equatable {
        case text([UInt8])
        case number(Int)
        case list([Reply])
        case null
        case error(String)

        var string: String? { if case .text(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil } }
    }

    static let timeoutSeconds = 30
    private static let readSize = 1 << 16

    private let descriptor: Int32
    private let path: String
    /// How long it goes on after a signal came.
    private let patience: Duration
    /// Since a signal came: when that is over, by `Clock`.
    private(set) var deadline: Int64?
    private var buffer: [UInt8] = []
    private var at = 0

    /// - Parameter patience: for what is put in order after a signal, too.
    init(path: String, patience: Duration = .zero) throws(LoadTestError) {
        guard var address = UnixSocket.address(path) else {
            throw .usage("\(path): a socket path has 1 to \(UnixSocket.longestPath) bytes")
        }
        descriptor = UnixSocket.connect(&address)
        self.path = path
        self.patience = patience
        guard descriptor >= 0 else {
            throw .unavailable("cannot connect to \(path): \(describe(errno: -descriptor))")
        }
        var time = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// The process at the other end.
    var serverProcess: Int32? { UnixSocket.peer(of: descriptor) }

    /// Sends one command and waits for its reply.
    func command(_ words: String...) throws(LoadTestError) -> Reply {
        try send(RESP.command(words))
        return try reply()
    }

    /// As `command`, but an error reply is thrown.
    func demand(_ words: String...) throws(LoadTestError) -> Reply {
        try send(RESP.command(words))
        let reply = try reply()
        if case .error(let text) = reply { throw .refused("\(path): \(words[0]): \(text)") }
        return reply
    }

    func send(_ bytes: [UInt8]) throws(LoadTestError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR {
                try heedSignal()
                continue
            }
            guard count > 0 else { throw .unavailable("\(path): \(describe(errno: errno))") }
            sent += count
        }
    }

    func reply() throws(LoadTestError) -> Reply {
        let line = try self.line()
        let rest = line.dropFirst()
        switch line.first {
        case UInt8(ascii: "+"): return .text(Array(rest))
        case UInt8(ascii: "-"): return .error(String(decoding: rest, as: UTF8.self))
        case UInt8(ascii: ":"): return .number(Int(String(decoding: rest, as: UTF8.self)) ?? 0)
        case UInt8(ascii: "$"):
            guard let count = Int(String(decoding: rest, as: UTF8.self)), count >= 0 else { return .null }
            while buffer.count - at < count + 2 { try fill() }
            let text = Array(buffer[at..<(at + count)])
            at += count + 2
            return .text(text)
        case UInt8(ascii: "*"):
            guard let count = Int(String(decoding: rest, as: UTF8.self)), count >= 0 else { return .null }
            var list: [Reply] = []
            for _ in 0..<count { list.append(try reply()) }
            return .list(list)
        default:
            throw .refused("\(path) does not speak RESP")
        }
    }

    /// One line without its end.
    func line() throws(LoadTestError) -> [UInt8] {
        var searched = at
        while true {
            if let end = buffer[searched...].firstIndex(of: 0x0a) {
                let line = Array(buffer[at..<max(at, end - 1)])
                at = end + 1
                return line
            }
            searched = buffer.count
            let moved = try fill()
            searched -= moved
        }
    }

    /// Throws if a signal came and the patience is over; it is counted from the first call that finds the signal.
    func heedSignal() throws(LoadTestError) {
        guard let signal = Interruption.received else { return }
        let now = Clock.now()
        let end = deadline ?? now + patience.nanoseconds
        deadline = end
        guard now < end else { throw .interrupted(signal: signal) }
    }

    /// Since a signal came, no read waits past the deadline.
    private func awaitBytes() throws(LoadTestError) {
        guard let deadline else { return }
        var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while true {
            try heedSignal()
            let wait = max(0, deadline - Clock.now()) / 1_000_000 + 1
            if poll(&watched, 1, Int32(clamping: wait)) > 0 { return }
        }
    }

    /// Reads more; answers by how much what was kept has moved to the front.
    @discardableResult
    private func fill() throws(LoadTestError) -> Int {
        let moved = at
        buffer.removeFirst(at)
        at = 0
        try awaitBytes()
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: Self.readSize) { space, filled in
            count = recv(descriptor, space.baseAddress, Self.readSize, 0)
            filled = max(0, count)
        }
        buffer += bytes
        if count < 0, errno == EINTR {
            try heedSignal()
            return moved
        }
        guard count > 0 else {
            throw .unavailable("\(path): \(count == 0 ? "connection closed by the server" : describe(errno: errno))")
        }
        return moved
    }
}

extension ControlConnection {
    /// One real answer of the daemon to a validation, byte by byte.
    func sampleAnswer(to request: [UInt8]) throws(LoadTestError) -> [UInt8] {
        try send(request)
        guard case .list(let fields) = try reply(), fields.count > 2 else {
            throw .refused("the daemon does not validate its own session")
        }
        var bytes = Array("*\(fields.count)\r\n".utf8)
        for field in fields {
            if case .number(let number) = field { bytes += Array(":\(number)\r\n".utf8) }
            if case .text(let text) = field { bytes += Array("$\(text.count)\r\n".utf8) + text + [0x0d, 0x0a] }
        }
        return bytes
    }
}
