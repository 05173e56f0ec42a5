/// What the two workers do differently: where tokens and captchas live. Whatever is thrown is answered 503: nobody knows,
/// and the cookie stays.
public protocol Feedback {
    /// The page of a visitor; `nil` sends the browser to the same page once.
    func page(for request: Request) throws -> FeedbackPage?
    /// The letters of a captcha's picture, `nil` if there is no such captcha.
    func letters(of captcha: String) throws -> String?
    /// The answer to a script of the page.
    func reply(to action: Action, _ request: Request) throws -> Reply
}

/// What scripts ask for, `POST /api/…`.
public enum Action: String {
    /// A new captcha.
    case captcha
    /// The visitor's feedback.
    case feedback
    /// A change of privilege: the session gets a new token at once.
    case renew
    /// A token for a front end that keeps it itself.
    case session
}

/// What a page shows.
public struct FeedbackPage {
    let frontend: String
    let captcha: String
    let name: String
    let setCookie: String?

    /// - Parameters:
    ///   - frontend: The token that the page sends back with each request.
    ///   - captcha: What its picture and its form are fetched and checked with.
    ///   - name: Whom it greets.
    ///   - setCookie: The header's value, if the browser is to have a new cookie.
    public init(frontend: String, captcha: String, name: String = "", setCookie: String? = nil) {
        self.frontend = frontend
        self.captcha = captcha
        self.name = name
        self.setCookie = setCookie
    }
}

/// What a script is answered.
public struct Reply {
    /// The members of the JSON object; `nil` is `null`.
    public var fields: [String: String?]
    /// The header's value, if the browser is to have a new cookie.
    public var setCookie: String?

    /// An answer.
    public init(_ fields: [String: String?] = [:]) {
        self.fields = fields
    }

    /// A refusal.
    public static func refused(_ why: String) -> Reply { Reply(["error": why]) }
}
