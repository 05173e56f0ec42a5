internal import Logging
internal import TokenCrypto
internal import Tokens

/// LOGIN and ROTATE: a new token, the old one dead at once.
extension TokenService {
    /// The credentials were checked: `request.subject` holds a session under a new token from now on. Idempotent for
    /// the same old token and subject within `rotation.overlap`.
    public func login(
        _ credential: Credential, _ request: SessionRequest, _ done: @escaping Completion<SessionView>
    ) {
        attempt(done) {
            run(try LoginFlow(try claim(Presented(credential, request.signals)), request, self), done)
        }
    }

    /// Any other change of privilege: a new token at once, no overlap; limits stay.
    public func rotate(_ presented: Presented, _ done: @escaping Completion<Verdict>) {
        attempt(done) {
            guard let claim = try claim(presented) else {
                guard case .refused(let refusal) = presented.credential else { throw ServiceFault.noKeys }
                return answer(.success(.refused(refusal)), done)
            }
            run(try RotateFlow(claim, self), done)
        }
    }
}
