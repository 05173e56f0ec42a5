/// Replies that are numbers, nothing, or made of other replies.
extension ReplyWriter {
    /// `:n`
    public mutating func integer(_ value: Int64) {
        write(atMost: Self.frame) { $0.integer(value) }
    }

    /// RESP3 `#t` or `#f`, RESP2 `:1` or `:0`.
    public mutating func boolean(_ value: Bool) {
        // First byte lowest: '#' 't'|'f', ':' '1'|'0', CR LF.
        let two: UInt64 = value ? 0x0A0D_313A : 0x0A0D_303A
        let three: UInt64 = value ? 0x0A0D_7423 : 0x0A0D_6623
        let word = version == .three ? three : two
        write(atMost: 4) { $0.put(word, length: 4) }
    }

    /// RESP3 `,d`, RESP2 a bulk string: the shortest text that reads back as the same number, without a fraction
    /// where there is none; `inf`, `-inf`, `nan`.
    public mutating func double(_ value: Double) {
        var text = value.description
        if text.hasSuffix(".0") { text.removeLast(2) }
        guard version == .three else { return bulk(text) }
        write(atMost: text.utf8.count + Self.frame) { cursor in
            cursor.put(UInt8(ascii: ","))
            for byte in text.utf8 { cursor.put(byte) }
            cursor.lineEnd()
        }
    }

    /// No value: RESP3 `_`, RESP2 the bulk string of length -1.
    public mutating func null() {
        // "$-1\r\n", first byte lowest.
        putNull(two: 0x0A_0D31_2D24)
    }

    /// No array: RESP3 `_`, RESP2 the array of length -1.
    public mutating func nullArray() {
        // "*-1\r\n", first byte lowest.
        putNull(two: 0x0A_0D31_2D2A)
    }

    /// Begins an array of the next `count` replies, 0 or more.
    public mutating func array(_ count: Int) {
        write(atMost: Self.frame) { $0.header(ASCII.asterisk, count) }
    }

    /// Begins a map of the next `pairs` pairs of replies, key before value: RESP3 `%n`, RESP2 a flat array.
    public mutating func map(_ pairs: Int) {
        let version = version
        write(atMost: Self.frame) { $0.map(pairs, version: version) }
    }

    /// Begins a set of the next `count` replies: RESP3 `~n`, RESP2 an array.
    public mutating func set(_ count: Int) {
        let type = version == .three ? UInt8(ascii: "~") : ASCII.asterisk
        write(atMost: Self.frame) { $0.header(type, count) }
    }

    /// Begins what was not asked for, of the next `count` replies: RESP3 `>n`, RESP2 an array.
    public mutating func push(_ count: Int) {
        let type = version == .three ? UInt8(ascii: ">") : ASCII.asterisk
        write(atMost: Self.frame) { $0.header(type, count) }
    }

    /// RESP3 "_\r\n", first byte lowest; RESP2 five bytes, likewise.
    private mutating func putNull(two: UInt64) {
        let isThree = version == .three
        write(atMost: 5) { $0.put(isThree ? 0x0A0D_5F : two, length: isThree ? 3 : 5) }
    }
}
