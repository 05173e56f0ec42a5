import Foundation

/// A connected socket and what was read from it but not used yet. Everything has a deadline.
struct Wire {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var position = 0

    init(path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw HarnessFailure("path too long for a Unix socket: \(path)")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        try self.init(AF_UNIX, to: address, path)
    }

    /// Over TCP, to this host.
    init(port: Int) throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        try self.init(AF_INET, to: address, "to port \(port)")
    }

    private init<Address>(_ family: Int32, to address: Address, _ place: String) throws {
        descriptor = socket(family, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw HarnessFailure.system("socket") }
        let result = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<Address>.size))
            }
        }
        guard result == 0 else {
            let failure = HarnessFailure.system("connect \(place)")
            close(descriptor)
            throw failure
        }
        _ = fcntl(descriptor, F_SETFL, O_NONBLOCK)
    }

    func end() { close(descriptor) }

    /// Ends our sending side only.
    func endSending() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

    /// Keeps the kernel from taking much, so that a reader who does not read is noticed soon.
    func shrinkReceiveBuffer() {
        var size: Int32 = 4096
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }

    private func waitFor(_ events: Int32, _ deadline: Deadline, _ what: String) throws {
        while true {
            var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let count = poll(&entry, 1, deadline.milliseconds)
            if count > 0 { return }
            if count < 0 && errno != EINTR { throw HarnessFailure.system("poll") }
            if deadline.hasPassed { throw HarnessFailure("time limit: \(what)") }
        }
    }

    /// Sends everything; what comes back meanwhile is read, so that neither side waits for the other.
    mutating func send(_ bytes: [UInt8], _ deadline: Deadline, readingMeanwhile: Bool = true) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes { raw in
                Glibc.send(descriptor, raw.baseAddress?.advanced(by: sent), bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                try waitFor(Int32(POLLOUT) | (readingMeanwhile ? Int32(POLLIN) : 0), deadline, "send")
                if readingMeanwhile { _ = try receive() }
            } else if errno != EINTR {
                throw HarnessFailure.system("send")
            }
        }
    }

    private enum Arrival { case some, nothing, end }

    private mutating func receive() throws -> Arrival {
        if position > 1 << 16 {
            buffer.removeFirst(position)
            position = 0
        }
        let size = 1 << 16
        let start = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: size))
        let count = buffer.withUnsafeMutableBytes { raw in
            recv(descriptor, raw.baseAddress?.advanced(by: start), size, 0)
        }
        let code = errno
        buffer.removeLast(size - max(0, count))
        if count > 0 { return .some }
        if count == 0 || code == ECONNRESET { return .end }
        if code == EAGAIN || code == EINTR { return .nothing }
        throw HarnessFailure.system("recv", code)
    }

    /// Waits until something more is in the buffer; false at the end of the stream.
    private mutating func fill(_ deadline: Deadline, _ what: String) throws -> Bool {
        while true {
            switch try receive() {
            case .some: return true
            case .end: return false
            case .nothing: try waitFor(Int32(POLLIN), deadline, what)
            }
        }
    }

    mutating func readExactly(_ count: Int, _ deadline: Deadline) throws -> [UInt8] {
        while buffer.count - position < count {
            guard try fill(deadline, "\(count) bytes") else { throw HarnessFailure("closed by the other side") }
        }
        defer { position += count }
        return Array(buffer[position..<position + count])
    }

    /// A line without its CRLF.
    mutating func readLine(_ deadline: Deadline) throws -> String {
        var searched = position
        while true {
            while searched + 1 < buffer.count {
                if buffer[searched] == 13 && buffer[searched + 1] == 10 {
                    defer { position = searched + 2 }
                    return String(decoding: buffer[position..<searched], as: UTF8.self)
                }
                searched += 1
            }
            let offset = searched - position
            guard try fill(deadline, "a line") else { throw HarnessFailure("closed by the other side") }
            searched = position + offset
        }
    }

    /// Whatever is there, waited for until the deadline: nil if nothing came, empty at the end of the stream.
    mutating func readSome(_ deadline: Deadline) throws -> [UInt8]? {
        if position == buffer.count {
            do {
                guard try fill(deadline, "input") else { return [] }
            } catch is HarnessFailure where deadline.hasPassed {
                return nil
            }
        }
        defer { position = buffer.count }
        return Array(buffer[position...])
    }

    /// Everything up to the end of the stream; throws if that does not come in time.
    mutating func readToEnd(_ deadline: Deadline) throws -> [UInt8] {
        while try fill(deadline, "the connection's end") {}
        defer { position = buffer.count }
        return Array(buffer[position...])
    }

    /// Whether anything is there to be read within `limit`.
    mutating func hasInput(_ limit: Duration) throws -> Bool {
        if position < buffer.count { return true }
        let deadline = Deadline(in: limit)
        do { return try fill(deadline, "input") } catch is HarnessFailure where deadline.hasPassed { return false }
    }
}
