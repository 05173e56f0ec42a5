/// Session tokens, 128 hex digits each, one after the other.
public struct TokenPool: Sendable {
    public static let length = 128
    static let sidLength = 32
    public var bytes: [UInt8]

    public init(bytes: [UInt8] = []) { self.bytes = bytes }

    public var count: Int { bytes.count / Self.length }

    public subscript(index: Int) -> ArraySlice<UInt8> { bytes[(index * Self.length)..<((index + 1) * Self.length)] }

    /// The tokens from `start` on, at most `count`.
    func slice(_ start: Int, count: Int) -> TokenPool {
        let first = min(start, self.count)
        let end = min(self.count, first + count)
        return TokenPool(bytes: Array(bytes[(first * Self.length)..<(end * Self.length)]))
    }

    /// `count` made-up tokens: of the form of real ones, and known to no server.
    public static func random(_ count: Int, using generator: inout some RandomNumberGenerator) -> TokenPool {
        let digits = Array("0123456789abcdef".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * length)
        for _ in 0..<(count * length / 16) {
            var word = generator.next()
            for _ in 0..<16 {
                bytes.append(digits[Int(word & 15)])
                word >>= 4
            }
        }
        return TokenPool(bytes: bytes)
    }

    /// A request `command` for each token.
    public func requests(_ command: String) -> RequestRows {
        let name = Array(command.utf8)
        return RESP.rows(count, tokenOffset: 0) { ([name], Array(self[$0]), []) }
    }
}
