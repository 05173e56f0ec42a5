import Glibc
import TokenCrypto

/// The entry point of libFuzzer: whatever decodes is the one text of its bytes, and every text that is written decodes.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzBase64URL(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size)
    if let bytes = Base64URL.decode(input) {
        check(Base64URL.encode(bytes) == Array(input))
        check(bytes.count == Base64URL.decodedCount(input.count))
    }
    let text = Base64URL.encode(input)
    check(text.count == Base64URL.encodedCount(input.count))
    check(text.withUnsafeBytes { Base64URL.decode($0) } == Array(input))
    // The same into a buffer that is one too long or too short.
    for count in [max(0, size - 1), size, size + 1] {
        var output = [UInt8](repeating: 0, count: count)
        let fits = text.withUnsafeBytes { text in output.withUnsafeMutableBytes { Base64URL.decode(text, into: $0) } }
        check(fits == (count == size))
    }
    return 0
}
