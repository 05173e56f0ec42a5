/// What `TOKEN.VISIT` says of a page view.
///
/// Every case carries the holder that the page is for and the ``TokenChange`` that the response must carry out. A handler
/// that treats all visitors alike needs no switch: ``holder``, ``page``, ``setCookie(_:)``.
public enum Visit: Sendable {
    /// The token is that of a session.
    case session(Holder, change: TokenChange, page: PageAnswers)
    /// The visitor is a guest, or comes without a token and is one from this page on.
    case guest(Holder, change: TokenChange, page: PageAnswers)
    /// The token presented is not accepted. The page is for another holder, a guest. Where the change is to keep the
    /// cookie, the browser holds, or is about to hold, a newer token: see ``Holder/isPageOnly``.
    case refused(Refusal, instead: Holder, change: TokenChange, page: PageAnswers)

    /// Whom the page is for.
    public var holder: Holder {
        switch self {
        case .session(let holder, _, _), .guest(let holder, _, _), .refused(_, let holder, _, _): holder
        }
    }

    /// What the response does with the cookie.
    public var change: TokenChange {
        switch self {
        case .session(_, let change, _), .guest(_, let change, _), .refused(_, _, let change, _): change
        }
    }

    /// What the page asked for beside the holder.
    public var page: PageAnswers {
        switch self {
        case .session(_, _, let page), .guest(_, _, let page), .refused(_, _, _, let page): page
        }
    }

    /// Why the token presented is not accepted; `nil` if it is, or if there was none.
    public var refusal: Refusal? {
        if case .refused(let refusal, _, _, _) = self { refusal } else { nil }
    }

    /// Who is logged in: **the token is accepted and has a subject**. `nil` for guests and anonymous sessions, which are
    /// accepted, too.
    public var subject: String? {
        if case .session(let holder, _, _) = self { holder.subject } else { nil }
    }

    /// The value of the response's `Set-Cookie` header; `nil` if the cookie stays as it is.
    public func setCookie(_ cookie: SessionCookie) -> String? { cookie.header(change) }
}
