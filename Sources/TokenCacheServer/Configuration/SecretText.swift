/// A password from the configuration. It prints as `<secret>`, whatever prints it (interpolation, `dump`, a debugger's
/// summary, a structure that holds it); its text is read only through ``reveal()``, which is easy to search for.
public struct SecretText: Sendable, Equatable {
    /// What is printed in its place, here and wherever a secret is left out of a text.
    static let placeholder = "<secret>"

    private let text: String

    init(_ text: String) {
        self.text = text
    }

    /// The password itself, for the one who sends it to Redis.
    public func reveal() -> String { text }
}

extension SecretText: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { Self.placeholder }
    public var debugDescription: String { Self.placeholder }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
