/// Why a peer's bytes are no HTTP request that is served. The connection is closed after the answer: where the next
/// request would begin is not known.
///
/// The peer's bytes are never repeated in it.
public enum HTTPRefusal: Error, Equatable, Sendable, CaseIterable {
    /// A line that ends with LF alone, or a CR that is not followed by LF.
    case bareLineEnd
    /// A byte that may not stand where it does: NUL and other controls, bytes above 0x7E in the request line.
    case forbiddenByte
    /// The first line is not `method SP target SP version`.
    case malformedRequestLine
    /// The target is neither a path nor an `http` URL, nor `*` for OPTIONS.
    case malformedTarget
    /// Neither HTTP/1.0 nor HTTP/1.1.
    case unsupportedVersion
    /// A field that goes on in a second line (obsolete since RFC 7230).
    case foldedField
    /// A field without colon, with a space before it, or whose name is no token.
    case malformedField
    case secondHost
    case missingHost
    case malformedHost
    /// A second Content-Length, or one that is no plain decimal.
    case malformedLength
    /// Any: there is no use for a body of unknown length, and two ways to say how long one is are a hole.
    case transferEncoding
    case tooLongRequestLine
    case tooLongHead
    case tooManyFields

    /// Of the answer.
    public var status: HTTPStatus {
        switch self {
        case .unsupportedVersion: .unsupportedVersion
        case .tooLongRequestLine: .uriTooLong
        case .tooLongHead, .tooManyFields: .headTooLarge
        default: .badRequest
        }
    }

    /// In plain words.
    public var message: StaticString {
        switch self {
        case .bareLineEnd: "lines end with CR LF"
        case .forbiddenByte: "a byte that may not stand there"
        case .malformedRequestLine: "the request line is: method, space, target, space, version"
        case .malformedTarget: "the target is a path, or an http URL"
        case .unsupportedVersion: "HTTP/1.1 and HTTP/1.0 are spoken here"
        case .foldedField: "a field is one line"
        case .malformedField: "a field is: name, colon, value"
        case .secondHost: "one Host field"
        case .missingHost: "HTTP/1.1 needs a Host field"
        case .malformedHost: "Host is a name or an address, with or without a port"
        case .malformedLength: "one Content-Length field, in decimal digits"
        case .transferEncoding: "Transfer-Encoding is not taken"
        case .tooLongRequestLine, .tooLongHead: "request line and fields have at most 16384 bytes"
        case .tooManyFields: "at most 64 fields"
        }
    }
}
