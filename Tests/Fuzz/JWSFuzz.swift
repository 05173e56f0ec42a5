import Glibc
import TokenCrypto
import UnixTime

/// The entry point of libFuzzer: the input as a guest's token, as a CSRF token, and, signed with the right key, as a
/// token's header and claims with a zero byte between them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJWS(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size)
    let site = FuzzSite.shared
    // Nobody here can sign: whatever opens was forged.
    check(site.sealer.openGuest(input, now: FuzzSite.now) == .unknown)
    let holder = CSRFHolder(sid: SessionID())
    check(site.sealer.checkCSRF(input, form: [], holder: holder, now: FuzzSite.now) == .failed)

    let (header, claims) = halves(input)
    let signed = Base64URL.encode(header) + dot + Base64URL.encode(claims)
    do {
        let code = try signed.withRawBytes { view throws(CryptoError) in try site.guestKey.code(of: view) }
        let token = signed + dot + Base64URL.encode(code.bytes)
        let opened = token.withUnsafeBytes { site.sealer.openGuest($0, now: FuzzSite.now) }
        guard case .valid(let guest) = opened else { return 0 }
        check(token.count <= Sealer.maxTokenCount && guest.key == "k1")
        check(guest.expires > FuzzSite.now && guest.end > FuzzSite.now && guest.issued <= FuzzSite.now + 60)
        let again = try site.sealer.seal(guest, now: FuzzSite.now)
        check(again.withUnsafeBytes { site.sealer.openGuest($0, now: FuzzSite.now) } == opened)
    } catch {
        abort()
    }
    return 0
}
