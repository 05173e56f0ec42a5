internal import WireProtocol

/// The words of one request, as views into the buffer it was read into. Valid while the request is carried out.
struct Request {
    let bytes: UnsafeRawBufferPointer
    let ranges: UnsafeBufferPointer<Range<Int>>

    var count: Int { ranges.count }

    /// The word at an index; empty beyond the end, so that no request can make an index trap.
    @inline(__always)
    subscript(_ index: Int) -> UnsafeRawBufferPointer {
        guard index >= 0, index < ranges.count, let base = bytes.baseAddress else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        let range = ranges[index]
        guard range.lowerBound >= 0, range.upperBound <= bytes.count else {
            return UnsafeRawBufferPointer(start: nil, count: 0)
        }
        return UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }

    /// The words after the command's name.
    func arguments(after nameWords: Int) -> Arguments { Arguments(request: self, first: nameWords) }
}

/// The command that a request names: its place in the table, and how many words its name took.
struct CommandName {
    let index: UInt8
    let words: UInt8
}

extension CommandName {
    /// Nil where nothing was noted.
    @inline(__always)
    init?(note: UInt16) {
        guard note != 0 else { return nil }
        self.init(index: UInt8(truncatingIfNeeded: note), words: UInt8(truncatingIfNeeded: note &>> 8))
    }

    /// What the parser keeps for requests that differ in their last word only: nothing where that is of the name.
    @inline(__always)
    func note(for request: Request) -> UInt16 {
        Int(words) < request.count ? UInt16(index) | UInt16(words) &<< 8 : 0
    }
}

/// The arguments of a command, counted from 0.
struct Arguments {
    let request: Request
    let first: Int

    var count: Int { max(0, request.count - first) }
    subscript(_ index: Int) -> UnsafeRawBufferPointer { request[first + index] }

    /// Whether the argument is this keyword, in any case.
    func isKeyword(_ index: Int, _ keyword: StaticString) -> Bool { self[index].isKeyword(keyword) }
}

extension UnsafeRawBufferPointer {
    var array: [UInt8] { [UInt8](self) }
}
