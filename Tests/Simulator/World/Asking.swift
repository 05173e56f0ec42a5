import Tokens
import UnixTime

@testable import TokenCache

/// A request's way into the service, as the dispatcher takes it: first what is known at once, then the question.
enum Asking {
    static func ask(
        _ request: Request, _ daemon: SimulatedDaemon, _ done: @escaping (Outcome) -> Void
    ) {
        let service = daemon.service
        do {
            var wanted = SessionRequest()
            wanted.subject = request.subject
            switch request.operation {
            case .issue: service.issue(wanted) { done(view($0)) }
            case .visit: try visit(request, daemon, done)
            case .validate: try validate(request, daemon, done)
            case .get:
                let write = { (answer: Judged<HeldData>) -> Outcome in
                    if case .refused(let refusal) = answer { return .refused(refusal, guest: nil) }
                    return .accepted(blank(request, nil))
                }
                let known = service.get(.token(try presented(request, service)), at: daemon.loop.now) {
                    done(outcome($0, write))
                }
                if let known { done(write(known)) }
            case .set, .setIf, .incr, .getDel:
                service.change(try reference(request, service), request.wish.change) {
                    done(
                        outcome($0) { answer in
                            switch answer {
                            case .refused(let refusal): return .refused(refusal, guest: nil)
                            case .accepted(let changed):
                                request.told = changed.outcome
                                return .accepted(blank(request, changed.handed?.token))
                            }
                        })
                }
            case .expire:
                service.expire(try presented(request, service), request.wish.limits) { done(verdict($0)) }
            case .login:
                let credential = try presented(request, service).credential
                service.login(credential, wanted) { done(view($0)) }
            case .rotate: service.rotate(try presented(request, service)) { done(verdict($0)) }
            case .logout, .revoke:
                service.revoke(try reference(request, service)) { result in
                    done(
                        outcome(result) {
                            switch $0 {
                            case .revoked(let reason): .ended(reason)
                            case .unknown: .notFound
                            case .replayed: .refused(.replayed, guest: nil)
                            }
                        })
                }
            case .revokeAll:
                service.revokeAll(subject: request.subject, except: nil) { result in
                    done(
                        outcome(result) {
                            switch $0 {
                            case .accepted(let count): .allEnded(count)
                            case .refused(let refusal): .refused(refusal, guest: nil)
                            }
                        })
                }
            case .revokeEveryone: service.revokeEveryone { done(outcome($0) { .allEnded($0) }) }
            case .list:
                service.list(subject: request.subject, limit: 100) { result in
                    done(outcome(result) { .listed($0.sessions.map(\.sid)) })
                }
            }
        } catch {
            daemon.loop.later { done(.unavailable("\(error)")) }
        }
    }

    private static func presented(_ request: Request, _ service: TokenService) throws -> Presented {
        switch request.brought {
        case .session(let token): Presented(.session(token))
        case .guest(let text): Presented(try text.withUnsafeBytes { try service.credential($0) })
        case .nothing, .sid: Presented(.refused(.unknown))
        }
    }

    private static func reference(_ request: Request, _ service: TokenService) throws -> SessionReference {
        if case .sid(let sid) = request.brought { return .sid(sid, of: nil) }
        return .token(try presented(request, service))
    }

    private static func visit(
        _ request: Request, _ daemon: SimulatedDaemon, _ done: @escaping (Outcome) -> Void
    ) throws {
        let service = daemon.service
        let write = { (answer: VisitAnswer) -> Outcome in
            if case .refused(let refusal) = answer.presented { return .refused(refusal, guest: answer.page.holder) }
            return .accepted(answer.page.holder)
        }
        let text: [UInt8] =
            switch request.brought {
            case .session(let token): token.secretText
            case .guest(let text): text
            case .nothing: []
            case .sid(let sid): sid.hex
            }
        let known = try text.withUnsafeBytes { text in
            try service.visit(text, AccessRequest(), Signals(), at: daemon.loop.now) {
                done(outcome($0) { write($0) })
            }
        }
        if let known { done(write(known)) }
    }

    private static func validate(
        _ request: Request, _ daemon: SimulatedDaemon, _ done: @escaping (Outcome) -> Void
    ) throws {
        let service = daemon.service
        let presented = try presented(request, service)
        switch try service.validate(presented, at: daemon.loop.now, { done(verdict($0)) }) {
        case .hit(let session): done(.accepted(SessionView(session)))
        case .accepted(let view): done(.accepted(view))
        case .refused(let refusal): done(.refused(refusal, guest: nil))
        case .asked: break
        }
    }

    // MARK: Answers

    private static func outcome<Answer>(
        _ result: Result<Answer, ServiceFault>, _ read: (Answer) -> Outcome
    ) -> Outcome {
        switch result {
        case .success(let answer): read(answer)
        case .failure(let fault): .unavailable("\(fault)")
        }
    }

    private static func view(_ result: Result<LoginAnswer, ServiceFault>) -> Outcome {
        outcome(result) { answer in if case .issued(let view, _) = answer { .accepted(view) } else { .notFound } }
    }

    private static func verdict(_ result: Result<Verdict, ServiceFault>) -> Outcome {
        outcome(result) {
            switch $0 {
            case .accepted(let view): .accepted(view)
            case .refused(let refusal): .refused(refusal, guest: nil)
            }
        }
    }

    /// What SET and GET say of a session: nothing, but of a guest that became one its token.
    private static func blank(_ request: Request, _ token: SessionToken?) -> SessionView {
        let guest = Guest(
            sid: token?.sid ?? request.sid ?? SessionID(), issued: UnixSeconds(0), expires: UnixSeconds(0),
            end: UnixSeconds(0))
        var view = SessionView(guest, now: UnixSeconds(0), newToken: nil)
        view.newToken = token.map(HandedToken.session)
        view.isGuest = false
        view.generation = 1
        return view
    }

    static func describe(_ outcome: Outcome) -> String {
        switch outcome {
        case .accepted(let view):
            let holder = view.isGuest ? "guest" : "generation \(view.generation)"
            let token = view.newToken == nil ? "" : " with a token"
            return "accepted \(view.sid.description.prefix(8)) \(holder)\(token)\(view.isStale ? " stale" : "")"
        case .refused(let refusal, _): return "refused \(refusal)"
        case .ended(let reason): return "ended \(reason.rawValue)"
        case .notFound: return "not found"
        case .allEnded(let count): return "done \(count)"
        case .listed(let sids): return "listed \(sids.count)"
        case .unavailable(let reason): return "unavailable \(reason)"
        }
    }
}
