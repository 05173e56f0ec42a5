internal import RedisLink

/// Why a move does not go on.
public enum MigrationFault: Error, Equatable, Sendable {
    case interrupted
    /// A server does not answer, or not as it must.
    case server(String)
    /// It is not begun, or not ended, because of what was found; with what to do.
    case refused(String)

    init(_ fault: RedisFault, at side: String) {
        let remedy = fault.remedy
        self = .server("\(side): \(fault)\(remedy.isEmpty ? "" : "; \(remedy)")")
    }

    public var message: String {
        switch self {
        case .interrupted: "interrupted"
        case .server(let text), .refused(let text): text
        }
    }
}
