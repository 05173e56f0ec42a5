import Glibc
import TokenCrypto

/// The entry point of libFuzzer: JSON as claims, as a header and as a key ring. What is read is written again as text
/// that reads the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzClaims(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size)
    if let guest = try? Guest(claims: input) {
        check(guest.claims.withUnsafeBytes { try? Guest(claims: $0) } == guest)
    }
    if let captcha = try? Captcha(claims: input) {
        check(captcha.claims.withUnsafeBytes { try? Captcha(claims: $0) } == captcha)
    }
    for header in [CompactHeader.guest, .captcha] {
        if let kid = try? header.kid(input) { check(kid.bytes.count <= size) }
    }
    if let ring = try? KeyRing.parse(input) {
        check((try? KeyRing.parse(ring.encoded())) == ring)
        check(ring.keys.count <= KeyRing.maxKeys)
    }
    if let binding = Binding(bytes: input) { check(binding.bytes == Array(input) && binding.kid.count <= 32) }
    if let address = IPAddress(text: input) { check(address.masked(to: 0).allSatisfy { $0 == 0 }) }
    return 0
}
