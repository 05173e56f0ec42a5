/// What a page asked for beside its visitor, of VISIT and VALIDATE.
public struct PageAnswers: Sendable {
    /// Whether the form that was sent is genuine; `nil` if no check was asked for.
    public let check: FormVerdict?
    /// The token for the form in this page; `nil` if none was asked for.
    public let csrf: CSRFToken?
    /// The fields asked for that the session has; empty if none were asked for.
    public let data: SessionData
}

/// A form that came back: its token, and the name under which that was issued.
public struct FormCheck: Sendable {
    /// What came in the hidden field.
    public var csrf: CSRFToken
    /// The form's name; empty for a form without one.
    public var form: String

    /// The form of this name.
    public init(_ csrf: CSRFToken, form: String = "") {
        self.csrf = csrf
        self.form = form
    }
}

/// What the browser says of its request: pass it on with every page view. From it the daemon learns whether a new
/// cookie could overwrite a newer one, and whether another site sent a form.
public struct FetchMetadata: Sendable, Equatable {
    /// The `Sec-Fetch-Site` header; `nil` if there was none.
    public var site: String?
    /// The `Sec-Fetch-Mode` header; `nil` if there was none, and then the request counts as a navigation.
    public var mode: String?
    /// Whether the request is no `GET` (or `HEAD`).
    public var isPost: Bool

    /// The headers as they came.
    public init(site: String? = nil, mode: String? = nil, isPost: Bool = false) {
        self.site = site
        self.mode = mode
        self.isPost = isPost
    }
}

extension FieldCursor {
    /// `check`, `csrf` and `data`.
    mutating func page() throws(TokenCacheError) -> PageAnswers {
        var check: FormVerdict?
        if let word = try optionalText("check") {
            check = FormVerdict(rawValue: word)
            guard check != nil else { throw .protocolViolation }
        }
        return PageAnswers(check: check, csrf: try optionalText("csrf").map(CSRFToken.init), data: try data())
    }
}

extension RequestWriter {
    /// The options that VISIT and VALIDATE share, but for `POST`; `data` comes last.
    mutating func append(_ check: FormCheck?, _ fetch: FetchMetadata) {
        if let check {
            append("CHECK")
            append(check.csrf.revealedText)
            append(check.form)
        }
        append("FETCH-SITE", fetch.site)
        append("FETCH-MODE", fetch.mode)
    }
}
