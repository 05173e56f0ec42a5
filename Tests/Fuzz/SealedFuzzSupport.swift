import Glibc
import TokenCrypto
import UnixTime

/// One ring and one prefix for every input, so that a finding can be repeated.
struct FuzzSite {
    static let now = UnixSeconds(1_800_000_000)
    static let prefix = Array("tc:".utf8)

    let sealer: Sealer
    let guestKey: MessageAuthentication
    let captchaKey: AuthenticatedEncryption

    init() throws {
        let secret = SecretBytes([UInt8](0..<32))
        let key = try RingKey(kid: "k1", secret: secret, created: UnixSeconds(0), activeFrom: UnixSeconds(0))
        sealer = try Sealer(ring: KeyRing(keys: [key]), prefix: Self.prefix)
        let crypto = try CryptoContext()
        func derive(_ purpose: String) throws -> SecretBytes {
            let info = Array("tokencached \(purpose) v1".utf8)
            return try SecretBytes(count: 32) { output in
                try secret.withUnsafeBytes { secret in
                    try crypto.deriveKey(from: secret, salt: Self.prefix, info: info, into: output)
                }
            }
        }
        guestKey = try MessageAuthentication(key: derive("guest"))
        captchaKey = try AuthenticatedEncryption(key: derive("captcha"))
    }

    /// One a process: libFuzzer calls from one thread.
    nonisolated(unsafe) static let shared: FuzzSite = {
        do { return try FuzzSite() } catch { abort() }
    }()
}

/// The input up to the first zero byte, and what follows.
func halves(_ input: UnsafeRawBufferPointer) -> (Array<UInt8>, Array<UInt8>) {
    guard let zero = input.firstIndex(of: 0) else { return (Array(input), []) }
    return (Array(input[..<zero]), Array(input[(zero + 1)...]))
}

/// Aborts, which libFuzzer reports, where something that must hold does not.
func check(_ holds: Bool) {
    if !holds { abort() }
}

let dot = [UInt8(ascii: ".")]
