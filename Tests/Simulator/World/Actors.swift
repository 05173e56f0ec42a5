import Tokens

@testable import TokenCache

/// A visitor with a cookie jar: sends the newest token it has, several requests at once, and may lose an answer.
final class Browser {
    let number: Int
    var jar = Brought.nothing
    /// What the jar held before: what a tab left open, or a request that was held up, still sends.
    var former: SessionToken?
    /// What it knows of the field that it sets on a condition.
    var seat: [UInt8] = []
    /// An answer from before a LOGIN or ROTATE came after theirs and went over their token: S12 says nothing then.
    var isOverwritten = false
    /// A LOGIN or ROTATE of its own was not answered, or its answer was lost: its token may be dead.
    var missedForced = false
    /// When it was given the token of a LOGIN or ROTATE last.
    var forcedAt: SimulatedTime = 0

    init(number: Int) { self.number = number }

    /// An answer reached it.
    func receive(_ request: Request, at now: SimulatedTime) {
        request.delivered = now
        guard let outcome = request.outcome else { return }
        if request.operation == .setIf, let told = request.told { learn(told, request) }
        switch outcome {
        case .accepted(let view):
            if let token = view.newToken { put(token, request, at: now) }
        case .refused(_, let guest):
            // A site clears a cookie that was refused, if it is still the one that was sent.
            guard isInJar(request.brought) else { return }
            jar = .nothing
            missedForced = false
            isOverwritten = false
            if case .guest(let text)? = guest?.newToken { jar = .guest(text) }
        case .ended:
            guard isInJar(request.brought) else { return }
            if case .session(let old) = jar { former = old }
            jar = .nothing
        default: break
        }
    }

    private func learn(_ told: DataOutcome, _ request: Request) {
        switch (told, request.wish.change) {
        case (.conflict(let fields), _): seat = fields.value(of: bytes("seat"))
        case (_, .set(let fields, _)): seat = fields.value(of: bytes("seat"))
        default: break
        }
    }

    private func put(_ token: HandedToken, _ request: Request, at now: SimulatedTime) {
        let isForced = request.operation == .login || request.operation == .rotate
        if case .session(let old) = jar { former = old }
        switch token {
        case .session(let token): jar = .session(token)
        case .guest(let text): jar = .guest(text)
        }
        if isForced {
            forcedAt = now
            isOverwritten = false
            missedForced = false
        } else if request.began < forcedAt {
            isOverwritten = true
        }
    }

    func isInJar(_ brought: Brought) -> Bool { brought.secret == jar.secret }
}

/// Somebody who copied a token, and uses it as its holder would.
final class Thief {
    var token: SessionToken
    init(token: SessionToken) { self.token = token }
}
