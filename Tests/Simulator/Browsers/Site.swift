import EventLoop
import SeededRandom
import TokenCrypto
import Tokens
import UnixTime

@testable import RedisLink
@testable import TokenCache

/// A site whose workers keep the rules of README.md, before two daemons and one Redis, in virtual time.
final class Site {
    let agenda = Agenda()
    private let redis: ModelRedis
    private let network: SimulatedNetwork
    private let daemons: [SimulatedDaemon]
    private var random: SeededRandom

    /// What a worker answers a browser.
    struct Response {
        /// `Set-Cookie`.
        var cookie: [UInt8]?
        /// Who is logged in on the page; empty where nobody is.
        var subject: [UInt8] = []
        /// Of the form in the page.
        var csrf: [UInt8] = []
        /// The form that came back was not taken, and is shown again.
        var isFormAgain = false
        /// 303 to the same page: the browser may hold a newer cookie than it sent.
        var isRedirect = false
    }

    static let form = bytes("login")

    /// - Parameter policy: the defaults of a daemon, but for what is set here.
    init(seed: UInt64, _ change: (inout Setup) -> Void = { _ in }) throws {
        var setup = Setup()
        setup.seed = seed
        setup.daemons = 2
        let minute: Int64 = 60_000
        setup.numbers = setup.numbers.merging([
            "rotation-after": 15 * minute, "overlap": 2 * minute, "replay-grace": 10 * minute, "idle": 120 * minute,
            "absolute": 1_440 * minute, "touch-interval": minute, "tombstone": 10 * minute, "serve-stale": 10_000,
            "guest-lifetime": 1_440 * minute, "guest-absolute": 43_200 * minute, "cache-bytes": 64 << 20,
        ]) { $1 }
        change(&setup)
        random = SeededRandom(seed: seed ^ 0x517e)
        let redis = ModelRedis(
            agenda: agenda, seed: seed, scripts: TokenService.scripts + [RedisNode.beatScript], clockOffset: 137)
        self.redis = redis
        let network = SimulatedNetwork(agenda: agenda, seed: seed) { _, _ in redis }
        self.network = network
        daemons = try (0..<2).map { try SimulatedDaemon(number: $0, setup: setup, network: network, rule: nil) }
        agenda.run(until: .milliseconds(1_000))
    }

    func close() { for daemon in daemons { daemon.node.close() } }

    private func ask(_ body: @escaping (TokenService, MonotonicInstant) throws -> Void) {
        let daemon = daemons[Int.random(in: 0..<2, using: &random)]
        daemon.loop.enter(isRequest: true) { try? body(daemon.service, daemon.loop.now) }
    }

    // MARK: Pages

    /// Any page or poll.
    func page(_ token: [UInt8], isNavigation: Bool, _ respond: @escaping (Response) -> Void) {
        visit(token, isNavigation: isNavigation, check: nil) { answer in
            var response = Self.response(answer)
            if case .refused = answer.presented, isNavigation, answer.page.holder.newToken == nil {
                response.isRedirect = true
            }
            respond(response)
        }
    }

    /// The login form comes back, with a password that is right.
    func logIn(_ token: [UInt8], _ subject: [UInt8], csrf: [UInt8], _ respond: @escaping (Response) -> Void) {
        visit(token, isNavigation: true, check: csrf) { [self] answer in
            var response = Self.response(answer)
            // Who is logged in already goes on, whatever the form was.
            if case .accepted = answer.presented, answer.page.holder.subject == subject { return respond(response) }
            guard answer.page.check == .passed else {
                response.isFormAgain = true
                return respond(response)
            }
            // The newest token that is known.
            logIn(response.cookie ?? token, subject, respond)
        }
    }

    /// Logs in without a form: single sign-on, a change of the password.
    func logIn(_ token: [UInt8], _ subject: [UInt8], _ respond: @escaping (Response) -> Void) {
        ask { service, _ in
            var request = SessionRequest()
            request.subject = subject
            request.pageGuest = token.withUnsafeBytes { service.pageGuest(of: $0) }
            let credential = try token.withUnsafeBytes { try service.credential($0) }
            service.login(credential, request) { result in
                guard case .success(.issued(let view, _)) = result else { return }
                respond(Response(cookie: view.newToken?.secretText, subject: subject))
            }
        }
    }

    /// The way back from a payment page: a POST from another site, for which browsers hold back Lax cookies.
    func paid(_ respond: @escaping (Response) -> Void) {
        ask { service, now in
            var request = AccessRequest()
            request.mode = .navigate
            request.site = .crossSite
            request.isPost = true
            let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
            if let answer = try service.visit(nothing, request, Signals(), at: now, { _ in }) {
                respond(Self.response(answer))
            }
        }
    }

    func rotate(_ token: [UInt8], _ respond: @escaping (Response) -> Void) {
        ask { service, _ in
            let credential = try token.withUnsafeBytes { try service.credential($0) }
            service.rotate(Presented(credential)) { result in
                guard case .success(.accepted(let view)) = result else { return respond(Response()) }
                respond(Response(cookie: view.newToken?.secretText, subject: view.subject))
            }
        }
    }

    /// The cookie stays: the next visit replaces it.
    func logOut(_ token: [UInt8], _ respond: @escaping (Response) -> Void) {
        ask { service, _ in
            let credential = try token.withUnsafeBytes { try service.credential($0) }
            service.revoke(.token(Presented(credential))) { _ in respond(Response()) }
        }
    }

    /// The password was changed: all sessions end, and the one that did it goes on under a new token.
    func changePassword(_ token: [UInt8], _ subject: [UInt8], _ respond: @escaping (Response) -> Void) {
        ask { [self] service, _ in
            service.revokeAll(subject: subject, except: nil) { _ in self.logIn(token, subject, respond) }
        }
    }

    // MARK: Without a page

    func issue(_ subject: [UInt8], _ done: @escaping ([UInt8]) -> Void) {
        ask { service, _ in
            var request = SessionRequest()
            request.subject = subject
            service.issue(request) {
                if case .success(.issued(let view, _)) = $0, let token = view.newToken { done(token.secretText) }
            }
        }
    }

    func guest(lifetime: Milliseconds? = nil, _ done: @escaping ([UInt8]) -> Void) {
        ask { service, _ in
            if let token = try service.issueGuest(lifetime: lifetime, Signals()).newToken { done(token.secretText) }
        }
    }

    /// A token that nobody knows any more.
    func deadToken() -> [UInt8] {
        var random = SeededRandom(seed: random.next())
        return SessionToken(
            sid: SessionID(bytes: random.bytes(16)) ?? SessionID(),
            verifier: Verifier(bytes: random.bytes(48)) ?? Verifier()
        ).secretText
    }

    /// Whose session a token is good for; nil for nobody's.
    func holder(of token: [UInt8], _ done: @escaping ([UInt8]?) -> Void) {
        ask { service, _ in
            let credential = try token.withUnsafeBytes { try service.credential($0) }
            service.inspect(.token(Presented(credential))) { result in
                guard case .success(.accepted(let inspection)) = result else { return done(nil) }
                done(inspection.session.subject)
            }
        }
    }

    private func visit(
        _ token: [UInt8], isNavigation: Bool, check: [UInt8]?, _ done: @escaping (VisitAnswer) -> Void
    ) {
        ask { service, now in
            var request = AccessRequest()
            request.mode = isNavigation ? .navigate : .other
            request.site = .sameOrigin
            request.csrfForm = Self.form
            if let check { request.check = FormCheck(csrf: check, form: Self.form, site: .sameOrigin) }
            request.isPost = check != nil
            let known = try token.withUnsafeBytes { token in
                try service.visit(token, request, Signals(), at: now) {
                    if case .success(let answer) = $0 { done(answer) }
                }
            }
            if let known { done(known) }
        }
    }

    private static func response(_ answer: VisitAnswer) -> Response {
        let holder = answer.page.holder
        return Response(cookie: holder.newToken?.secretText, subject: holder.subject, csrf: answer.page.csrf ?? [])
    }
}
