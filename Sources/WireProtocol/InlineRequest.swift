/// Splits an inline request, a line as a person types it into `nc`, into its words.
///
/// The rules are those of Redis's `sdssplitargs`: words are separated by white space; within double quotes
/// `\n \r \t \b \a \xHH` mean what they mean in C and a backslash before any other byte means that byte; within single
/// quotes only `\'` is special; a closing quote must be followed by white space or the end; quotes may begin within
/// a word; a NUL ends the line.
enum InlineRequest {
    private enum Quote { case none, single, double }

    /// Splits `line` (without its line end) and appends the words' ranges to `words`, unescaping in place: a word
    /// never grows by that, so it is written over its own bytes.
    ///
    /// - Returns: nil, or why the line is refused: `.httpRequest`, `.unbalancedQuotes`, or `.tooBigInline` when it has
    ///   more than `maxWords` words. After an error `words` is of no use.
    static func split(
        _ line: UnsafeMutableRawBufferPointer, maxWords: Int, into words: inout [Range<Int>]
    ) -> ProtocolError? {
        if isHTTP(UnsafeRawBufferPointer(line)) { return .httpRequest }
        var read = 0
        while true {
            while read < line.count, ASCII.isSpace(line[read]) { read += 1 }
            guard read < line.count, line[read] != 0 else { return nil }
            guard words.count < maxWords else { return .tooBigInline }
            guard let word = takeWord(line, &read) else { return .unbalancedQuotes }
            words.append(word)
        }
    }

    /// Takes the word that begins at `read`, moves `read` behind it and returns where its plain bytes now are; nil if
    /// its quotes are not balanced.
    private static func takeWord(_ line: UnsafeMutableRawBufferPointer, _ read: inout Int) -> Range<Int>? {
        let start = read
        var write = read
        var quote = Quote.none
        while read < line.count, line[read] != 0 {
            var byte = line[read]
            read += 1
            switch quote {
            case .none:
                switch byte {
                // VT and FF separate words but do not end one: so does Redis.
                case ASCII.space, 0x09, ASCII.lineFeed, ASCII.carriageReturn: return start..<write
                case ASCII.doubleQuote:
                    quote = .double
                    continue
                case ASCII.singleQuote:
                    quote = .single
                    continue
                default: break
                }
            case .double:
                if byte == ASCII.doubleQuote { return endsWord(line, read) ? start..<write : nil }
                if byte == ASCII.backslash, read < line.count, line[read] != 0 { byte = unescape(line, &read) }
            case .single:
                if byte == ASCII.singleQuote { return endsWord(line, read) ? start..<write : nil }
                if byte == ASCII.backslash, read < line.count, line[read] == ASCII.singleQuote {
                    byte = ASCII.singleQuote
                    read += 1
                }
            }
            line[write] = byte
            write += 1
        }
        return quote == .none ? start..<write : nil
    }

    /// Whether a closing quote may stand right before `index`.
    private static func endsWord(_ line: UnsafeMutableRawBufferPointer, _ index: Int) -> Bool {
        index >= line.count || line[index] == 0 || ASCII.isSpace(line[index])
    }

    /// The byte that an escape within double quotes stands for; `read` is behind the backslash and moves behind the
    /// escape. There is at least one byte at `read`.
    private static func unescape(_ line: UnsafeMutableRawBufferPointer, _ read: inout Int) -> UInt8 {
        let letter = line[read]
        read += 1
        switch letter {
        case UInt8(ascii: "x"):
            guard line.count - read >= 2, let high = ASCII.hexValue(line[read]),
                let low = ASCII.hexValue(line[read + 1])
            else { return letter }
            read += 2
            return high << 4 | low
        case UInt8(ascii: "n"): return ASCII.lineFeed
        case UInt8(ascii: "r"): return ASCII.carriageReturn
        case UInt8(ascii: "t"): return 0x09
        case UInt8(ascii: "b"): return 0x08
        case UInt8(ascii: "a"): return 0x07
        default: return letter
        }
    }

    /// Whether the line is the first of an HTTP request, or its `Host` header: a page in a browser can be made to send
    /// such lines, with commands of its choice in the body, to any socket it can name. Looks at the raw words, before
    /// quotes mean anything.
    private static func isHTTP(_ line: UnsafeRawBufferPointer) -> Bool {
        var end = line.count
        while end > 0, ASCII.isSpace(line[end - 1]) { end -= 1 }
        var last = end
        while last > 0, !ASCII.isSpace(line[last - 1]) { last -= 1 }
        if part(line, last..<end).starts(with: "HTTP/".utf8) { return true }
        var first = 0
        while first < end, ASCII.isSpace(line[first]) { first += 1 }
        var after = first
        while after < end, !ASCII.isSpace(line[after]) { after += 1 }
        let word = part(line, first..<after)
        return word.isKeyword("POST") || word.isKeyword("HOST:")
    }

    private static func part(_ line: UnsafeRawBufferPointer, _ range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: line[range])
    }
}
