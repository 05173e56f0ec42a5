import WireProtocol

/// What a stream of bytes turned out to hold.
struct Reading: Equatable {
    var requests: [[[UInt8]]] = []
    var error: ProtocolError?
    /// Bytes of a request that was begun but not finished.
    var left = 0
}

/// Feeds `stream` to a parser in pieces and gathers what comes out. Every call gets the bytes in memory of their exact
/// size at an address of its own, so that reading outside them, or remembering an address, is found.
///
/// - Parameter pieces: the size of each piece; when there are no more, the rest comes as one.
func read(_ stream: [UInt8], pieces: [Int] = [], limits: ProtocolLimits = .init()) -> Reading {
    var parser = RequestParser(limits: limits)
    var reading = Reading()
    var pending: [UInt8] = []
    var offset = 0
    var sizes = pieces.makeIterator()
    while offset < stream.count {
        let end = min(offset + max(sizes.next() ?? stream.count, 1), stream.count)
        pending += stream[offset..<end]
        offset = end
        var isWaiting = false
        while !isWaiting, !pending.isEmpty {
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pending.count, alignment: 1)
            defer { buffer.deallocate() }
            buffer.copyBytes(from: pending)
            switch parser.parse(buffer) {
            case .request(let length):
                reading.requests.append(parser.arguments.map { Array(buffer[$0]) })
                pending.removeFirst(length)
            case .failed(let error):
                reading.error = error
                return reading
            case .incomplete: isWaiting = true
            }
            // What the server relies on to reserve memory and to time a slow request out.
            precondition(parser.isMidRequest == isWaiting)
            if isWaiting { precondition(parser.minimumLength > pending.count) }
        }
    }
    reading.left = pending.count
    return reading
}

func read(_ stream: String, limits: ProtocolLimits = .init()) -> Reading {
    read(Array(stream.utf8), limits: limits)
}

/// The requests of a stream that is good to its end, as text.
func words(_ stream: String) -> [[String]] {
    let reading = read(stream)
    guard reading.error == nil, reading.left == 0 else { return [["\(reading)"]] }
    return reading.requests.map { $0.map { String(decoding: $0, as: UTF8.self) } }
}
