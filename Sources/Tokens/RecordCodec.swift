internal import TokenCrypto
internal import UnixTime

/// Why a stored record cannot be used. Redis answered, but nobody knows what this session is.
public enum RecordError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Written by a later version of the daemon.
    case newerVersion(Int64)
    /// A field is missing or has an impossible value. The name only, never the value.
    case damaged(field: String)

    /// No version of the daemon reads it.
    public var isDamage: Bool { if case .damaged = self { true } else { false } }

    public var description: String {
        switch self {
        case .newerVersion(let version):
            "a session record has version \(version), this daemon reads up to \(RecordCodec.version)"
        case .damaged(let field): "a session record is damaged in field \(field)"
        }
    }
}

/// One field of the hash that holds a session, and its value.
public struct RecordField: Equatable, Sendable {
    public var name: [UInt8]
    public var value: [UInt8]

    public init(_ name: StaticString, _ value: [UInt8]) {
        self.name = name.withUTF8Buffer { Array($0) }
        self.value = value
    }

    public init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// The layout of a session's hash in Redis, record version 2. Version 1 had none of the fields in capitals, and no `u`,
/// `q`, `j`.
///
/// Names of one letter and values of at most 64 bytes keep the hash in Redis's compact encoding (`listpack`).
/// Numbers are decimal text, which that encoding stores as integers; digests and tokens' ciphertexts are raw bytes.
///
/// | field | holds | | field | holds |
/// |---|---|---|---|---|
/// | `v` | record version | | `p` | previous token's digest, 32 B |
/// | `r` | revision | | `s` | successor sealed under it, 48 B |
/// | `d` | current token's digest, 32 B | | `n` | rotated at |
/// | `c` | confirmed at; absent while pending | | `o` | remembered digests, 8 B each |
/// | `g` | generation | | `w` | their retirement, 9 B each |
/// | `t` | created | | `f` | generation of the last LOGIN or ROTATE |
/// | `a` | last access | | `l` `m` `y` | memo of a LOGIN |
/// | `i` | idle limit | | `x` | salt of CSRF tokens, 32 B |
/// | `e` | absolute end; a tombstone's end | | `0`–`3` | subject, in pieces of 64 B |
/// | `b` | what the address was, bound | | `h` | what the user agent was, bound |
/// | `u` | when the subject proved who they are | | `q` | when a LOGIN last renewed it |
/// | `j` | 1: the cookie outlives the browser; 0: not | | `P` | page-only guest of LOGIN's token, 16 B |
/// | `X` | salt before the last LOGIN or ROTATE | | `S` `D` | first step of a memo, 48 B and 32 B |
/// | `N` | number of its last login, under a limit | | `k` | bytes of data (kept by the script) |
/// | `z` | reason, where the session was ended | | | |
///
/// Of a tombstone `o` holds the tokens that LOGIN was called with since, `X` the salt that the session had.
///
/// Data fields stand under a dot and their name, so no name can touch the record.
public enum RecordCodec {
    public static let version: Int64 = 2
    public static let dataMark = UInt8(ascii: ".")
    public static let loginNumberField = [UInt8(ascii: "N")]
    static let subjectPiece = 64

    // MARK: Encoding

    public static func encode(_ record: SessionRecord) -> [RecordField] {
        var fields = [
            RecordField("v", decimal(version)),
            RecordField("r", decimal(record.revision)),
            RecordField("d", record.current.bytes),
            RecordField("g", decimal(record.generation)),
            RecordField("t", decimal(record.created)),
            RecordField("a", decimal(record.lastAccess)),
            RecordField("i", decimal(record.idle)),
            RecordField("e", decimal(record.absoluteEnd)),
        ]
        if let confirmedAt = record.confirmedAt { fields.append(RecordField("c", decimal(confirmedAt))) }
        if let previous = record.previous {
            fields.append(RecordField("p", previous.digest.bytes))
            fields.append(RecordField("s", previous.sealedSuccessor.bytes))
            fields.append(RecordField("n", decimal(previous.rotatedAt)))
        }
        if !record.remembered.isEmpty {
            fields.append(RecordField("o", record.remembered.flatMap { bigEndian($0.prefix, bytes: 8) }))
            fields.append(RecordField("w", record.remembered.flatMap { encodeRetirement($0, created: record.created) }))
        }
        if record.forcedGeneration > 0 { fields.append(RecordField("f", decimal(record.forcedGeneration))) }
        if let login = record.login { fields += encodeMemo(login) }
        if let salt = record.csrfSalt { fields.append(RecordField("x", salt.bytes)) }
        if let salt = record.formerSalt { fields.append(RecordField("X", salt.bytes)) }
        if let guest = record.pageGuest { fields.append(RecordField("P", guest.bytes)) }
        if let authTime = record.authTime { fields.append(RecordField("u", decimal(authTime))) }
        if let login = record.renewedByLogin { fields.append(RecordField("q", decimal(login))) }
        if let number = record.loginNumber { fields.append(RecordField("N", decimal(number))) }
        if let isPersistent = record.isPersistent { fields.append(RecordField("j", decimal(isPersistent ? 1 : 0))) }
        if let binding = record.bindings.ip { fields.append(RecordField("b", binding.bytes)) }
        if let binding = record.bindings.userAgent { fields.append(RecordField("h", binding.bytes)) }
        for (index, start) in stride(from: 0, to: record.subject.count, by: subjectPiece).enumerated() {
            let piece = record.subject[start..<min(start + subjectPiece, record.subject.count)]
            fields.append(RecordField(name: [UInt8(ascii: "0") + UInt8(clamping: index)], value: Array(piece)))
        }
        return fields
    }

    public static func encode(_ tombstone: Tombstone) -> [RecordField] {
        [RecordField("v", decimal(version)), RecordField("z", Array(tombstone.reason.rawValue.utf8))]
            + (tombstone.until.map { [RecordField("e", decimal($0))] } ?? [])
            + (tombstone.login.map(encodeMemo) ?? [])
            + (tombstone.csrfSalt.map { [RecordField("X", $0.bytes)] } ?? [])
            + (tombstone.marks.isEmpty ? [] : [RecordField("o", tombstone.marks.flatMap { bigEndian($0, bytes: 8) })])
    }

    /// What turns the hash of `old`, of whatever version, into that of `new`: fields to set, names to delete.
    public static func difference(
        from old: SessionRecord, to new: SessionRecord
    ) -> (set: [RecordField], delete: [[UInt8]]) {
        let before = encode(old)
        let after = encode(new)
        let set = after.filter { field in !before.contains(field) || field.name == [UInt8(ascii: "v")] }
        let delete = before.map(\.name).filter { name in !after.contains { $0.name == name } }
        return (set, delete)
    }

    /// What an access changes in the hash to make it that of `record`: the fields of confirmation and rotation, whatever
    /// stood there. Needs no knowledge of the rest of the record.
    public static func accessFields(of record: SessionRecord) -> (set: [RecordField], delete: [[UInt8]]) {
        let touched = Set("rdgacpsnow".utf8)
        let set = encode(record).filter { $0.name.count == 1 && touched.contains($0.name[0]) }
        return (set, record.confirmedAt == nil ? [[UInt8(ascii: "c")]] : [])
    }

    /// What new bindings change in the hash, whatever stood there.
    public static func bindingFields(of record: SessionRecord) -> [RecordField] {
        encode(record).filter { $0.name.count == 1 && "rbh".utf8.contains($0.name[0]) }
    }

    private static func encodeMemo(_ memo: LoginMemo) -> [RecordField] {
        [
            RecordField("l", memo.sealed.bytes + bigEndian(UInt64(clamping: memo.until.sinceEpoch), bytes: 8)),
            RecordField("m", memo.digest.bytes + memo.subjectDigest.bytes),
            RecordField("y", memo.sid.bytes),
        ]
            + (memo.firstStep.map { [RecordField("S", $0.sealed.bytes), RecordField("D", $0.digest.bytes)] } ?? [])
    }

    /// Milliseconds from the session's creation to the retirement (5 bytes: 34 years), and from there to the end of
    /// the overlap (4 bytes: 49 days): seven of them fit into 64 bytes.
    private static func encodeRetirement(_ token: RememberedToken, created: UnixMilliseconds) -> [UInt8] {
        let retired = min(UInt64(clamping: token.retiredAt - created), (1 << 40) - 1)
        let cutShort = min(UInt64(clamping: token.overlapEnd - token.retiredAt), (1 << 32) - 1)
        return bigEndian(retired, bytes: 5) + bigEndian(cutShort, bytes: 4)
    }

    static func decimal(_ number: Int64) -> [UInt8] { Array(String(number).utf8) }
    static func decimal(_ time: UnixMilliseconds) -> [UInt8] { decimal(time.sinceEpoch) }

    static func bigEndian(_ number: UInt64, bytes count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * (count - 1 - $0))) }
    }
}
