public import UnixTime

/// One key of a key ring.
public struct RingKey: Equatable, Sendable {
    /// Name of the key, in every token that it seals: 1 to 32 of `A–Z a–z 0–9 _ -`. Not secret.
    public let kid: String
    /// 32 random bytes. Used for nothing itself: the key of each purpose is derived from it.
    public let secret: SecretBytes
    public let created: UnixSeconds
    /// From when on it signs, if no newer key does; a little earlier where there is no other (`KeyRing.earliness`).
    public let activeFrom: UnixSeconds

    public static let secretCount = 32
    public static let maxKidCount = 32
    /// What `created` and `activeFrom` may be: to the end of the year 9999, which a JSON number holds anywhere.
    public static let times = UnixSeconds(0)...UnixSeconds(253_402_300_799)

    /// Throws for a name, a length or a time out of range.
    public init(
        kid: String, secret: SecretBytes, created: UnixSeconds, activeFrom: UnixSeconds
    ) throws(KeyRingError) {
        guard Self.isKid(kid.utf8) else { throw .key(.kid, name: nil) }
        guard secret.count == Self.secretCount else { throw .key(.secret, name: kid) }
        guard Self.times.contains(created) else { throw .key(.created, name: kid) }
        guard Self.times.contains(activeFrom) else { throw .key(.activeFrom, name: kid) }
        self.kid = kid
        self.secret = secret
        self.created = created
        self.activeFrom = activeFrom
    }

    /// A new key with random bytes and a random name of 8 hex digits.
    public static func make(
        created: UnixSeconds, activeFrom: UnixSeconds, random: inout some RandomSource
    ) throws(KeyRingError) -> RingKey {
        let name: SecretBytes
        let secret: SecretBytes
        do throws(CryptoError) {
            name = try .random(count: 4, from: &random)
            secret = try .random(count: secretCount, from: &random)
        } catch {
            throw .cryptography(error)
        }
        let kid = String(decoding: name.withUnsafeBytes { Hex.encode($0) }, as: UTF8.self)
        return try RingKey(kid: kid, secret: secret, created: created, activeFrom: activeFrom)
    }

    static func isKid(_ text: some Collection<UInt8>) -> Bool {
        (1...maxKidCount).contains(text.count)
            && text.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "_"), UInt8(ascii: "-"): true
                default: false
                }
            }
    }
}

/// The keys of one site, the same on every host: the newest key whose `activeFrom` has passed signs (`signingKey`), all
/// verify.
///
/// A value: a change is a new ring, which the caller swaps in once it is whole.
public struct KeyRing: Equatable, Sendable {
    /// 1 to `maxKeys`, oldest `activeFrom` first.
    public let keys: [RingKey]

    public static let maxKeys = 64

    /// Throws if there is no key, too many, or one name twice.
    public init(keys: [RingKey]) throws(KeyRingError) {
        guard !keys.isEmpty else { throw .noKeys }
        guard keys.count <= Self.maxKeys else { throw .tooManyKeys }
        for (index, key) in keys.enumerated() where keys[..<index].contains(where: { $0.kid == key.kid }) {
            throw .key(.duplicate, name: key.kid)
        }
        // A full order, so that every host chooses the same key whatever the order in its file.
        self.keys = keys.sorted { ($0.activeFrom, $0.created, $0.kid) < ($1.activeFrom, $1.created, $1.kid) }
    }

    /// How early a key signs where there is no other: clocks differ, and a ring that was just made is to be used.
    public static let earliness: Seconds = 120

    /// The key that seals at `now`: the newest whose `activeFrom` has passed; where none has, the first
    /// one, if it is active within `earliness`; nil otherwise.
    public func signingKey(at now: UnixSeconds) -> RingKey? { signingIndex(at: now).map { keys[$0] } }

    /// As `signingKey`, its place in `keys`.
    public func signingIndex(at now: UnixSeconds) -> Int? {
        if let index = keys.lastIndex(where: { $0.activeFrom <= now }) { return index }
        return keys.firstIndex { $0.activeFrom - Self.earliness <= now }
    }

    /// 16 hex digits to compare between hosts: a digest of all names, times and keys, which reveals nothing of them.
    public var fingerprint: String {
        get throws(CryptoError) {
            var text = Array("tokencached key ring v1".utf8)
            defer { wipe(&text) }
            text.reserveCapacity(text.count + keys.count * (RingKey.maxKidCount + RingKey.secretCount + 9))
            for key in keys {
                text.append(UInt8(truncatingIfNeeded: key.kid.utf8.count))
                text += key.kid.utf8
                withUnsafeBytes(of: key.activeFrom.sinceEpoch.bigEndian) { text += $0 }
                key.secret.withUnsafeBytes { text += $0 }
            }
            let digest = try CryptoContext().digest(text)
            return String(decoding: digest.withUnsafeBytes { Hex.encode(.init(rebasing: $0[..<8])) }, as: UTF8.self)
        }
    }

    /// The ring with one more key. Throws if its name is taken or the ring is full.
    public func adding(_ key: RingKey) throws(KeyRingError) -> KeyRing { try KeyRing(keys: keys + [key]) }

    /// When the key at `index` of `keys` stops, or stopped, signing: when the next newer one becomes active. Nil for
    /// the newest.
    public func end(ofKeyAt index: Int) -> UnixSeconds? { keys.dropFirst(index + 1).first?.activeFrom }

    /// The ring without the keys that stopped signing more than `longestLifetime` before `now`: nothing that they
    /// sealed is still good. The key that signs stays, and so does every key to come.
    public func pruned(now: UnixSeconds, longestLifetime: Seconds) -> KeyRing {
        let kept = keys.indices.filter { index in
            guard let end = end(ofKeyAt: index), end <= now else { return true }
            return now - end <= max(0, longestLifetime)
        }
        return KeyRing(sorted: kept.map { keys[$0] })
    }

    private init(sorted keys: [RingKey]) { self.keys = keys }
}
