internal import TokenCache
internal import Tokens

/// REQUIRE: what must be so of an accepted token for the answer to be yes.
struct Requirement {
    /// What is wanting.
    enum Unmet {
        case anonymous, reauthenticate

        var status: StaticString {
            switch self {
            case .anonymous: "anonymous"
            case .reauthenticate: "reauthenticate"
            }
        }
    }

    /// Somebody is logged in.
    var subject = false
    /// They proved who they are at most so long ago, milliseconds.
    var loginWithin: Milliseconds?

    var isEmpty: Bool { !subject && loginWithin == nil }

    /// - Parameter now: Unix seconds.
    /// - Returns: nil where all is as required.
    func unmet(by view: SessionView, now: Int64) -> Unmet? {
        unmet(isAnonymous: view.subject.isEmpty, authTime: view.authTime, now: now)
    }

    func unmet(by session: CachedSession, now: Int64) -> Unmet? {
        unmet(isAnonymous: session.subject.isEmpty, authTime: session.authSeconds, now: now)
    }

    /// - Parameter authTime: Unix seconds; 0 if nobody ever proved who they are.
    private func unmet(isAnonymous: Bool, authTime: Int64, now: Int64) -> Unmet? {
        if subject, isAnonymous { return .anonymous }
        if let loginWithin, authTime == 0 || (now &- authTime) > loginWithin / 1_000 { return .reauthenticate }
        return nil
    }
}
