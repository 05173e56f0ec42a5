/// Why a peer's bytes are not a request. The connection cannot be read any further after one of these.
///
/// The wording is Redis's (`networking.c`) where Redis has one, so that client libraries and people recognise it.
/// The peer's bytes are never repeated in it.
public enum ProtocolError: Error, Equatable, Sendable, CaseIterable {
    /// The count after `*` is not a plain decimal.
    case invalidMultibulkLength
    /// The count after `*` exceeds `ProtocolLimits.maxElements`.
    case tooManyElements
    /// The length after `$` is not a plain decimal.
    case invalidBulkLength
    /// The length after `$` exceeds `ProtocolLimits.maxBulk`.
    case tooLongBulk
    /// An inline request is longer than `ProtocolLimits.maxLine` or has more than `maxElements` words.
    case tooBigInline
    /// A `*` line does not end within `ProtocolLimits.maxLine` bytes.
    case tooBigMultibulkCount
    /// A `$` line does not end within `ProtocolLimits.maxLine` bytes.
    case tooBigBulkCount
    /// An element of a request array is not a bulk string.
    case expectedBulk
    /// An inline request ends inside quotes, or a closing quote is followed by something other than white space.
    case unbalancedQuotes
    /// The bytes after a bulk string are not CR LF.
    case missingBulkEnd
    /// An HTTP request arrived: a browser was made to talk to this socket (cross-protocol attack). The server closes
    /// the connection without an answer.
    case httpRequest

    /// What to write after `ERR Protocol error: `. Where a limit is exceeded, the server adds which.
    public var message: StaticString {
        switch self {
        case .invalidMultibulkLength, .tooManyElements: "invalid multibulk length"
        case .invalidBulkLength, .tooLongBulk: "invalid bulk length"
        case .tooBigInline: "too big inline request"
        case .tooBigMultibulkCount: "too big mbulk count string"
        case .tooBigBulkCount: "too big bulk count string"
        case .expectedBulk: "expected '$', got something else"
        case .unbalancedQuotes: "unbalanced quotes in request"
        case .missingBulkEnd: "missing CRLF after bulk"
        case .httpRequest: "HTTP request on a RESP socket"
        }
    }
}
