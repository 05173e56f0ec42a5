/// What `TOKEN.INSPECT` says of a session or token. Nothing was renewed or rotated.
public enum Inspection: Sendable, Equatable {
    /// Where the session's rotation stands.
    public enum Successor: String, Sendable {
        /// Not rotated lately.
        case none
        /// Its successor waits to be used for the first time.
        case pending
        /// Its successor has been used.
        case confirmed
    }

    /// It lives.
    case accepted(Holder, successor: Successor, dataFields: Int64)
    /// Not accepted.
    case refused(Refusal)
}
