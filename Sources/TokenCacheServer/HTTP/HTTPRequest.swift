internal import EventLoop
internal import WireProtocol

/// One request as views into the buffer it was read into. Valid while it is answered.
struct HTTPRequest {
    private let head: HTTPRequestReader
    private let bytes: UnsafeRawBufferPointer
    /// When it was read.
    let arrival: MonotonicInstant
    let exchange: HTTPExchange

    init(_ head: HTTPRequestReader, _ bytes: UnsafeRawBufferPointer, isPersistent: Bool, arrival: MonotonicInstant) {
        self.head = head
        self.bytes = bytes
        self.arrival = arrival
        exchange = HTTPExchange(
            isHead: bytes[head.method].elementsEqual("HEAD".utf8), isPersistent: isPersistent, isOld: !head.isVersion11)
    }

    var method: UnsafeRawBufferPointer { view(head.method) }
    var path: UnsafeRawBufferPointer { view(head.path) }
    var query: UnsafeRawBufferPointer? { head.query.map(view) }
    /// With its port, as the client wrote it; nil in HTTP/1.0 without.
    var host: UnsafeRawBufferPointer? { head.host.map(view) }

    /// The value of the first field of this name.
    /// - Parameter lowercase: in lower case.
    func value(of lowercase: StaticString) -> UnsafeRawBufferPointer? { head.value(of: lowercase, in: bytes).map(view) }

    /// The same for a name that the configuration gives.
    func value(of lowercase: [UInt8]) -> UnsafeRawBufferPointer? {
        head.fields.last { field in
            field.name.count == lowercase.count
                && zip(view(field.name), lowercase).allSatisfy { HTTPRequestReader.lower($0) == $1 }
        }.map { view($0.value) }
    }

    /// The value of the first cookie of this name, in all `Cookie` fields.
    func cookie(_ name: [UInt8]) -> UnsafeRawBufferPointer? {
        for field in head.fields where HTTPRequestReader.isNamed("cookie", field.name, bytes) {
            var rest = field.value
            while !rest.isEmpty {
                let end =
                    HTTPRequestReader.find(UInt8(ascii: ";"), in: bytes, from: rest.lowerBound, to: rest.upperBound)
                    ?? rest.upperBound
                let pair = Self.trimmed(view(rest.lowerBound..<end))
                if pair.count > name.count, pair[name.count] == UInt8(ascii: "="), pair.starts(with: name) {
                    return UnsafeRawBufferPointer(rebasing: pair[(name.count + 1)...])
                }
                rest = min(end + 1, rest.upperBound)..<rest.upperBound
            }
        }
        return nil
    }

    private func view(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        guard range.lowerBound >= 0, range.upperBound <= bytes.count else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return UnsafeRawBufferPointer(rebasing: bytes[range])
    }

    /// Without white space around it.
    static func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[HTTPRequestReader.trimmed(bytes, 0..<bytes.count)])
    }
}

extension UnsafeRawBufferPointer {
    /// Whether the bytes are these, letter by letter.
    func equals(_ text: StaticString) -> Bool {
        count == text.utf8CodeUnitCount && text.withUTF8Buffer { elementsEqual($0) }
    }
}
