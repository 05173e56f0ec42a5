/// What the two workers do differently: where tokens and captchas live. Whatever is thrown is answered 503: nobody knows.
public protocol Feedback {
    /// The page of a visitor; `nil` sends the browser to the same page once.
    func page(for request: Request, _ news: inout News) throws -> FeedbackPage?
    /// The letters of a captcha's picture, `nil` if there is no such captcha.
    func letters(of captcha: String) throws -> String?
    /// The answer to a script of the page.
    func reply(to action: Action, _ request: Request, _ news: inout News) throws -> Reply
}

/// The visitor's new token: the response hands it on, whatever it will be, a 503 as well.
public struct News {
    /// The header's value, if the browser is to have a new cookie.
    public var setCookie: String?
    /// For a front end that keeps its token itself.
    public var sessionToken: String?
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

    /// - Parameters:
    ///   - frontend: The token that the page sends back with each request.
    ///   - captcha: What its picture and its form are fetched and checked with.
    ///   - name: Whom it greets.
    public init(frontend: String, captcha: String, name: String = "") {
        self.frontend = frontend
        self.captcha = captcha
        self.name = name
    }
}

/// What a script is answered.
public struct Reply {
    /// The members of the JSON object; `nil` is `null`.
    public var fields: [String: String?]

    /// An answer.
    public init(_ fields: [String: String?] = [:]) {
        self.fields = fields
    }

    /// A refusal.
    public static func refused(_ why: String) -> Reply { Reply(["error": why]) }
}
