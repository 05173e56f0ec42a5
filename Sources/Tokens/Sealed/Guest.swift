internal import TokenCrypto
public import UnixTime

/// A visitor who is stored nowhere: a session of generation 0.
public struct Guest: Equatable, Sendable {
    /// That of the session it becomes.
    public var sid: SessionID
    public var issued: UnixSeconds
    /// The idle limit.
    public var expires: UnixSeconds
    /// The absolute end; a renewed token keeps it.
    public var end: UnixSeconds
    /// When the guest's first token was made; a renewed token keeps it.
    public var made: UnixSeconds
    public var bindings: Bindings
    /// `kid` of the key it was sealed with, set where it was opened.
    public internal(set) var key = ""

    /// - Parameter made: nil for a first token.
    public init(
        sid: SessionID, issued: UnixSeconds, expires: UnixSeconds, end: UnixSeconds, made: UnixSeconds? = nil,
        bindings: Bindings = Bindings()
    ) {
        self.sid = sid
        self.issued = issued
        self.expires = expires
        self.end = end
        self.made = made ?? issued
        self.bindings = bindings
    }
}

extension Guest {
    /// The claims of its token.
    var claims: [UInt8] {
        var json: [UInt8] = []
        json.reserveCapacity(192)
        json += "{\"jti\":\"".utf8
        json += sid.hex
        json += "\",\"iat\":\(issued.sinceEpoch),\"exp\":\(expires.sinceEpoch)".utf8
        json += ",\"end\":\(end.sinceEpoch),\"beg\":\(made.sinceEpoch)".utf8
        bindings.appendClaim(to: &json)
        json.append(UInt8(ascii: "}"))
        return json
    }

    /// Reads the claims of a token that is authentic.
    init(claims json: UnsafeRawBufferPointer) throws(JSONError) {
        var reader = JSONReader(json)
        var sid: SessionID?
        var issued: UnixSeconds?
        var expires: UnixSeconds?
        var end: UnixSeconds?
        var made: UnixSeconds?
        var bindings: Bindings?
        try reader.beginObject()
        while let name = try reader.nextMember() {
            if name == "jti" {
                try reader.set(&sid, to: try reader.identifier())
            } else if name == "iat" {
                try reader.set(&issued, to: try reader.time())
            } else if name == "exp" {
                try reader.set(&expires, to: try reader.time())
            } else if name == "end" {
                try reader.set(&end, to: try reader.time())
            } else if name == "beg" {
                try reader.set(&made, to: try reader.time())
            } else if name == "bnd" {
                try reader.set(&bindings, to: try reader.bindings())
            } else {
                throw reader.error(.unknownMember)
            }
        }
        try reader.end()
        guard let sid, let issued, let expires, let end, let made else { throw reader.error(.missingMember) }
        self.init(sid: sid, issued: issued, expires: expires, end: end, made: made, bindings: bindings ?? Bindings())
    }
}
