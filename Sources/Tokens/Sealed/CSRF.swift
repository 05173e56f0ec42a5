public import TokenCrypto
public import UnixTime

/// Who holds a form: the session or guest that a CSRF token belongs to.
public struct CSRFHolder: Equatable, Sendable {
    public var sid: SessionID
    /// Changes at every forced rotation (LOGIN, ROTATE), which ends all earlier tokens; nil, which means zeros, for
    /// guests and until the first one.
    public var salt: Digest?

    public init(sid: SessionID, salt: Digest? = nil) {
        self.sid = sid
        self.salt = salt
    }
}

public enum CSRFCheck: String, Equatable, Sendable {
    case passed
    /// Of another holder or form, changed, or malformed.
    case failed
    case expired
    /// Of this holder, from before a LOGIN or ROTATE: the form is to be shown again.
    case outdated
}

/// A CSRF token, base64url of: version (1 byte), length of `kid` (1), `kid`, expiry (8, Unix seconds, big-endian), mask
/// (32 random bytes), HMAC XOR mask (32). The mask makes every text a new one, so that a compressed page that holds it
/// tells nothing of it (BREACH).
///
/// The HMAC covers everything before the mask, form, `sid` and salt, each behind its length.
enum CSRFToken {
    static let version: UInt8 = 1
    static let expiryCount = 8
    static let maskCount = 32
    /// Without the `kid`.
    static let fixedCount = 2 + expiryCount + 2 * maskCount
    static let maxCount = fixedCount + RingKey.maxKidCount
}

extension Sealer {
    /// A token for a form of this holder, good until `expires`.
    public func sealCSRF(
        form: [UInt8], holder: CSRFHolder, expires: UnixSeconds, now: UnixSeconds, random: inout some RandomSource
    ) throws(CryptoError) -> [UInt8] {
        let key = try signingKey(at: now)
        let headerCount = 2 + key.kid.count + CSRFToken.expiryCount
        let bytes = UnsafeMutableRawBufferPointer(rebasing: scratch[..<(headerCount + 2 * CSRFToken.maskCount)])
        bytes[0] = CSRFToken.version
        bytes[1] = UInt8(truncatingIfNeeded: key.kid.count)
        UnsafeMutableRawBufferPointer(rebasing: bytes[2...]).copyBytes(from: key.kid)
        bytes.storeBytes(of: expires.sinceEpoch.bigEndian, toByteOffset: 2 + key.kid.count, as: Int64.self)
        let header = UnsafeRawBufferPointer(rebasing: bytes[..<headerCount])
        let code = try form.withRawBytes { form throws(CryptoError) in
            try self.code(key, header, form: form, holder)
        }
        let mask: Digest = try random.bytes()
        mask.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: bytes[headerCount...]).copyBytes(from: $0) }
        (code ^ mask).withUnsafeBytes {
            UnsafeMutableRawBufferPointer(rebasing: bytes[(headerCount + CSRFToken.maskCount)...]).copyBytes(from: $0)
        }
        return Base64URL.encode(UnsafeRawBufferPointer(bytes))
    }

    /// Whether `text` was sealed for this form of this holder, and is still good.
    public func checkCSRF(
        _ text: UnsafeRawBufferPointer, form: [UInt8], holder: CSRFHolder, now: UnixSeconds
    ) -> CSRFCheck {
        guard let count = Base64URL.decodedCount(text.count), count <= CSRFToken.maxCount, count > CSRFToken.fixedCount
        else { return .failed }
        let decoded = UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
        guard Base64URL.decode(text, into: decoded) else { return .failed }
        let bytes = UnsafeRawBufferPointer(decoded)
        let kidEnd = count - CSRFToken.fixedCount + 2
        guard bytes[0] == CSRFToken.version, Int(bytes[1]) == kidEnd - 2,
            let key = key(named: UnsafeRawBufferPointer(rebasing: bytes[2..<kidEnd]))
        else { return .failed }
        let headerEnd = kidEnd + CSRFToken.expiryCount
        let header = UnsafeRawBufferPointer(rebasing: bytes[..<headerEnd])
        var mask = Digest()
        var masked = Digest()
        mask.withUnsafeMutableBytes { $0.copyBytes(from: bytes[headerEnd..<(headerEnd + CSRFToken.maskCount)]) }
        masked.withUnsafeMutableBytes { $0.copyBytes(from: bytes[(headerEnd + CSRFToken.maskCount)...]) }
        let expected = form.withUnsafeBytes { form in try? code(key, header, form: form, holder) }
        guard let expected, expected == masked ^ mask else { return .failed }
        let expires = UnixSeconds(Int64(bigEndian: bytes.loadUnaligned(fromByteOffset: kidEnd, as: Int64.self)))
        return now < expires ? .passed : .expired
    }

    private func code(
        _ key: SealingKey, _ header: UnsafeRawBufferPointer, form: UnsafeRawBufferPointer, _ holder: CSRFHolder
    ) throws(CryptoError) -> Digest {
        // Put together first: one pass of the HMAC costs less than one for each part. The token itself is in the first
        // half of the scratch memory.
        var message = DelimitedMessage(UnsafeMutableRawBufferPointer(rebasing: scratch[(scratch.count / 2)...]))
        message.append(header)
        message.append(form)
        holder.sid.withUnsafeBytes { message.append($0) }
        (holder.salt ?? Digest()).withUnsafeBytes { message.append($0) }
        guard let bytes = message.bytes else { throw CryptoError(operation: "HMAC of a form's name that is too long") }
        return try key.csrf.code(of: bytes)
    }
}

/// Parts of a message, each behind its length (4 bytes, big-endian), in memory that is lent.
private struct DelimitedMessage {
    private let memory: UnsafeMutableRawBufferPointer
    private var count = 0
    private var fits = true

    init(_ memory: UnsafeMutableRawBufferPointer) { self.memory = memory }

    /// Nil where the parts do not fit.
    var bytes: UnsafeRawBufferPointer? { fits ? UnsafeRawBufferPointer(rebasing: memory[..<count]) : nil }

    mutating func append(_ part: UnsafeRawBufferPointer) {
        guard fits, let length = UInt32(exactly: part.count), part.count <= memory.count - count - 4 else {
            fits = false
            return
        }
        memory.storeBytes(of: length.bigEndian, toByteOffset: count, as: UInt32.self)
        UnsafeMutableRawBufferPointer(rebasing: memory[(count + 4)...]).copyBytes(from: part)
        count += 4 + part.count
    }
}

extension Digest {
    fileprivate static func ^ (left: Digest, right: Digest) -> Digest {
        var result = left
        result.withUnsafeMutableBytes { result in
            right.withUnsafeBytes { right in for index in right.indices { result[index] ^= right[index] } }
        }
        return result
    }
}
