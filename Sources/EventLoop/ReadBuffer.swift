/// The buffer into which all sockets of a loop are read, one after the other. Fixed size, page aligned.
///
/// What is read is dealt with, or copied, before the handler returns.
public struct ReadBuffer: ~Copyable {
    private let bytes: UnsafeMutableRawBufferPointer

    init(count: Int) { bytes = .allocate(byteCount: count, alignment: 4096) }

    deinit { bytes.deallocate() }

    public func withBytes<Result>(_ body: (UnsafeMutableRawBufferPointer) -> Result) -> Result { body(bytes) }
}
