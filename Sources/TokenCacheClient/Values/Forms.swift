/// The secret of one form in one visitor's page: it goes into a hidden field and comes back with the form.
///
/// It prints as `<csrf token>`.
public struct CSRFToken: Sendable {
    /// The text for the form's field.
    public let revealedText: String

    /// The text that came with a form, any text: only the daemon knows whether it is one.
    public init(_ text: String) {
        revealedText = text
    }
}

/// Whether a form is genuine. Anything but ``passed``: carry nothing out and show the form again, filled as it came.
public enum FormVerdict: String, Sendable {
    /// It was given to this visitor, for this form.
    case passed
    /// It was not.
    case failed
    /// It was, too long ago.
    case expired
    /// It was, before a login or a change of privilege: an honest second tab.
    case outdated
}

/// What `CSRF.ISSUE` made.
public enum CSRFIssue: Sendable {
    /// A token for the form of this holder, good for so long.
    case issued(CSRFToken, holder: SessionID, expiresIn: Duration)
    /// The holder's token is not accepted.
    case refused(Refusal)
}

/// What `CSRF.VERIFY` found.
public enum CSRFVerification: Sendable, Equatable {
    /// The token of the form was looked at.
    case checked(FormVerdict)
    /// The holder's token is not accepted.
    case refused(Refusal)
}

/// A sealed captcha: it goes into the page and comes back with the answer. Its solution is inside, unreadable.
///
/// It prints as `<captcha>`.
public struct Captcha: Sendable {
    /// The text for the page, for the address of its picture, and for the form's hidden field.
    public let revealedText: String

    /// The text that came with a request, any text: only the daemon knows whether it is one.
    public init(_ text: String) {
        revealedText = text
    }
}

/// What the text of a captcha's picture is.
public enum CaptchaText: Sendable {
    /// Random characters that look like no others, so many; `nil` for the daemon's default, five.
    case random(length: Int? = nil)
    /// This text.
    case chosen(String)
}

/// What `CAPTCHA.ISSUE` made.
public enum CaptchaIssue: Sendable {
    /// The captcha, what its picture must show, and how long it is good.
    case issued(Captcha, solution: CaptchaSolution, expiresIn: Duration)
    /// The token of the holder that it was to be for is not accepted.
    case refused(Refusal)
}

/// What a captcha's picture must show. It prints as `<solution>`.
public struct CaptchaSolution: Sendable {
    /// The text to draw.
    public let revealedText: String

    init(_ text: String) {
        revealedText = text
    }
}

/// What `CAPTCHA.OPEN` found.
public enum CaptchaOpening: Sendable {
    /// What the picture must show.
    case solution(CaptchaSolution)
    /// Too old.
    case expired
    /// No captcha of this daemon.
    case unknown
}

/// What `CAPTCHA.VERIFY` says. The first attempt spends the captcha, right or wrong.
public enum CaptchaVerdict: String, Sendable {
    /// Right.
    case passed
    /// Wrong.
    case failed
    /// It was tried before.
    case spent
    /// Too old.
    case expired
    /// Made for another holder, form or signal.
    case mismatch
    /// No captcha of this daemon.
    case unknown
}

extension CSRFToken: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always `<csrf token>`.
    public var description: String { "<csrf token>" }
    /// Always `<csrf token>`.
    public var debugDescription: String { description }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension Captcha: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always `<captcha>`.
    public var description: String { "<captcha>" }
    /// Always `<captcha>`.
    public var debugDescription: String { description }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension CaptchaSolution: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Always `<solution>`.
    public var description: String { "<solution>" }
    /// Always `<solution>`.
    public var debugDescription: String { description }
    /// Without children: `dump` finds nothing to print.
    public var customMirror: Mirror { Mirror(self, children: []) }
}
