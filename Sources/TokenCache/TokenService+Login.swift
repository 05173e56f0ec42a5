internal import Logging
internal import TokenCrypto
internal import Tokens

/// LOGIN and ROTATE: a new token, the old one dead at once.
extension TokenService {
    /// One LOGIN on its way, with everything random it may need: every attempt uses the same candidate.
    struct Login {
        var claim: Claim
        let request: SessionRequest
        let subjectDigest: Digest
        /// The token of a renewed session; its verifier serves a new session, too.
        let candidate: Verifier
        let candidateDigest: Digest
        let newSid: SessionID
        let csrfSalt: Digest
        var attempts = 0

        var presented: SessionToken { claim.token }
        var digest: Digest { claim.digest }
    }

    /// The credentials were checked: `request.subject` holds a session under a new token from now on. Idempotent for
    /// the same old token and subject within `rotation.overlap`.
    public func login(
        _ credential: Credential, _ request: SessionRequest, _ done: @escaping Completion<SessionView>
    ) {
        let finish: Completion<SessionView> = { [self] result in
            if case .success(let view) = result {
                counters.logins += 1
                audit("login", view)
            }
            done(result)
        }
        let presented = Presented(credential, request.signals)
        attempt(finish) {
            guard let claim = try claim(presented) else { return issueForLogin(request, finish) }
            let candidate: Verifier = try randomBytes()
            let login = Login(
                claim: claim, request: request, subjectDigest: try crypto.digest(request.subject), candidate: candidate,
                candidateDigest: try crypto.digest(candidate), newSid: try randomBytes(), csrfSalt: try randomBytes())
            let finish = try forcing(claim.sid, claim, finish)
            load(claim.sid, finish) { [self] copy in try decide(login, on: copy, finish) }
        }
    }

    private func issueForLogin(_ request: SessionRequest, _ done: @escaping Completion<SessionView>) {
        attempt(done) {
            try create(SessionToken(sid: try randomBytes(), verifier: try randomBytes()), request, done)
        }
    }

    private func create(
        _ token: SessionToken, _ request: SessionRequest, _ done: @escaping Completion<SessionView>
    ) throws {
        create(token, request, isRepeatable: true, done) { view in
            done(.success(view))
        } occupied: { [self] copy in
            // The session a memo led to was ended or taken further meanwhile: nothing to come back to.
            guard case .absent = copy.session else { return issueForLogin(request, done) }
            throw Unavailable(reason: "the session vanished while it was made")
        }
    }

    private func decide(_ login: Login, on copy: StoredCopy, _ done: @escaping Completion<SessionView>) throws {
        var login = login
        let copy = try adopt(copy, for: &login.claim, now: try now())
        judgementTime(copy.session, digest: login.digest, done) { [self, login] now in
            try decide(login, on: copy, now: now, done)
        }
    }

    private func decide(
        _ login: Login, on copy: StoredCopy, now: Milliseconds, _ done: @escaping Completion<SessionView>
    ) throws {
        var login = login
        login.attempts += 1
        // The candidate stands there: an earlier try of this request was carried out after all.
        if case .live(let record) = copy.session, record.current == login.candidateDigest {
            return answer(record, login.presented.sid, login.candidate, done)
        }
        // A token from another client is none to build on.
        if case .live(let record) = copy.session, try checkBindings(record, login.claim).isMismatch {
            return try create(SessionToken(sid: login.newSid, verifier: login.candidate), login.request, done)
        }
        let decision = try copy.session.decideLogin(
            token: login.presented, digest: login.digest, subject: login.request.subject, policy: policy, now: now,
            crypto: crypto)
        switch decision {
        case .renew(let record): try renew(record, login, now: now, done)
        case .replace(let record): try replace(record, login, now: now, done)
        case .repeatAnswer(let token, let since): answerAgain(token, login, since: since, done)
        case .fresh: try create(SessionToken(sid: login.newSid, verifier: login.candidate), login.request, done)
        }
    }

    private func renew(
        _ record: SessionRecord, _ login: Login, now: Milliseconds, _ done: @escaping Completion<SessionView>
    ) throws {
        var next = record.loggedIn(
            to: login.candidateDigest, csrfSalt: login.csrfSalt,
            memo: try memo(login, sid: login.presented.sid, now: now), subject: login.request.subject,
            idle: login.request.idle ?? policy.idle, absolute: login.request.absolute ?? policy.absolute,
            policy: policy, now: now)
        let bindings = try stateless.bind(login.request.signals, now: guestSeconds)
        next.bindings = record.bindings.replaced(by: bindings)
        var change = Change(from: record, to: next)
        change.data = login.request.data
        change.needsMemory = true
        enterIndex(next, login.presented.sid, done) { [self, next, change] in
            commit(change, of: login.presented.sid, attempt: login.attempts, done) { [self] _ in
                counters.forcedRotations += 1
                answer(next, login.presented.sid, login.candidate, done)
            } overtaken: { [self] copy in
                try decide(login, on: copy, done)
            }
        }
    }

    /// Ends the other subject's session first: of several racing LOGINs one writes the tombstone, and the others
    /// find in it the session that it leads to. Should this daemon die in between, the repeated LOGIN makes it.
    private func replace(
        _ record: SessionRecord, _ login: Login, now: Milliseconds, _ done: @escaping Completion<SessionView>
    ) throws {
        let tombstone = Tombstone(reason: .login, login: try memo(login, sid: login.newSid, now: now))
        end(record, login.presented.sid, tombstone, attempt: login.attempts, done) { [self] in
            try create(SessionToken(sid: login.newSid, verifier: login.candidate), login.request, done)
        } overtaken: { [self] copy in
            try decide(login, on: copy, done)
        }
    }

    private func memo(_ login: Login, sid: SessionID, now: Milliseconds) throws -> LoginMemo {
        LoginMemo(
            sid: sid, digest: login.candidateDigest,
            sealed: try crypto.seal(login.candidate, under: login.presented.verifier, sid: login.presented.sid),
            subjectDigest: login.subjectDigest, until: now + policy.rotationOverlap)
    }

    /// The answer of the LOGIN that this one repeats.
    /// - Parameter since: the LOGIN's time. Past the idle limit a session that is not there has expired; before it, the
    ///   daemon that was to make it has died in between.
    private func answerAgain(
        _ token: SessionToken, _ login: Login, since: Milliseconds, _ done: @escaping Completion<SessionView>
    ) {
        load(token.sid, done) { [self] copy in
            let age = try now() &- since
            let lifetime = min(login.request.idle ?? policy.idle, login.request.absolute ?? policy.absolute)
            switch copy.session {
            case .live(let record) where try crypto.digest(token.verifier) == record.current:
                answer(record, token.sid, token.verifier, done)
            case .absent where token.sid != login.presented.sid && age < lifetime:
                try create(token, login.request, done)
            default:
                issueForLogin(login.request, done)
            }
        }
    }

    private func answer(
        _ record: SessionRecord, _ sid: SessionID, _ verifier: Verifier, _ done: @escaping Completion<SessionView>
    ) {
        attempt(done) {
            let token = SessionToken(sid: sid, verifier: verifier)
            done(.success(SessionView(record, sid: sid, now: try now(), newToken: token, data: [])))
        }
    }

    // MARK: ROTATE

    /// Any other change of privilege: a new token at once, no overlap; limits stay.
    public func rotate(_ presented: Presented, _ done: @escaping Completion<Verdict>) {
        attempt(done) {
            guard case .session(let sid, let claim?) = try resolve(.token(presented)) else {
                guard case .refused(let refusal) = presented.credential else { throw ServiceFault.noKeys }
                return answer(.success(.refused(refusal)), done)
            }
            let rotation = ForcedRotation(claim: claim, candidate: try randomBytes(), csrfSalt: try randomBytes())
            let done = try forcing(sid, claim, done)
            load(sid, done) { [self] copy in try decide(rotation, on: copy, done) }
        }
    }

    private struct ForcedRotation {
        var claim: Claim
        let candidate: Verifier
        let csrfSalt: Digest
        var attempts = 0
    }

    private func decide(_ rotation: ForcedRotation, on copy: StoredCopy, _ done: @escaping Completion<Verdict>) throws {
        var rotation = rotation
        let copy = try adopt(copy, for: &rotation.claim, now: try now())
        judgementTime(copy.session, digest: rotation.claim.digest, done) { [self, rotation] now in
            try decide(rotation, on: copy, now: now, done)
        }
    }

    private func decide(
        _ rotation: ForcedRotation, on copy: StoredCopy, now: Milliseconds, _ done: @escaping Completion<Verdict>
    ) throws {
        var rotation = rotation
        rotation.attempts += 1
        let sid = rotation.claim.sid
        let successor = try crypto.digest(rotation.candidate)
        let answer: Completion<SessionView> = { done($0.map(Verdict.accepted)) }
        if case .live(let record) = copy.session, record.current == successor {
            return self.answer(record, sid, rotation.candidate, answer)
        }
        switch try judge(copy.session, rotation.claim, now: now) {
        case .refused(let refusal): done(.success(.refused(refusal)))
        case .accepted(let record):
            try checkDenials(sid)
            let next = record.forced(to: successor, csrfSalt: rotation.csrfSalt, policy: policy, now: now)
            var change = Change(from: record, to: next)
            change.needsMemory = !record.isStored
            commit(change, of: sid, attempt: rotation.attempts, done) { [self] _ in
                counters.forcedRotations += 1
                self.answer(next, sid, rotation.candidate, answer)
            } overtaken: { [self] copy in
                try decide(rotation, on: copy, done)
            }
        }
    }
}
