/// Something of a request that a token may be bound to.
public enum Signal: String, Sendable, CaseIterable {
    /// The client's network.
    case ip
    /// The browser's name.
    case userAgent = "ua"
}

/// The signals of a request. What is `nil` is not sent.
public struct Signals: Sendable, Equatable {
    /// The client's address, as text.
    public var ip: String?
    /// The `User-Agent` header.
    public var userAgent: String?

    /// Whether they have an effect is the daemon's configuration (`binding.ip`, `binding.ua`).
    public init(ip: String? = nil, userAgent: String? = nil) {
        self.ip = ip
        self.userAgent = userAgent
    }
}

extension RequestWriter {
    mutating func append(_ signals: Signals) {
        if let ip = signals.ip {
            append("BIND")
            append("ip", ip)
        }
        if let userAgent = signals.userAgent {
            append("BIND")
            append("ua", userAgent)
        }
    }
}
