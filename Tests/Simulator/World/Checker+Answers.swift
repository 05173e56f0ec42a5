import TokenCrypto
import Tokens

@testable import TokenCache

/// What was answered, held against what stood in Redis.
extension Checker {
    // MARK: Accepted

    func accepted(_ request: Request, _ view: SessionView) {
        if view.isGuest, case .guest? = view.newToken { guestSessions.insert(view.sid) }
        switch request.operation {
        case .issue: return created(request, view)
        case .login:
            created(request, view)
            forced(request, view)
        case .rotate:
            checkAcceptance(request, view)
            handed(request, view)
            forced(request, view)
        case .visit, .validate, .set, .setIf, .incr, .getDel, .expire, .get:
            guard request.digest != nil else { return }
            checkAcceptance(request, view)
            handed(request, view)
            if request.operation == .expire { limited(request, view) }
        case .logout, .revoke, .revokeAll, .revokeEveryone, .list: break
        }
    }

    /// S1, S4, S5.
    private func checkAcceptance(_ request: Request, _ view: SessionView) {
        guard let sid = request.sid, let digest = request.digest else { return }
        let isGuest = request.guest != nil
        let start = earliest(request, isStale: view.isStale, isGuest: isGuest)
        checkPromise(request, sid, digest)
        // Where a master was replaced it may have been good there.
        let isStray = masters.strays.contains(sid) && isSucceeding(since: request.began)
        if !isStray, !truth.isAccepted(digest, of: sid, guest: request.guest, from: start, to: agenda.now) {
            let isGenuine = isGuest || genuine[sid]?.contains { $0.digest == digest } == true
            let floor = acknowledged[request.daemon]?[sid].map { $0 <= request.began } == true
            fail(
                !isGenuine ? "S4" : floor ? "S5" : "S1",
                "#\(request.number) accepted a token that was not good from \(start / 1_000_000) ms on")
        }
        checkForced(request, sid, digest)
        if view.isStale { checkSilence(request) }
        if let told = unconfirmed[request.daemon]?[sid], request.began > told,
            request.began < told + .milliseconds(setup.number("tombstone") - 100), !lossy.contains(sid)
        {
            fail("S5", "#\(request.number) accepted a token whose end was asked for and is not confirmed")
        }
    }

    /// S5: what may be old is told only while Redis does not answer at all. One that refuses is not away.
    private func checkSilence(_ request: Request) {
        let start = request.began - .milliseconds(setup.number("serve-stale")) - Self.settling
        guard !isImpaired(request.daemon, from: start, to: agenda.now, only: Self.silences) else { return }
        fail("S5", "#\(request.number) was answered from an old memory while Redis answers")
    }

    /// S2: one successor of a token, one token of a generation, and it stands in Redis.
    private func handed(_ request: Request, _ view: SessionView) {
        guard case .session(let token)? = view.newToken, let digest = try? crypto.digest(token.verifier) else { return }
        learn(token, digest, view.generation)
        guard !lossy.contains(token.sid) else { return }
        if let secret = request.brought.secret, request.operation != .rotate {
            if let known = successors[secret], known.token != token, !wasMadeAnew(request, since: known.at) {
                fail("S2", "#\(request.number) was told another successor of the same token")
            }
            successors[secret] = (token, agenda.now)
        }
        let name = GenerationName(sid: token.sid, generation: view.generation)
        if request.guest == nil {
            if let known = generations[name], known != digest {
                fail("S2", "#\(request.number) was told another token of generation \(view.generation)")
            }
            generations[name] = digest
        }
        let start =
            request.began - (isSucceeding(since: request.began) ? Self.masterBound : Self.silentBound)
        if !truth.wasCurrent(digest, of: token.sid, from: start, to: agenda.now) {
            fail("S2", "#\(request.number) was told a token that never stood in Redis")
        }
    }

    /// A guest outlives a session of its own that ran out, and makes another one.
    private func wasMadeAnew(_ request: Request, since start: SimulatedTime) -> Bool {
        guard request.guest != nil, let sid = request.sid else { return false }
        return truth.states(of: sid, from: start, to: agenda.now).contains { state in
            if case .live = state.session { false } else { true }
        }
    }

    private func learn(_ token: SessionToken, _ digest: Digest, _ generation: Int64) {
        if genuine[token.sid]?.contains(where: { $0.digest == digest }) != true {
            genuine[token.sid, default: []].append((digest, generation))
        }
        token.verifier.withUnsafeBytes { _ = verifierHeads.insert($0.loadUnaligned(as: UInt64.self)) }
    }

    /// ISSUE and LOGIN: what was acknowledged stands in Redis.
    private func created(_ request: Request, _ view: SessionView) {
        guard case .session(let token)? = view.newToken, let digest = try? crypto.digest(token.verifier) else {
            return fail("S1", "#\(request.number) gave no token")
        }
        learn(token, digest, view.generation)
        masters.entered[request.daemon, default: []].insert(token.sid)
        guard !lossy.contains(token.sid) else { return }
        if !truth.wasCurrent(digest, of: token.sid, from: request.began, to: agenda.now) {
            fail("S11", "#\(request.number) acknowledged a token that does not stand in Redis")
        }
        checkBirth(request, token)
        if request.operation == .login { repeated(request, token, digest) }
    }

    /// What is made after everyone was logged out is not over from the beginning.
    private func checkBirth(_ request: Request, _ token: SessionToken) {
        guard case .live(let record)? = truth.last(token.sid)?.session,
            !isImpaired(request.daemon, from: request.began - Self.recovery, to: agenda.now)
        else { return }
        let known = truth.epochs.last { $0.at < request.began - Self.settling }?.moment
        if let known, record.created <= known {
            fail("S1", "#\(request.number) made a session that counts as made before everyone was logged out")
        }
    }

    /// S3: the same LOGIN again gets the same answer, as long as that is still what stands there.
    private func repeated(_ request: Request, _ token: SessionToken, _ digest: Digest) {
        guard let secret = request.brought.secret else { return }
        let before = recent.filter { other in
            other !== request && other.operation == .login && other.brought.secret == secret
                && other.subject == request.subject && (other.finished ?? .max) <= request.began
        }
        guard let first = before.first, let answer = first.outcome?.newSession, answer != token,
            let given = try? crypto.digest(answer.verifier), !lossy.contains(answer.sid),
            // Where there was nothing to build on, nothing remembers it.
            let sid = request.sid, let digest = request.digest,
            truth.isAccepted(digest, of: sid, guest: nil, from: first.began, to: first.began),
            isRemembered(first, sid, given),
            agenda.now - first.began < .milliseconds(setup.number("overlap")),
            !truth.hasJumped(since: first.began), !isSucceeding(since: first.began),
            truth.states(of: answer.sid, from: request.began, to: agenda.now).allSatisfy({ state in
                if case .live(let record) = state.session { record.current == given } else { false }
            })
        else { return }
        fail("S3", "#\(request.number) repeated the LOGIN #\(first.number) and got another answer")
    }

    /// Whether a LOGIN left a memo where the next one looks.
    private func isRemembered(_ request: Request, _ sid: SessionID, _ given: Digest) -> Bool {
        truth.states(of: sid, from: request.began, to: request.finished ?? request.began).contains { state in
            switch state.session {
            case .live(let record): record.current == given
            case .ended(let tombstone): tombstone.login != nil
            case .absent: false
            }
        }
    }

    /// From its acknowledgement on nothing older is good at this daemon.
    private func forced(_ request: Request, _ view: SessionView) {
        guard let sid = request.sid else { return }
        // A LOGIN that had nothing to build on leaves what is there alone.
        guard
            view.sid == sid
                || truth.states(of: sid, from: request.began, to: agenda.now).contains(where: { state in
                    if case .ended = state.session { true } else { false }
                })
        else { return }
        acknowledge(sid, request)
        promise(sid, request, generation: view.sid == sid ? view.generation : nil)
        if view.sid == sid { lastForced[sid] = (view.generation, request.daemon, agenda.now) }
    }

    /// S5, whatever the store says: tokens from before a LOGIN or ROTATE are dead.
    private func checkForced(_ request: Request, _ sid: SessionID, _ digest: Digest) {
        guard let forced = lastForced[sid], !lossy.contains(sid), request.guest == nil,
            let own = genuine[sid]?.first(where: { $0.digest == digest }), own.generation < forced.generation
        else { return }
        let isImpaired = isImpaired(request.daemon, from: request.began - Self.settling, to: request.began)
        let bound = request.daemon == forced.daemon ? 0 : isImpaired ? Int64.max / 2 : Self.healthyBound
        if request.began > forced.at + bound {
            fail("S5", "#\(request.number) accepted a token from before a LOGIN or ROTATE")
        }
    }

    // MARK: Refused

    /// Another Redis has taken the place of the daemon's, which answers on, and says with the next beat that it takes no
    /// writes: until then it is asked, and knows of nothing that was made at the other.
    private func asksFormerMaster(_ request: Request) -> Bool {
        impairments.contains { $0.name == "split" && $0.start + Self.silentBound >= request.began }
    }

    /// A LOGIN as somebody else has ended it: REVOKE calls its tokens replayed, since the browser has a newer one.
    private func isEndedByLogin(_ sid: SessionID, from start: SimulatedTime) -> Bool {
        truth.states(of: sid, from: start, to: agenda.now).contains { state in
            if case .ended(let tombstone) = state.session { tombstone.reason == .login } else { false }
        }
    }

    func refused(_ request: Request, _ refusal: Refusal) {
        guard let sid = request.sid, let digest = request.digest, refusal != .expired else { return }
        // Set back, a clock brings back what had run out and was not gone yet.
        guard !truth.hasJumped(since: request.began - .milliseconds(6_000)) else { return }
        let isGuest = request.guest != nil
        var start = request.began
        // A tombstone may be cached, as a session is.
        if case .revoked = refusal { start = earliest(request, isStale: false, isGuest: false) }
        if request.operation == .logout || request.operation == .revoke, refusal == .replayed,
            isEndedByLogin(sid, from: start)
        {
            return
        }
        if asksFormerMaster(request) || isSucceeding(since: request.began)
            || !masters.successions.isEmpty && lossy.contains(sid)
        {
            return
        }
        if !truth.isRefused(
            refusal, digest, of: sid, guest: request.guest, from: start, to: agenda.now, knowing: knownEpoch(request))
        {
            return fail("S1", "#\(request.number) was refused as \(refusal) while it was good, or otherwise bad")
        }
        guard refusal == .unknown, !isGuest, !lossy.contains(sid),
            let own = genuine[sid]?.first(where: { $0.digest == digest })
        else { return }
        let isSeen = truth.states(of: sid, from: request.began, to: agenda.now).allSatisfy { state in
            if case .live(let record) = state.session { record.generation - own.generation <= 7 } else { false }
        }
        if isSeen { fail("S4", "#\(request.number) was called unknown: its replay was not seen") }
    }

    /// Up to when a daemon knows whether everyone was logged out: who acknowledged it, at once, and who asks with each request;
    /// others are told, as of an end.
    private func knownEpoch(_ request: Request) -> SimulatedTime {
        let isOwn = recent.contains { other in
            other.operation == .revokeEveryone && other.daemon == request.daemon
                && (other.finished ?? .max) <= request.began && other.outcome?.isUnavailable == false
        }
        let asks = setup.number("near-cache") == 0
        return isOwn || asks ? request.began : earliest(request, isStale: false, isGuest: false)
    }

    /// S12: the newest token that a browser has is good, unless somebody ended it or a limit passed.
    func honest(_ request: Request, _ browser: Browser) {
        guard case .refused(let refusal, _)? = request.outcome, refusal == .unknown || refusal == .replayed,
            let sid = request.sid, request.operation != .login
        else { return }
        guard !lossy.contains(sid), !stolenSessions.contains(sid), !isSucceeding(since: request.began),
            !asksFormerMaster(request),
            !browser.missedForced, !browser.isOverwritten,
            agenda.now - request.sent < .milliseconds(setup.number("overlap") / 2),
            !truth.hasJumped(since: agenda.now - .milliseconds(setup.number("overlap") * 2))
        else { return }
        let hasEnded = truth.states(of: sid, from: request.began, to: agenda.now).contains { state in
            if case .live = state.session { false } else { true }
        }
        let isForced = recent.contains { other in
            other !== request && other.sid == sid && other.operation.isForced && other.began <= agenda.now
                && (other.delivered ?? .max) >= request.sent
        }
        // A session that was made of this guest by a request whose answer is not here yet.
        guard !hasEnded, !isForced else { return }
        fail("S12", "#\(request.number) of an honest browser was refused as \(refusal)")
    }

    // MARK: S7

    func received(_ argument: [UInt8]) { longArguments.append(argument) }

    /// No token was ever sent to Redis: neither its bytes nor their text.
    func checkSecrets() {
        // Most places are passed by their first two bytes.
        var isHead = [Bool](repeating: false, count: 1 << 16)
        for head in verifierHeads { isHead[Int(head & 0xffff)] = true }
        for argument in longArguments {
            let raw = argument.withUnsafeBytes { bytes -> Bool in
                (0...bytes.count - 48).contains {
                    let head = bytes.loadUnaligned(fromByteOffset: $0, as: UInt64.self)
                    return isHead[Int(head & 0xffff)] && verifierHeads.contains(head)
                }
            }
            let hex = argument.count >= 96 && containsHex(argument)
            if raw || hex { return fail("S7", "a token was sent to Redis") }
        }
    }

    private func containsHex(_ argument: [UInt8]) -> Bool {
        (0...argument.count - 96).contains { start in
            var head = InlineArray<8, UInt8>(repeating: 0)
            for index in 0..<8 {
                guard let high = Self.digit(argument[start + 2 * index]),
                    let low = Self.digit(argument[start + 2 * index + 1])
                else { return false }
                head[index] = high << 4 | low
            }
            return withUnsafeBytes(of: head) { verifierHeads.contains($0.loadUnaligned(as: UInt64.self)) }
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 0x30...0x39: byte - 0x30
        case 0x61...0x66: byte - 0x57
        default: nil
        }
    }
}
