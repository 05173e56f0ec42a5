/// Replies that are numbers, nothing, or made of other replies.
extension ReplyWriter {
    /// `:n`
    public mutating func integer(_ value: Int64) {
        reserve(Self.frame)
        putHeader(UInt8(ascii: ":"), Int(value))
    }

    /// RESP3 `#t` or `#f`, RESP2 `:1` or `:0`.
    public mutating func boolean(_ value: Bool) {
        reserve(8)
        // First byte lowest: '#' 't'|'f', ':' '1'|'0', CR LF.
        let two: UInt64 = value ? 0x0A0D_313A : 0x0A0D_303A
        let three: UInt64 = value ? 0x0A0D_7423 : 0x0A0D_6623
        put(version == .three ? three : two, length: 4)
    }

    /// RESP3 `,d`, RESP2 a bulk string: the shortest text that reads back as the same number, without a fraction
    /// where there is none; `inf`, `-inf`, `nan`.
    public mutating func double(_ value: Double) {
        var text = value.description
        if text.hasSuffix(".0") { text.removeLast(2) }
        guard version == .three else { return bulk(text) }
        reserve(text.utf8.count + Self.frame)
        put(UInt8(ascii: ","))
        for byte in text.utf8 { put(byte) }
        putLineEnd()
    }

    /// No value: RESP3 `_`, RESP2 the bulk string of length -1.
    public mutating func null() {
        reserve(8)
        if version == .three {
            putNull()
        } else {
            // "$-1\r\n", first byte lowest.
            put(0x0A_0D31_2D24, length: 5)
        }
    }

    /// No array: RESP3 `_`, RESP2 the array of length -1.
    public mutating func nullArray() {
        reserve(8)
        if version == .three {
            putNull()
        } else {
            // "*-1\r\n", first byte lowest.
            put(0x0A_0D31_2D2A, length: 5)
        }
    }

    /// Begins an array of the next `count` replies, 0 or more.
    public mutating func array(_ count: Int) {
        reserve(Self.frame)
        putHeader(ASCII.asterisk, count)
    }

    /// Begins a map of the next `pairs` pairs of replies, key before value: RESP3 `%n`, RESP2 a flat array.
    public mutating func map(_ pairs: Int) {
        reserve(Self.frame)
        if version == .three { putHeader(UInt8(ascii: "%"), pairs) } else { putHeader(ASCII.asterisk, pairs * 2) }
    }

    /// Begins a set of the next `count` replies: RESP3 `~n`, RESP2 an array.
    public mutating func set(_ count: Int) {
        reserve(Self.frame)
        putHeader(version == .three ? UInt8(ascii: "~") : ASCII.asterisk, count)
    }

    /// "_\r\n", first byte lowest.
    private mutating func putNull() { put(0x0A0D_5F, length: 3) }
}
