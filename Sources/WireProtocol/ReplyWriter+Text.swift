/// Replies that carry text: status lines, errors, bulk and verbatim strings.
extension ReplyWriter {
    /// `+OK`
    public mutating func ok() {
        // "+OK\r\n", first byte lowest.
        write(atMost: 5) { $0.put(0x0A_0D4B_4F2B, length: 5) }
    }

    /// A status line. `text` must have no line end.
    public mutating func simple(_ text: StaticString) {
        write(atMost: text.utf8CodeUnitCount + Self.frame) { cursor in
            cursor.put(UInt8(ascii: "+"))
            cursor.put(text)
            cursor.lineEnd()
        }
    }

    /// An error: `-CODE message`. Control bytes in `message` become spaces, so it cannot end the line and begin
    /// another reply.
    ///
    /// - Parameter code: one upper-case word that programs go by, such as `ERR` or `UNAVAILABLE`.
    public mutating func error(_ code: StaticString, _ message: String) {
        write(atMost: code.utf8CodeUnitCount + message.utf8.count + Self.frame) { cursor in
            cursor.put(UInt8(ascii: "-"))
            cursor.put(code)
            cursor.put(ASCII.space)
            for byte in message.utf8 {
                cursor.put(byte < ASCII.space || byte == 0x7F ? ASCII.space : byte)
            }
            cursor.lineEnd()
        }
    }

    /// A bulk string. Inlined into the caller, where length and bytes are constants: a few stores are left of it.
    @inlinable @inline(__always)
    public mutating func bulk(_ text: StaticString) {
        write(atMost: text.utf8CodeUnitCount &+ Self.frame) { $0.bulk(text) }
    }

    /// A bulk string of any bytes.
    public mutating func bulk(_ bytes: UnsafeRawBufferPointer) {
        write(atMost: bytes.count + Self.frame) { $0.bulk(bytes) }
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
        write(atMost: bytes.count * 2 + Self.frame) { $0.bulkHex(bytes) }
    }

    /// Text made to be read as it is, such as that of `INFO`: RESP3 `=…txt:`, RESP2 a bulk string.
    public mutating func verbatim(_ text: String) {
        guard version == .three else { return bulk(text) }
        var text = text
        text.withUTF8 { text in
            write(atMost: text.count + Self.frame) { cursor in
                cursor.header(UInt8(ascii: "="), text.count + 4)
                // "txt:", first byte lowest.
                cursor.put(0x3A74_7874, length: 4)
                cursor.put(UnsafeRawBufferPointer(text))
                cursor.lineEnd()
            }
        }
    }
}
