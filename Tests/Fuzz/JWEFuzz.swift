import Glibc
import TokenCrypto
import UnixTime

/// The entry point of libFuzzer: the input as a captcha's token, and, sealed with the right key, as a token's header
/// and claims with a zero byte between them.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzJWE(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let input = UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size)
    let site = FuzzSite.shared
    check(site.sealer.openCaptcha(input, now: FuzzSite.now) == .unknown)

    let (json, claims) = halves(input)
    let header = Base64URL.encode(json)
    let nonce = [UInt8](repeating: 7, count: AuthenticatedEncryption.nonceCount)
    do {
        let (ciphertext, tag) = try site.captchaKey.seal(claims, nonce: nonce, authenticating: header)
        let token = header + dot + dot + [nonce, ciphertext, tag].map { Base64URL.encode($0) }.joined(separator: dot)
        let opened = token.withUnsafeBytes { site.sealer.openCaptcha($0, now: FuzzSite.now) }
        guard case .valid(let captcha) = opened else { return 0 }
        check(token.count <= Sealer.maxTokenCount)
        check(captcha.expires > FuzzSite.now && captcha.issued <= FuzzSite.now + 60)
        check(captcha.isSolved(by: captcha.solution))
        // Another library may seal what is too long here.
        guard Captcha.isSolution(captcha.solution), Captcha.isForm(captcha.form) else { return 0 }
        var random = SystemRandom()
        let again = try site.sealer.seal(captcha, now: FuzzSite.now, random: &random)
        check(again.withUnsafeBytes { site.sealer.openCaptcha($0, now: FuzzSite.now) } == opened)
    } catch {
        abort()
    }
    return 0
}
