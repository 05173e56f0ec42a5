/// The buffer into which all connections read, one after the other. Fixed size, page aligned.
final class ReadBuffer {
    private let bytes: UnsafeMutableRawBufferPointer

    init(count: Int) { bytes = .allocate(byteCount: count, alignment: 4096) }

    deinit { bytes.deallocate() }

    func withBytes<Result>(_ body: (UnsafeMutableRawBufferPointer) -> Result) -> Result { body(bytes) }
}
