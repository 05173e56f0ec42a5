public import TokenCrypto
public import UnixTime

/// What the bytes of a sealed token turned out to be.
public enum Opened<Value: Sendable>: Sendable {
    case valid(Value)
    /// Sealed here, and its time has passed.
    case expired
    /// Anything else: not sealed with this ring and prefix, of another kind, changed, malformed.
    case unknown
}

extension Opened: Equatable where Value: Equatable {}

/// Seals and opens all that is stored nowhere: guests, CSRF tokens, captchas, bindings. Knows one key ring and one
/// prefix; what another ring or prefix sealed is unknown to it. Owned by one thread.
///
/// Every purpose has a key of its own: HKDF-SHA256(ring key, salt: `redis.prefix`, info: "tokencached PURPOSE v1",
/// 32 bytes). `KeyRing.signingKey` seals; all keys open, and only the one that a token names.
public final class Sealer {
    /// A longer token is refused unread.
    public static let maxTokenCount = 4_096
    /// How far the clock of the host that sealed may be ahead.
    public static let maxClockLead: Seconds = 60

    /// That of the key ring (`KeyRing.fingerprint`).
    public let fingerprint: String
    let crypto: CryptoContext
    /// It says which key seals.
    private let ring: KeyRing
    /// Those of the ring, newest first: most tokens name the first.
    let keys: [SealingKey]
    /// Where payloads are decoded; nothing is kept in it.
    let scratch: UnsafeMutableRawBufferPointer

    /// - Parameters:
    ///   - prefix: `redis.prefix`: sites that share a ring by mistake still do not accept each other's tokens.
    ///   - previous: the sealer that this one replaces, whose count of nonces goes on.
    public init(ring: KeyRing, prefix: [UInt8], replacing previous: Sealer? = nil) throws(CryptoError) {
        let crypto = try CryptoContext()
        self.crypto = crypto
        self.ring = ring
        fingerprint = try ring.fingerprint
        var keys: [SealingKey] = []
        for key in ring.keys.reversed() {
            let sealing = try SealingKey(key, prefix: prefix, crypto: crypto)
            if let before = previous?.keys.first(where: { $0.ringKey == key }) { sealing.nonces = before.nonces }
            keys.append(sealing)
        }
        self.keys = keys
        scratch = .allocate(byteCount: Self.maxTokenCount, alignment: 16)
    }

    deinit { scratch.deallocate() }

    /// Whether a key signs, so that anything can be sealed.
    public func canSeal(at now: UnixSeconds) -> Bool { ring.signingIndex(at: now) != nil }

    /// Whether one key sealed so many captchas in this process that it should be replaced: random nonces are safe for
    /// 2³² messages a key, over all hosts together (RFC 7518 §8.4), and this says so at 2²⁸.
    public var isNonceWarningDue: Bool { keys.contains { $0.nonces >= SealingKey.nonceWarning } }

    func signingKey(at now: UnixSeconds) throws(CryptoError) -> SealingKey {
        guard let index = ring.signingIndex(at: now) else {
            throw CryptoError(operation: "sealing without an active key")
        }
        return keys[keys.count - 1 - index]
    }

    func key(named kid: UnsafeRawBufferPointer) -> SealingKey? {
        keys.first { key in key.kid.withUnsafeBytes { $0.elementsEqual(kid) } }
    }
}

/// The keys derived from one key of the ring, each set up for its purpose.
final class SealingKey {
    enum Purpose: String {
        case guest
        case captcha
        case csrf
        case binding
        case guestVerifier = "guest-verifier"
        case pageGuest = "page guest"
    }

    /// Far from the 2³² random nonces that one key may see: 2²⁸ leaves the other hosts of a site their share.
    static let nonceWarning: UInt64 = 1 << 28
    static let maxNonces: UInt64 = 1 << 32

    let ringKey: RingKey
    let kid: [UInt8]
    let guest: MessageAuthentication
    let csrf: MessageAuthentication
    let binding: MessageAuthentication
    let captcha: AuthenticatedEncryption
    let guestVerifier: SecretBytes
    let pageGuest: MessageAuthentication
    /// The first segments of tokens as they are sealed here, with the dot behind.
    private let guestHeader: [UInt8]
    private let captchaHeader: [UInt8]
    /// Captchas sealed under it in this process.
    var nonces: UInt64 = 0

    init(_ key: RingKey, prefix: [UInt8], crypto: CryptoContext) throws(CryptoError) {
        func derive(_ purpose: Purpose) throws(CryptoError) -> SecretBytes {
            let info = Array("tokencached \(purpose.rawValue) v1".utf8)
            return try SecretBytes(count: 32) { output throws(CryptoError) in
                try key.secret.withUnsafeBytes { secret throws(CryptoError) in
                    try crypto.deriveKey(from: secret, salt: prefix, info: info, into: output)
                }
            }
        }
        ringKey = key
        kid = Array(key.kid.utf8)
        guest = try MessageAuthentication(key: try derive(.guest))
        csrf = try MessageAuthentication(key: try derive(.csrf))
        binding = try MessageAuthentication(key: try derive(.binding))
        captcha = try AuthenticatedEncryption(key: try derive(.captcha))
        guestVerifier = try derive(.guestVerifier)
        pageGuest = try MessageAuthentication(key: try derive(.pageGuest))
        guestHeader = CompactHeader.guest.segment(kid: key.kid)
        captchaHeader = CompactHeader.captcha.segment(kid: key.kid)
    }

    func segment(of header: CompactHeader) -> [UInt8] {
        switch header {
        case .guest: guestHeader
        case .captcha: captchaHeader
        }
    }
}

extension CryptoContext {
    func deriveKey(
        from keyMaterial: UnsafeRawBufferPointer, salt: [UInt8], info: [UInt8],
        into output: UnsafeMutableRawBufferPointer
    ) throws(CryptoError) {
        try salt.withRawBytes { salt throws(CryptoError) in
            try info.withRawBytes { info throws(CryptoError) in
                try deriveKey(from: keyMaterial, salt: salt, info: info, into: output)
            }
        }
    }
}
