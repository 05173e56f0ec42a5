/// A request's bytes before its last argument, and its length: one that has the same is laid out the same.
///
/// The head holds every count and length, so the bytes of the last argument and its line end are all that is left to look at.
/// 32 bytes at most: `*2`, `$14`, `TOKEN.VALIDATE`, `$128` and their line ends are 31.
struct RequestShape: Sendable {
    private static var wordCount: Int { 4 }

    private var head = InlineArray<4, UInt64>(repeating: 0)
    /// Ones where a byte of the head is.
    private var mask = InlineArray<4, UInt64>(repeating: 0)
    /// Of the whole request, bytes. No request is as long where there is no shape.
    private(set) var length = Int.max

    /// Of no request.
    init() {}

    /// - Parameter start: where the last argument begins.
    init(_ request: UnsafeRawBufferPointer, before start: Int) {
        // The words are read whole.
        let readBytes = Self.wordCount * 8
        guard start <= readBytes, request.count >= readBytes else { return }
        for index in 0..<Self.wordCount {
            let count = max(0, min(8, start - index * 8))
            mask[index] = count == 8 ? .max : 1 &<< UInt64(count * 8) &- 1
            head[index] = request.loadUnaligned(fromByteOffset: index * 8, as: UInt64.self) & mask[index]
        }
        length = request.count
    }

    /// Whether a request of this shape stands at the start of `bytes`.
    @inline(__always)
    func isRepeated(at bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count >= length, let base = bytes.baseAddress else { return false }
        var difference: UInt64 = 0
        for index in 0..<Self.wordCount {
            difference |= (base.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self) ^ head[index]) & mask[index]
        }
        return difference == 0
            && base.loadUnaligned(fromByteOffset: length &- 2, as: UInt16.self) == ASCII.lineEnd
    }
}
