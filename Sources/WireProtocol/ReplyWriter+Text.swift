/// Replies that carry text: status lines, errors, bulk and verbatim strings.
extension ReplyWriter {
    /// `+OK`
    public mutating func ok() {
        reserve(8)
        // "+OK\r\n", first byte lowest.
        put(0x0A_0D4B_4F2B, length: 5)
    }

    /// A status line. `text` must have no line end.
    public mutating func simple(_ text: StaticString) {
        reserve(text.utf8CodeUnitCount + Self.frame)
        put(UInt8(ascii: "+"))
        put(Self.bytes(of: text))
        putLineEnd()
    }

    /// An error: `-CODE message`. Control bytes in `message` become spaces, so it cannot end the line and begin
    /// another reply.
    ///
    /// - Parameter code: one upper-case word that programs go by, such as `ERR` or `UNAVAILABLE`.
    public mutating func error(_ code: StaticString, _ message: String) {
        reserve(code.utf8CodeUnitCount + message.utf8.count + Self.frame)
        put(UInt8(ascii: "-"))
        put(Self.bytes(of: code))
        put(ASCII.space)
        for byte in message.utf8 {
            put(byte < ASCII.space || byte == 0x7F ? ASCII.space : byte)
        }
        putLineEnd()
    }

    /// A bulk string. Inlined into the caller, where length and bytes are constants: a few stores are left of it.
    @inlinable @inline(__always)
    public mutating func bulk(_ text: StaticString) {
        reserve(text.utf8CodeUnitCount + Self.frame)
        putHeader(ASCII.dollar, text.utf8CodeUnitCount)
        put(Self.bytes(of: text))
        putLineEnd()
    }

    /// A bulk string of any bytes.
    public mutating func bulk(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count + Self.frame)
        putHeader(ASCII.dollar, bytes.count)
        put(bytes)
        putLineEnd()
    }

    /// A bulk string of any bytes.
    public mutating func bulk(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { bulk($0) }
    }

    /// A bulk string, in UTF-8. Disfavoured so that a literal is written by the overload for `StaticString`, which
    /// makes no `String` of it.
    @_disfavoredOverload
    public mutating func bulk(_ text: String) {
        var text = text
        text.withUTF8 { bulk(UnsafeRawBufferPointer($0)) }
    }

    /// A bulk string that shows `bytes` as lower-case hexadecimal digits, twice as many.
    public mutating func bulkHex(_ bytes: UnsafeRawBufferPointer) {
        reserve(bytes.count * 2 + Self.frame)
        putHeader(ASCII.dollar, bytes.count * 2)
        var index = 0
        while bytes.count - index >= 4 {
            let four = bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self)
            put(Self.hexDigits(UInt64(UInt32(littleEndian: four))).littleEndian, length: 8)
            index += 4
        }
        while index < bytes.count {
            put(Self.hexDigits(UInt64(bytes[index])).littleEndian, length: 2)
            index += 1
        }
        putLineEnd()
    }

    /// Text made to be read as it is, such as that of `INFO`: RESP3 `=…txt:`, RESP2 a bulk string.
    public mutating func verbatim(_ text: String) {
        guard version == .three else { return bulk(text) }
        reserve(text.utf8.count + Self.frame)
        putHeader(UInt8(ascii: "="), text.utf8.count + 4)
        // "txt:", first byte lowest.
        put(0x3A74_7874, length: 4)
        var text = text
        text.withUTF8 { put(UnsafeRawBufferPointer($0)) }
        putLineEnd()
    }

    @inlinable @inline(__always)
    static func bytes(of text: StaticString) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    }

    /// The eight hexadecimal digits of four bytes, the first byte's high digit lowest: all eight are worked out side
    /// by side in one word.
    @inline(__always)
    private static func hexDigits(_ four: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        var word = (four | four &<< 16) & 0x0000_FFFF_0000_FFFF
        word = (word | word &<< 8) & 0x00FF_00FF_00FF_00FF
        let digits = (word &>> 4 | word &<< 8) & (ones &* 0x0F)
        let isLetter = (digits &+ ones &* 6) &>> 4 & ones
        return digits &+ ones &* 0x30 &+ isLetter &* 39
    }
}
