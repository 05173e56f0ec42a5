import TokenCrypto
import Tokens

@testable import TokenCache

/// The service asked with session tokens alone; nil for a text that cannot be a token.
extension TokenService {
    func validate(_ token: SessionToken?, _ done: @escaping Completion<Verdict>) {
        validate(Presented(token), needsData: false, done)
    }

    func rotate(_ token: SessionToken?, _ done: @escaping Completion<Verdict>) { rotate(Presented(token), done) }

    func login(_ token: SessionToken?, _ request: SessionRequest, _ done: @escaping Completion<SessionView>) {
        login(Presented(token).credential, request, done)
    }
}

extension Presented {
    init(_ token: SessionToken?) { self.init(token.map(Credential.session) ?? .refused(.unknown)) }
}

extension SessionReference {
    static func token(_ token: SessionToken?) -> SessionReference { .token(Presented(token)) }
}

extension SessionView {
    /// The token handed out, where it is a session's.
    var sessionToken: SessionToken? {
        if case .session(let token)? = newToken { token } else { nil }
    }
}
