internal import TokenCache
internal import Tokens

/// REQUIRE: what must be so of an accepted token for the answer to be yes.
struct Requirement {
    /// Somebody is logged in.
    var subject = false
    /// They proved who they are at most so long ago, milliseconds.
    var loginWithin: Milliseconds?

    var isEmpty: Bool { !subject && loginWithin == nil }

    /// - Parameters:
    ///   - authTime: Unix seconds; 0 if nobody ever did.
    ///   - now: Unix seconds.
    /// - Returns: the status that says what is wanting; nil where all is as required.
    func unmet(isAnonymous: Bool, authTime: Int64, now: Int64) -> StaticString? {
        if subject, isAnonymous { return "anonymous" }
        if let loginWithin, authTime == 0 || (now &- authTime) > loginWithin / 1_000 { return "reauthenticate" }
        return nil
    }
}
