/// What a token may be bound to.
public enum Signal: String, CaseIterable, Sendable {
    case ip
    /// The user agent.
    case ua
}

/// What a call says about its client.
public struct Signals: Equatable, Sendable {
    public var ip: IPAddress?
    public var userAgent: [UInt8]?

    public init(ip: IPAddress? = nil, userAgent: [UInt8]? = nil) {
        self.ip = ip
        self.userAgent = userAgent
    }

    public var isEmpty: Bool { ip == nil && userAgent == nil }

    func gives(_ signal: Signal) -> Bool {
        switch signal {
        case .ip: ip != nil
        case .ua: userAgent != nil
        }
    }
}

/// How much a signal matters (`binding.ip`, `binding.ua`).
public enum BindingMode: String, CaseIterable, Sendable {
    /// Neither bound nor checked.
    case off
    /// A difference is told, and accepted.
    case log
    /// A difference, or a signal that is not given, is a mismatch.
    case strict
}

/// The operator's rules of binding.
public struct BindingPolicy: Equatable, Sendable {
    public var ip: BindingMode
    public var userAgent: BindingMode
    /// How many bits of an address count: 1 to 32, 1 to 128.
    public var prefix4: Int
    public var prefix6: Int

    public init(ip: BindingMode = .off, userAgent: BindingMode = .off, prefix4: Int = 24, prefix6: Int = 56) {
        self.ip = ip
        self.userAgent = userAgent
        self.prefix4 = prefix4
        self.prefix6 = prefix6
    }

    public var isOff: Bool { ip == .off && userAgent == .off }

    func mode(of signal: Signal) -> BindingMode {
        switch signal {
        case .ip: ip
        case .ua: userAgent
        }
    }
}

/// What is kept of a signal: a keyed digest, the name of its key, and how many bits of an address it covers, so that
/// a changed configuration is no difference.
public struct Binding: Equatable, Sendable {
    /// As it is stored: length of `kid` (1 byte), `kid`, prefix length (1 byte; 0 for the user agent), HMAC (16
    /// bytes). At most 50 bytes.
    public let bytes: [UInt8]

    static let codeCount = 16

    /// Nil for anything that `bytes` cannot have been.
    public init?(bytes: some Collection<UInt8>) {
        guard let count = bytes.first, (1...32).contains(count), bytes.count == Int(count) + 2 + Self.codeCount else {
            return nil
        }
        self.bytes = Array(bytes)
    }

    init(kid: [UInt8], prefix: UInt8, code: [UInt8]) {
        bytes = [UInt8(truncatingIfNeeded: kid.count)] + kid + [prefix] + code.prefix(Self.codeCount)
    }

    var kid: ArraySlice<UInt8> { bytes.dropFirst().dropLast(Self.codeCount + 1) }
    var prefix: UInt8 { bytes.dropLast(Self.codeCount).last ?? 0 }
    var code: [UInt8] { bytes.suffix(Self.codeCount) }
}

/// What a session, guest or captcha is bound to. A signal that is nil binds nothing.
public struct Bindings: Equatable, Sendable {
    public var ip: Binding?
    public var userAgent: Binding?

    public init(ip: Binding? = nil, userAgent: Binding? = nil) {
        self.ip = ip
        self.userAgent = userAgent
    }

    public var isEmpty: Bool { ip == nil && userAgent == nil }

    /// These, with the new ones in their place.
    public func replaced(by new: Bindings) -> Bindings {
        Bindings(ip: new.ip ?? ip, userAgent: new.userAgent ?? userAgent)
    }

    public subscript(_ signal: Signal) -> Binding? {
        get {
            switch signal {
            case .ip: ip
            case .ua: userAgent
            }
        }
        set {
            switch signal {
            case .ip: ip = newValue
            case .ua: userAgent = newValue
            }
        }
    }
}

/// What a check of bindings comes to.
public struct BindingVerdict: Equatable, Sendable {
    /// A strict signal differs, or was not given.
    public var isMismatch: Bool
    /// Signals in `log` mode that differ.
    public var differs: [Signal]
    /// What the caller is to store: set where the key of a binding is gone and its signal was given, unless the check
    /// is a mismatch.
    public var renewed: Bindings?

    public init(isMismatch: Bool = false, differs: [Signal] = [], renewed: Bindings? = nil) {
        self.isMismatch = isMismatch
        self.differs = differs
        self.renewed = renewed
    }
}
