/// What `TOKEN.VALIDATE` says of a token.
public enum Validation: Sendable {
    /// The token of a living session, which meets what was required.
    case session(Holder, change: TokenChange, page: PageAnswers)
    /// The token of a guest: only where ``Requirement/anyone`` was asked for.
    case guest(Holder, change: TokenChange, page: PageAnswers)
    /// The token is good, but nobody is logged in.
    case anonymous(Bearer, change: TokenChange)
    /// The token is good, but the last login is longer ago than was required: ask for the password again.
    case reauthenticate(Bearer, change: TokenChange)
    /// Not accepted; the cookie stays as it is.
    case refused(Refusal)

    /// What the response does with the cookie.
    public var change: TokenChange {
        switch self {
        case .session(_, let change, _), .guest(_, let change, _), .anonymous(_, let change),
            .reauthenticate(_, let change):
            change
        case .refused: .keep
        }
    }

    /// The value of the response's `Set-Cookie` header; `nil` if the cookie stays as it is.
    public func setCookie(_ cookie: SessionCookie) -> String? { cookie.header(change) }
}

/// Whose a token is that is good, and not good enough for what was required.
public struct Bearer: Sendable, Equatable {
    /// The session's or guest's public name.
    public let sid: SessionID
    /// Whom to ask for a password; `nil` if nobody is logged in.
    public let subject: String?
    /// When the subject last proved who they are; `nil` if nobody did.
    public let authTime: UnixTime?
}

/// What must be so of a good token for ``TokenCommand/validate(_:require:signals:check:fetch:csrf:data:)`` to accept it.
public struct Requirement: Sendable, Equatable {
    /// Somebody is logged in.
    public static let subject = Requirement(needsSubject: true, age: nil)
    /// Nothing more: guests and anonymous sessions are accepted, too. **An accepted token is then no login.**
    public static let anyone = Requirement(needsSubject: false, age: nil)
    /// Somebody is logged in, and proved who they are at most so long ago.
    public static func login(within age: Duration) -> Requirement { Requirement(needsSubject: true, age: age) }

    let needsSubject: Bool
    let age: Duration?
}

extension RequestWriter {
    mutating func append(_ requirement: Requirement) {
        if requirement.needsSubject { append("REQUIRE", "subject") }
        guard let age = requirement.age else { return }
        append("REQUIRE")
        append("login-within", age)
    }
}

extension FieldCursor {
    mutating func bearer() throws(TokenCacheError) -> Bearer {
        Bearer(sid: try sid(), subject: try subject(), authTime: try authTime())
    }
}
