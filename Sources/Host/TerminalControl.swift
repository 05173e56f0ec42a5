extension Unicode.Scalar {
    /// Whether a terminal may obey it instead of showing it: C0 and C1 controls, DEL, separators of lines and paragraphs,
    /// and what turns the direction of text. All of them are in the basic plane.
    ///
    /// Whoever chooses a name, a value or a path must not be able to end a line, to start another one or to move a cursor
    /// (CWE-117, CWE-150).
    public var isTerminalControl: Bool {
        switch value {
        case 0x00...0x1f, 0x7f...0x9f: true
        case 0x2028...0x2029: true
        case 0x061c, 0x200e...0x200f, 0x202a...0x202e, 0x2066...0x2069: true
        default: false
        }
    }
}
