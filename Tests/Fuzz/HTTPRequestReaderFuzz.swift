// Fuzzes the reader of HTTP heads: whatever the bytes are and however they are cut, the outcome is the same, and nothing
// outside them is touched. Compiled together with the sources of WireProtocol, so it imports nothing of the project.

internal import Glibc

/// What came out of a stream: a digest of all ranges, and how it ended.
private struct Outcome: Equatable {
    var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    var refusal: HTTPRefusal?
    var left = 0

    mutating func add(_ value: Int) { digest = (digest ^ UInt64(truncatingIfNeeded: value)) &* 0x100_0000_01B3 }

    mutating func add(_ range: Range<Int>?, in length: Int) {
        guard let range else { return add(-1) }
        if range.lowerBound < 0 || range.upperBound > length { abort() }
        add(range.lowerBound)
        add(range.upperBound)
    }
}

/// Reads `stream` in pieces of the sizes that `pieces` gives out; each call gets a copy of exactly the right size.
private func read(_ stream: UnsafeRawBufferPointer, pieces: () -> Int) -> Outcome {
    var reader = HTTPRequestReader()
    var outcome = Outcome()
    var start = 0
    var end = 0
    while end < stream.count {
        end = min(end + max(pieces(), 1), stream.count)
        var isWaiting = false
        while !isWaiting, start < end {
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: end - start, alignment: 1)
            defer { copy.deallocate() }
            copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: stream[start..<end]))
            let bytes = UnsafeRawBufferPointer(copy)
            switch reader.read(bytes) {
            case .incomplete: isWaiting = true
            case .refused(let refusal):
                outcome.refusal = refusal
                return outcome
            case .head(let length):
                if length < 1 || length > bytes.count || reader.isMidHead || reader.bodyLength < 0 { abort() }
                outcome.add(length)
                outcome.add(reader.method, in: length)
                outcome.add(reader.path, in: length)
                outcome.add(reader.query, in: length)
                outcome.add(reader.host, in: length)
                for field in reader.fields {
                    outcome.add(field.name, in: length)
                    outcome.add(field.value, in: length)
                }
                outcome.add(reader.bodyLength)
                outcome.add((reader.expectsContinue ? 1 : 0) + (reader.isPersistent ? 2 : 0))
                outcome.add(reader.value(of: "cookie", in: bytes), in: length)
                start += length
            }
        }
    }
    outcome.left = end - start
    return outcome
}

/// The entry point of libFuzzer. Aborts if the same bytes give different outcomes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHTTPRequestReader(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let stream = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size)
    let whole = read(stream) { stream.count }
    if read(stream, pieces: { 1 }) != whole { abort() }
    // The cuts depend on the input alone, so that a finding can be repeated.
    var state = UInt64(truncatingIfNeeded: size) &+ 1
    let random = read(stream) {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 60) + 1
    }
    if random != whole { abort() }
    return 0
}
