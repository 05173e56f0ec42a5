// Fuzzes the request parser: whatever the bytes are and however they are cut, the outcome is the same, and nothing
// outside them is touched. Compiled together with the sources of WireProtocol, so it imports nothing of the project.

internal import Glibc

/// What came out of a stream: a digest of all arguments and lengths, and how it ended.
private struct Outcome: Equatable {
    var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    var error: ProtocolError?
    var left = 0

    mutating func add(_ value: UInt64) { digest = (digest ^ value) &* 0x100_0000_01B3 }
}

/// Small enough for the fuzzer to reach them.
private let limits = ProtocolLimits(maxLine: 64, maxElements: 8, maxBulk: 64)

/// Parses `stream` in pieces of the sizes that `pieces` gives out; each call gets a copy.
private func parse(_ stream: UnsafeRawBufferPointer, pieces: () -> Int) -> Outcome {
    var parser = RequestParser(limits: limits)
    var outcome = Outcome()
    var start = 0
    var end = 0
    while end < stream.count {
        end = min(end + max(pieces(), 1), stream.count)
        var isWaiting = false
        while !isWaiting, start < end {
            let (copy, other) = (copied(stream[start..<end]), copied(stream[start..<end]))
            defer {
                copy.deallocate()
                other.deallocate()
            }
            switch parser.parse(copy) {
            case .incomplete:
                if parser.minimumLength <= copy.count || !parser.isMidRequest { abort() }
                isWaiting = true
            case .failed(let error):
                outcome.error = error
                return outcome
            case .request(let length):
                if length < 1 || length > copy.count || parser.isMidRequest { abort() }
                outcome.add(UInt64(length))
                for argument in parser.arguments {
                    if argument.lowerBound < 0 || argument.upperBound > length { abort() }
                    outcome.add(UInt64(argument.count))
                    for byte in copy[argument] { outcome.add(UInt64(byte)) }
                }
                let name = look(copy, parser.arguments)
                outcome.add(name.map { UInt64($0.index) } ?? 255)
                // A request that repeats the shape of the one before is read as a parser reads it that knows of none.
                var anew = RequestParser(limits: limits)
                if anew.parse(other) != .request(length: length) || anew.arguments != parser.arguments { abort() }
                checkNote(name, &parser)
                start += length
            }
        }
    }
    outcome.left = end - start
    return outcome
}

/// Of exactly the right size. A parse changes what it reads: it takes the quotes and escapes out of an inline command.
private func copied(_ bytes: Slice<UnsafeRawBufferPointer>) -> UnsafeMutableRawBufferPointer {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes))
    return copy
}

private let names = NameTable(["TOKEN.VALIDATE", "TOKEN.GET", "CSRF.ISSUE", "PING"])

/// The name that the arguments are: the lookup reads a peer's bytes too.
private func look(_ bytes: UnsafeMutableRawBufferPointer, _ arguments: [Range<Int>]) -> (index: Int, words: Int)? {
    let words = arguments.prefix(2).map { UnsafeRawBufferPointer(rebasing: bytes[$0]) }
    return words.first.flatMap { names.lookup(first: $0, second: words.dropFirst().first) }
}

/// Notes the name that a request was found to have, as a server does; what was noted before must be that.
private func checkNote(_ found: (index: Int, words: Int)?, _ parser: inout RequestParser) {
    let note = found.map { $0.words < parser.arguments.count ? UInt16($0.index + 1) : 0 } ?? 0
    if parser.note != 0, parser.note != note { abort() }
    parser.note = note
}

/// The entry point of libFuzzer. Aborts if the same bytes give different outcomes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRequestParser(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let stream = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size)
    let whole = parse(stream) { stream.count }
    if parse(stream, pieces: { 1 }) != whole { abort() }
    // The cuts depend on the input alone, so that a finding can be repeated.
    var state = UInt64(truncatingIfNeeded: size) &+ 1
    let random = parse(stream) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 60) + 1
    }
    if random != whole { abort() }
    return 0
}
