internal import UnixTime

/// The key ring as text:
///
/// ```json
/// {"keys":[{"kid":"2026a","key":"<base64url of 32 bytes>","created":1767225600,"active_from":1767225600}]}
/// ```
extension KeyRing {
    /// More than 64 keys with the longest names and every digit need.
    public static let maxEncodedCount = 65_536

    /// Reads what `encoded` writes, with white space and any order of members as JSON allows; strictly: no member too
    /// many, none twice, none missing, base64url canonical.
    public static func parse(_ json: [UInt8]) throws(KeyRingError) -> KeyRing {
        try json.withRawBytes { view throws(KeyRingError) in try parse(view) }
    }

    public static func parse(_ json: UnsafeRawBufferPointer) throws(KeyRingError) -> KeyRing {
        guard json.count <= maxEncodedCount else { throw .tooLong }
        var reader = JSONReader(json)
        var keys: [RingKey]?
        do throws(JSONError) {
            try reader.beginObject()
            while let name = try reader.nextMember() {
                guard name == "keys" else { throw reader.error(.unknownMember) }
                guard keys == nil else { throw reader.error(.duplicateMember) }
                keys = []
                try reader.beginArray()
                while try reader.nextElement() { keys?.append(try key(&reader)) }
            }
            guard keys != nil else { throw reader.error(.missingMember) }
            try reader.end()
        } catch {
            throw .malformed(error, key: keys?.count)
        }
        return try KeyRing(keys: keys ?? [])
    }

    private static func key(_ reader: inout JSONReader) throws(JSONError) -> RingKey {
        var kid: String?
        var secret: SecretBytes?
        var created: UnixSeconds?
        var activeFrom: UnixSeconds?
        try reader.beginObject()
        while let name = try reader.nextMember() {
            if name == "kid" {
                guard kid == nil else { throw reader.error(.duplicateMember) }
                let text = try reader.string().bytes
                guard RingKey.isKid(text) else { throw reader.error(.value) }
                kid = String(decoding: text, as: UTF8.self)
            } else if name == "key" {
                guard secret == nil else { throw reader.error(.duplicateMember) }
                let text = try reader.string()
                guard let bytes = text.withUnsafeBytes({ Self.secret($0) }) else { throw reader.error(.value) }
                secret = bytes
            } else if name == "created" {
                guard created == nil else { throw reader.error(.duplicateMember) }
                created = try time(&reader)
            } else if name == "active_from" {
                guard activeFrom == nil else { throw reader.error(.duplicateMember) }
                activeFrom = try time(&reader)
            } else {
                throw reader.error(.unknownMember)
            }
        }
        guard let kid, let secret, let created, let activeFrom else { throw reader.error(.missingMember) }
        do throws(KeyRingError) {
            return try RingKey(kid: kid, secret: secret, created: created, activeFrom: activeFrom)
        } catch {
            throw reader.error(.value)
        }
    }

    private static func secret(_ text: UnsafeRawBufferPointer) -> SecretBytes? {
        var isValid = false
        let secret = SecretBytes(count: RingKey.secretCount) { isValid = Base64URL.decode(text, into: $0) }
        return isValid ? secret : nil
    }

    private static func time(_ reader: inout JSONReader) throws(JSONError) -> UnixSeconds {
        let time = UnixSeconds(try reader.integer())
        guard RingKey.times.contains(time) else { throw reader.error(.value) }
        return time
    }

    /// The ring as JSON, one key a line. Holds the keys: to be wiped (`wipe`) after use.
    public func encoded() -> [UInt8] {
        var text: [UInt8] = []
        // No growing, which would leave copies behind.
        text.reserveCapacity(Self.maxEncodedCount)
        text += "{\"keys\":[\n".utf8
        for (index, key) in keys.enumerated() {
            text += "{\"kid\":\"\(key.kid)\",\"key\":\"".utf8
            var secret = key.secret.withUnsafeBytes { Base64URL.encode($0) }
            text += secret
            wipe(&secret)
            text += "\",\"created\":\(key.created),\"active_from\":\(key.activeFrom)}".utf8
            text += index == keys.count - 1 ? "\n".utf8 : ",\n".utf8
        }
        text += "]}\n".utf8
        return text
    }
}
