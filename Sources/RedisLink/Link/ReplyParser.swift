internal import ReplyScanner

/// Turns Redis's bytes into replies, bounded in elements and bytes.
final class ReplyParser {
    private let scanner: ReplyScanner
    private let builder: ReplyBuilder

    /// Makes a parser; nil if there is no memory left.
    init?(maxElements: Int, maxBytes: Int) {
        builder = ReplyBuilder(maxElements: maxElements)
        guard let scanner = ReplyScanner(builder, maxBytes: maxBytes) else { return nil }
        self.scanner = scanner
    }

    /// Takes in bytes; they are copied.
    func feed(_ bytes: UnsafeRawBufferPointer) throws(ReplyScanner.Failure) { try scanner.feed(bytes) }

    /// The next whole reply; nil if more bytes are needed. A top-level error is `.error`.
    func next() throws(ReplyScanner.Failure) -> RedisReply? {
        guard try scanner.next() else { return nil }
        guard let reply = builder.takeReply() else { throw .malformed }
        return reply
    }
}
