@testable import Tokens

/// S1–S5 and S12 at the moment an answer is made, against the reference.
enum Invariants {
    static func check(_ answer: World.Answer, of index: Int, in world: inout World) -> Violation? {
        let request = world.requests[index]
        switch (request.operation, answer) {
        case (.validate, .accepted(let successor)):
            if request.mustBeRefused { return violation(.s5, request, "was accepted after its death was acknowledged") }
            if request.wasGivenUp, world.gaveUpEnd[request.daemon] {
                return violation(.s5, request, "was accepted where its end was asked for and not acknowledged")
            }
            if request.right.contains(.acceptance(successor: successor)) { break }
            if !request.right.accepts { return violation(.s1, request, "was accepted and is not acceptable") }
            let told = world.reference.successorToTell(request.token)
            if let told, successor == nil { return violation(.s3, request, "was not told its successor \(told)") }
            return violation(
                .s2, request,
                "was told \(successor.map(String.init) ?? "nothing"), the successor is \(told.map(String.init) ?? "not to be told")"
            )
        case (.validate, .refused), (.rotate, .refused):
            if request.operation == .rotate, world.reference.current.number == UInt8(index + 1),
                !world.reference.isOver(at: world.now)
            {
                return violation(.s3, request, "was rotated by this very request and is refused")
            }
            if !request.right.contains(.refusal) { return violation(.s1, request, "was refused and is acceptable") }
            if isHonest(request, world) { return violation(.s12, request, "of an honest browser was refused") }
        case (.rotate, .issued(let token)):
            if token != world.reference.current.number {
                return violation(.s2, request, "was rotated to a token that is not current")
            }
            world.reference.acknowledge()
        case (.login, .issued(let token)):
            if let login = world.reference.login, world.reference.repeatsLogin(request.token), world.now < login.until,
                world.reference.isEnded || world.reference.current.number == login.to, token != login.to,
                !(world.now >= world.reference.absoluteEnd && !world.reference.isEnded)
            {
                return violation(.s3, request, "logged in again and got \(token) instead of \(login.to)")
            }
            if token == Symbols.elsewhere, !request.right.contains(.refusal) {
                return violation(.s1, request, "was not taken for a login")
            }
            if request.mustBeRefused, token != Symbols.elsewhere, !world.reference.repeatsLogin(request.token) {
                return violation(.s5, request, "logged in after its death was acknowledged")
            }
            world.reference.acknowledge()
        case (.revoke, .revoked):
            if world.reference.generation(of: request.token) == nil, !world.reference.isOver(at: world.now) {
                return violation(.s4, request, "is made up and ended the session")
            }
            if !world.reference.isOver(at: world.now) {
                return violation(.s5, request, "was told that the session is ended, and it lives")
            }
            world.reference.acknowledge()
        case (.revoke, .refused):
            if let generation = world.reference.generation(of: request.token),
                generation >= world.reference.forcedGeneration, !world.reference.isOver(at: world.now)
            {
                return violation(.s5, request, "is the session's own and could not end it")
            }
        default: break
        }
        return nil
    }

    /// S12: sent by the browser with the newest token it had, answered while its overlap cannot have passed, and
    /// nobody ended the session or forced a rotation since.
    private static func isHonest(_ request: World.Request, _ world: World) -> Bool {
        guard request.presenter == .jar, !world.reference.isOver(at: world.now),
            world.now - request.sentAt < Ticks.overlap, request.interruptions == world.reference.interruptions,
            let generation = world.reference.generation(of: request.token)
        else { return false }
        // A jar that a response from before a LOGIN or ROTATE reached last, or that never got the answer of one.
        return generation >= world.reference.forcedGeneration
    }

    private static func violation(
        _ invariant: Violation.Invariant, _ request: World.Request, _ detail: String
    ) -> Violation {
        Violation(invariant: invariant, detail: "token \(request.token) of \(request.presenter) \(detail)")
    }
}
