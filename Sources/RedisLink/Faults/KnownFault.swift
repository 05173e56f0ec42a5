/// A reason behind `UNAVAILABLE`: what a visitor is answered, what it means, and what the operator does about it.
///
/// `KnownFault.all` is the one table of them. Answers take their words from it; the log, `INFO`, `PROBE` (and so
/// `tokencachectl doctor`) and docs/operations.md add its remedies.
public struct KnownFault: Sendable, Equatable {
    /// What the reason begins with, or all of it.
    public let text: String
    /// What may follow, as the manual shows it.
    public let detail: String
    public let meaning: String
    public let remedy: String

    /// Only the operator can end it, by giving the daemon's Redis user a right.
    public var isAboutRights: Bool { self == .noPermission || self == .noScriptPermission }

    init(_ text: String, detail: String = "", means meaning: String, remedy: String) {
        self.text = text
        self.detail = detail
        self.meaning = meaning
        self.remedy = remedy
    }

    /// The row of a reason: the longest text that it begins with; nil where none does.
    public static func of(_ reason: String) -> KnownFault? {
        all.filter { reason.hasPrefix($0.text) }.max { $0.text.utf8.count < $1.text.utf8.count }
    }

    /// What to do about a reason, also about one that no row is for.
    public static func remedy(for reason: String) -> String {
        of(reason)?.remedy ?? "look at the logs of the daemon and of Redis; report it if they do not explain it"
    }
}

extension RedisFault {
    /// A fault in the words of its row.
    /// - Parameter detail: what follows them.
    init(_ kind: Kind, _ row: KnownFault, _ detail: String = "") { self.init(kind, row.text + detail) }

    /// What the operator does about it.
    public var remedy: String { KnownFault.remedy(for: description) }
}
