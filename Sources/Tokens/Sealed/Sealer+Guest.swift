public import TokenCrypto
public import UnixTime

extension Sealer {
    /// Characters of an HMAC-SHA256 in base64url.
    private static let signatureLength = 43

    /// A guest as compact JWS with HS256 (RFC 7515), signed by the key that is active at `now`.
    public func seal(_ guest: Guest, now: UnixSeconds) throws(CryptoError) -> [UInt8] {
        let key = try signingKey(at: now)
        var text = key.segment(of: .guest)
        text += Base64URL.encode(guest.claims)
        let signature = try text.withRawBytes { text throws(CryptoError) in try key.guest.code(of: text) }
        text.append(UInt8(ascii: "."))
        text += signature.withUnsafeBytes { Base64URL.encode($0) }
        return text
    }

    /// The guest whose token `text` is. Its bindings are not checked here.
    public func openGuest(
        _ text: UnsafeRawBufferPointer, now: UnixSeconds, latest: UnixSeconds? = nil
    ) -> Opened<Guest> {
        guard text.count <= Self.maxTokenCount, let (key, headerCount) = headerKey(of: text, .guest) else {
            return .unknown
        }
        let signature = text.count - Self.signatureLength
        guard signature - 1 > headerCount, text[signature - 1] == UInt8(ascii: ".") else { return .unknown }
        var presented = Digest()
        let isText = presented.withUnsafeMutableBytes {
            Base64URL.decode(UnsafeRawBufferPointer(rebasing: text[signature...]), into: $0)
        }
        let signed = UnsafeRawBufferPointer(rebasing: text[..<(signature - 1)])
        guard isText, let expected = try? key.guest.code(of: signed), expected == presented else { return .unknown }

        let payload = UnsafeRawBufferPointer(rebasing: signed[headerCount...])
        guard let count = Base64URL.decodedCount(payload.count) else { return .unknown }
        let claims = UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
        guard Base64URL.decode(payload, into: claims),
            var guest = try? Guest(claims: UnsafeRawBufferPointer(claims)),
            Self.isPast(guest.issued, now: latest ?? now)
        else { return .unknown }
        guard now < guest.expires, now < guest.end else { return .expired }
        guest.key = key.ringKey.kid
        return .valid(guest)
    }

    /// What the record of a session made from this guest holds as its previous verifier: 48 bytes of HKDF-SHA256 (key
    /// of the purpose `guest-verifier`, salt: `sid`, no info), under each key of the ring, the token's own key first.
    /// All tokens of one guest lead to the same ones, however often they were renewed.
    public func guestVerifiers(_ guest: Guest) throws(CryptoError) -> [Verifier] {
        var verifiers: [Verifier] = []
        for key in keys.filter({ $0.ringKey.kid == guest.key }) + keys.filter({ $0.ringKey.kid != guest.key }) {
            var verifier = Verifier()
            try verifier.withUnsafeMutableBytes { output throws(CryptoError) in
                try key.guestVerifier.withUnsafeBytes { secret throws(CryptoError) in
                    try crypto.deriveKey(from: secret, salt: guest.sid.bytes, info: [], into: output)
                }
            }
            verifiers.append(verifier)
        }
        return verifiers
    }

    /// Who a token is that is good no longer and must not be given another cookie: its page-only guest, 16 bytes of
    /// HMAC-SHA256 over the token behind its length, under the signing key first and then under each other key of the
    /// ring. Nobody without the token meets the same one.
    /// - Parameter token: a session's 64 bytes, or any other text as it was sent.
    public func pageGuests(of token: [UInt8], now: UnixSeconds) throws(CryptoError) -> [SessionID] {
        let signing = try signingKey(at: now)
        var guests: [SessionID] = []
        for key in [signing] + keys.filter({ $0 !== signing }) {
            try key.pageGuest.begin()
            try token.withRawBytes { token throws(CryptoError) in try key.pageGuest.addDelimited(token) }
            guests.append(SessionID(bytes: try key.pageGuest.finish().bytes.prefix(SessionID.byteCount)) ?? SessionID())
        }
        return guests
    }

    /// Whether something issued at this time can have been: clocks of hosts differ a little.
    static func isPast(_ issued: UnixSeconds, now: UnixSeconds) -> Bool { issued - maxClockLead <= now }
}
