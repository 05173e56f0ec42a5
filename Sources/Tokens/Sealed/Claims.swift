internal import TokenCrypto
internal import UnixTime

extension JSONReader {
    /// A member's value, unless the member was there before.
    mutating func set<Value>(_ slot: inout Value?, to value: Value) throws(JSONError) {
        guard slot == nil else { throw error(.duplicateMember) }
        slot = value
    }

    /// A time in whole seconds.
    mutating func time() throws(JSONError) -> UnixSeconds { UnixSeconds(try integer()) }

    /// 16 bytes as 32 lower-case hex digits: one text for one value.
    mutating func identifier<Value: FixedBytes>() throws(JSONError) -> Value {
        let text = try string()
        var value = Value()
        let isValid = text.withUnsafeBytes { text in
            !text.contains { (0x41...0x5a).contains($0) } && value.withUnsafeMutableBytes { Hex.decode(text, into: $0) }
        }
        guard isValid else { throw error(.value) }
        return value
    }

    /// An object of base64url strings, one a signal.
    mutating func bindings() throws(JSONError) -> Bindings {
        var bindings = Bindings()
        try beginObject()
        while let name = try nextMember() {
            if name == "ip" {
                try set(&bindings.ip, to: try binding())
            } else if name == "ua" {
                try set(&bindings.userAgent, to: try binding())
            } else {
                throw error(.unknownMember)
            }
        }
        return bindings
    }

    private mutating func binding() throws(JSONError) -> Binding {
        guard let bytes = try string().withUnsafeBytes({ Base64URL.decode($0) }), let binding = Binding(bytes: bytes)
        else { throw error(.value) }
        return binding
    }
}

extension Bindings {
    /// Adds the claim `bnd` behind another one, if anything is bound.
    func appendClaim(to json: inout [UInt8]) {
        if isEmpty { return }
        let members = Signal.allCases.compactMap { signal in
            self[signal].map {
                "\"\(signal.rawValue)\":\"\(String(decoding: Base64URL.encode($0.bytes), as: UTF8.self))\""
            }
        }
        json += ",\"bnd\":{\(members.joined(separator: ","))}".utf8
    }
}
