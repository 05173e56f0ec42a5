// Normalisation is in the standard library, for its comparison of strings, and public to those who ask for it.
@_spi(_Unicode) internal import Swift
public import TokenCrypto
public import UnixTime

/// The name under which a captcha is spent, 16 bytes. Not secret.
public struct CaptchaID: FixedBytes, Hashable, CustomStringConvertible {
    public static var byteCount: Int { 16 }
    public var storage = InlineArray<16, UInt8>(repeating: 0)
    public init() {}

    /// 32 lower-case hex digits, as ASCII.
    public var hex: [UInt8] { withUnsafeBytes { Hex.encode($0) } }
    public var description: String { String(decoding: hex, as: UTF8.self) }

    public static func == (left: CaptchaID, right: CaptchaID) -> Bool { left.words == right.words }
    public func hash(into hasher: inout Hasher) { hasher.combine(words.0) }

    private var words: (UInt64, UInt64) {
        withUnsafeBytes { ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)) }
    }
}

/// A question and its answer, which nobody but a daemon with the key can read.
public struct Captcha: Equatable, Sendable, CustomStringConvertible, CustomReflectable {
    public var id: CaptchaID
    public var issued: UnixSeconds
    public var expires: UnixSeconds
    /// UTF-8, at most `maxSolution` bytes. A secret until it was tried.
    public var solution: [UInt8]
    /// The form it belongs to: UTF-8, at most `maxForm` bytes; empty for none.
    public var form: [UInt8]
    /// The visitor it was made for; nil for anybody.
    public var holder: SessionID?
    public var bindings: Bindings

    public static let maxSolution = 64
    public static let maxForm = 256

    public init(
        id: CaptchaID, issued: UnixSeconds, expires: UnixSeconds, solution: [UInt8], form: [UInt8] = [],
        holder: SessionID? = nil,
        bindings: Bindings = Bindings()
    ) {
        self.id = id
        self.issued = issued
        self.expires = expires
        self.solution = solution
        self.form = form
        self.holder = holder
        self.bindings = bindings
    }

    /// Whether this can be a solution: JSON carries UTF-8 alone, and a token has a greatest length.
    public static func isSolution(_ text: [UInt8]) -> Bool { isText(text, within: maxSolution) && !text.isEmpty }

    /// The same for the name of a form.
    public static func isForm(_ text: [UInt8]) -> Bool { isText(text, within: maxForm) }

    private static func isText(_ text: [UInt8], within limit: Int) -> Bool {
        text.count <= limit && String(validating: text, as: UTF8.self) != nil
    }

    public var description: String { "<captcha \(id)>" }
    public var customMirror: Mirror { Mirror(self, children: ["id": id.description]) }
}

extension Captcha {
    /// Whether this is the answer: compared without case, however its characters are composed, and without space around it,
    /// in constant time. `ß` is `ss`, and `é` the same as `e` with an accent behind it.
    public func isSolved(by answer: [UInt8]) -> Bool {
        let given = Self.plain(answer)
        let expected = Self.plain(solution)
        return given.withUnsafeBytes { given in expected.withUnsafeBytes { constantTimeEqual(given, $0) } }
    }

    private static func plain(_ text: [UInt8]) -> [UInt8] {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0d).contains($0) }
        let trimmed = text.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
        // Upper case first: it is that which folds ß and final sigma (Unicode, SpecialCasing).
        let folded = String(decoding: trimmed, as: UTF8.self).uppercased().lowercased()
        return folded._nfd.flatMap { Array(UTF8.encode($0) ?? UTF8.encodedReplacementCharacter) }
    }

    /// The claims of its token.
    var claims: [UInt8] {
        var json = Array("{\"jti\":\"\(id)\",\"iat\":\(issued.sinceEpoch),\"exp\":\(expires.sinceEpoch),\"sol\":".utf8)
        json += jsonString(solution)
        if !form.isEmpty { json += Array(",\"frm\":".utf8) + jsonString(form) }
        if let holder { json += ",\"for\":\"\(holder)\"".utf8 }
        bindings.appendClaim(to: &json)
        json.append(UInt8(ascii: "}"))
        return json
    }

    /// Reads the claims of a token that is authentic.
    init(claims json: UnsafeRawBufferPointer) throws(JSONError) {
        var reader = JSONReader(json)
        var id: CaptchaID?
        var issued: UnixSeconds?
        var expires: UnixSeconds?
        var solution: [UInt8]?
        var form: [UInt8]?
        var holder: SessionID?
        var bindings: Bindings?
        try reader.beginObject()
        while let name = try reader.nextMember() {
            if name == "jti" {
                try reader.set(&id, to: try reader.identifier())
            } else if name == "iat" {
                try reader.set(&issued, to: try reader.time())
            } else if name == "exp" {
                try reader.set(&expires, to: try reader.time())
            } else if name == "sol" {
                try reader.set(&solution, to: try reader.string().bytes)
            } else if name == "frm" {
                try reader.set(&form, to: try reader.string().bytes)
            } else if name == "for" {
                try reader.set(&holder, to: try reader.identifier())
            } else if name == "bnd" {
                try reader.set(&bindings, to: try reader.bindings())
            } else {
                throw reader.error(.unknownMember)
            }
        }
        try reader.end()
        guard let id, let issued, let expires, let solution else { throw reader.error(.missingMember) }
        self.init(
            id: id, issued: issued, expires: expires, solution: solution, form: form ?? [], holder: holder,
            bindings: bindings ?? Bindings())
    }
}
