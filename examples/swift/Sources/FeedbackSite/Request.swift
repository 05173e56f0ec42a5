import CFCGI

/// What the browser sent.
public struct Request {
    /// Bytes of a body that are read; a feedback is short.
    static let maximumBody: Int32 = 16_384

    /// Method and path, such as `GET /feedback`.
    public let route: String
    /// What stands behind the `?`, as it came.
    public let query: String
    /// The fields of the query and of the form.
    public let fields: [String: String]
    /// The `Cookie` header.
    public let cookie: String?
    /// The header of a front end that keeps its token itself.
    public let sessionToken: String?
    /// The token that the page held.
    public let frontend: String
    /// The `Sec-Fetch-Site` header.
    public let site: String?
    /// The `Sec-Fetch-Mode` header.
    public let mode: String?

    init(_ input: UnsafeMutablePointer<FCGX_Stream>?, _ parameters: FCGX_ParamArray?) {
        func parameter(_ name: String) -> String? {
            FCGX_GetParam(name, parameters).map { String(cString: $0) }
        }
        let length = min(max(parameter("CONTENT_LENGTH").flatMap { Int32($0) } ?? 0, 0), Self.maximumBody)
        let body = [CChar](unsafeUninitializedCapacity: Int(length)) { buffer, count in
            count = Int(max(FCGX_GetStr(buffer.baseAddress, length, input), 0))
        }
        query = parameter("QUERY_STRING") ?? ""
        route = "\(parameter("REQUEST_METHOD") ?? "") \(parameter("PATH_INFO") ?? "")"
        let form = Self.fields(of: body.map { UInt8(bitPattern: $0) })
        fields = Self.fields(of: query.utf8).merging(form) { $1 }
        cookie = parameter("HTTP_COOKIE")
        sessionToken = parameter("HTTP_X_SESSION_TOKEN")
        frontend = parameter("HTTP_X_FRONTEND_TOKEN") ?? ""
        site = parameter("HTTP_SEC_FETCH_SITE")
        mode = parameter("HTTP_SEC_FETCH_MODE")
    }

    /// The address of the page itself: its query, and the mark as a parameter of its own. `nil` where the mark is there:
    /// once is enough. A page leaves the mark out of its own links.
    public var onceMore: String? {
        let mark = "again=1"
        guard !query.split(separator: "&").contains(Substring(mark)) else { return nil }
        return query.isEmpty ? "?\(mark)" : "?\(query)&\(mark)"
    }

    static func fields(of form: some Collection<UInt8>) -> [String: String] {
        var fields: [String: String] = [:]
        for pair in form.split(separator: UInt8(ascii: "&")) {
            let sides = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = sides.first else { continue }
            fields[decoded(name)] = sides.count == 2 ? decoded(sides[1]) : ""
        }
        return fields
    }

    /// Percent-encoding stands for bytes: hence UTF-8 only at the end.
    private static func decoded(_ text: some Collection<UInt8>) -> String {
        var bytes: [UInt8] = []
        var rest = text[...]
        while let byte = rest.popFirst() {
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            if byte == UInt8(ascii: "%"), digits.count == 2, let value = UInt8(digits, radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
