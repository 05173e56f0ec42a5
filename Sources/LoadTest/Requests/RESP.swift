/// Requests as bytes.
public enum RESP {
    /// A command as an array of bulk strings.
    public static func command(_ words: [String]) -> [UInt8] { command(words.map { Array($0.utf8) }) }

    /// A command whose words are bytes of any kind.
    public static func command(_ words: [[UInt8]]) -> [UInt8] {
        var bytes = Array("*\(words.count)\r\n".utf8)
        for word in words {
            bytes += Array("$\(word.count)\r\n".utf8)
            bytes += word
            bytes += [0x0d, 0x0a]
        }
        return bytes
    }

    /// The same command each time.
    static func row(_ words: [String]) -> RequestRows {
        let bytes = command(words)
        return RequestRows(bytes: bytes, stride: bytes.count)
    }

    /// One command for each of `arguments`, which all have one length, as rows of requests.
    ///
    /// - Parameter tokenOffset: where in the argument its token begins; nil if it has none.
    static func rows(
        _ count: Int, tokenOffset: Int?, argument: (Int) -> (before: [[UInt8]], argument: [UInt8], after: [[UInt8]])
    ) -> RequestRows {
        var bytes: [UInt8] = []
        var stride = 0
        var offset: Int?
        for index in 0..<count {
            let (before, argument, after) = argument(index)
            let row = command(before + [argument] + after)
            if index == 0 {
                stride = row.count
                bytes.reserveCapacity(stride * count)
                let head = command(before).count - "*\(before.count)\r\n".utf8.count
                let length = "*\(before.count + after.count + 1)\r\n$\(argument.count)\r\n".utf8.count
                offset = tokenOffset.map { head + length + $0 }
            }
            bytes += row
        }
        return RequestRows(bytes: bytes, stride: stride, tokenOffset: offset)
    }
}
