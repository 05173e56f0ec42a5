// Fuzzes the reader of pushes: whatever the bytes are and however they are cut, the outcome is the same, and nothing
// outside them is touched. Compiled together with the sources of WireProtocol, so it imports nothing of the project.

internal import Glibc

private func outcome(_ stream: UnsafeRawBufferPointer, pieces: () -> Int) -> (values: [RESPValue], isMalformed: Bool) {
    // Small enough for the fuzzer to reach them.
    var limits = PushReader.Limits()
    (limits.elements, limits.bytes, limits.depth, limits.line) = (16, 256, 3, 48)
    var reader = PushReader(limits: limits)
    var values: [RESPValue] = []
    var start = 0
    while start < stream.count {
        let end = min(start + max(pieces(), 1), stream.count)
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: end - start, alignment: 1)
        defer { copy.deallocate() }
        copy.copyMemory(from: UnsafeRawBufferPointer(rebasing: stream[start..<end]))
        start = end
        reader.feed(UnsafeRawBufferPointer(copy))
        do throws(PushReader.Malformed) {
            while let value = try reader.next() { values.append(value) }
        } catch {
            return (values, true)
        }
    }
    return (values, false)
}

@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let stream = UnsafeRawBufferPointer(start: start, count: count)
    let whole = outcome(stream) { count }
    let single = outcome(stream) { 1 }
    var state = UInt64(count) &* 0x9e37_79b9_7f4a_7c15 | 1
    let random = outcome(stream) {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(state % 9) + 1
    }
    if whole != single || whole != random { abort() }
    return 0
}
