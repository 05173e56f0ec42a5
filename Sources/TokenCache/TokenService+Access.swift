internal import Tokens

/// VALIDATE: the access that renews, rotates and confirms.
extension TokenService {
    /// Is the token good? Renews, rotates and confirms.
    /// - Parameter needsData: the caller wants the session's data with it.
    public func validate(_ presented: Presented, needsData: Bool = false, _ done: @escaping Completion<Verdict>) {
        switch presented.credential {
        case .refused(let refusal):
            count(refusal)
            answer(.success(.refused(refusal)), done)
        case .guest(let guest):
            validate(guest, presented.signals, needsData: needsData, done)
        case .session(let token):
            attempt(done) { run(AccessFlow(try claim(token, presented.signals), needsData: needsData), done) }
        }
    }
}
