internal import TokenCache
internal import Tokens
internal import UnixTime

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
    /// They proved who they are at most so long ago.
    var loginWithin: Milliseconds?

    var isEmpty: Bool { !subject && loginWithin == nil }

    /// - Returns: nil where all is as required.
    func unmet(by view: SessionView, now: UnixSeconds) -> Unmet? {
        unmet(isAnonymous: view.subject.isEmpty, authTime: view.authTime, now: now)
    }

    func unmet(by session: CachedSession, now: UnixSeconds) -> Unmet? {
        unmet(isAnonymous: session.subject.isEmpty, authTime: session.authTime, now: now)
    }

    /// - Parameter authTime: nil if nobody ever proved who they are.
    private func unmet(isAnonymous: Bool, authTime: UnixSeconds?, now: UnixSeconds) -> Unmet? {
        if subject, isAnonymous { return .anonymous }
        guard let loginWithin else { return nil }
        guard let authTime, now - authTime <= loginWithin / 1_000 else { return .reauthenticate }
        return nil
    }
}
