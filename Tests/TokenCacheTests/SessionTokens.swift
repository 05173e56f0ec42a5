import TokenCrypto
import Tokens

@testable import TokenCache

/// The service asked with session tokens alone; nil for a text that cannot be a token.
extension TokenService {
    /// An answer that is there at once is told in the next turn, too.
    func validate(_ token: SessionToken?, _ done: @escaping Completion<Verdict>) {
        do throws(ServiceFault) {
            let verdict: Verdict
            switch try validate(Presented(token), at: store.instant, done) {
            case .hit(let session): verdict = .accepted(SessionView(session))
            case .accepted(let view): verdict = .accepted(view)
            case .refused(let refusal): verdict = .refused(refusal)
            case .asked: return
            }
            store.later { done(.success(verdict)) }
        } catch { store.later { done(.failure(error)) } }
    }

    func get(_ reference: SessionReference, _ done: @escaping Completion<Judged<HeldData>>) {
        guard let known = get(reference, at: store.instant, done) else { return }
        store.later { done(.success(known)) }
    }

    func rotate(_ token: SessionToken?, _ done: @escaping Completion<Verdict>) { rotate(Presented(token), done) }

    func login(_ token: SessionToken?, _ request: SessionRequest, _ done: @escaping Completion<LoginAnswer>) {
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
