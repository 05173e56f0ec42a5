internal import Logging
internal import TokenCrypto
internal import Tokens

/// ISSUE: a new session and its first token.
extension TokenService {
    public func issue(_ request: SessionRequest, _ done: @escaping Completion<SessionView>) {
        attempt(done) {
            let token = SessionToken(sid: try randomBytes(), verifier: try randomBytes())
            create(token, request, isRepeatable: false, done) { [self] view in
                counters.issued += 1
                audit("session issued", view)
                done(.success(view))
            } occupied: { _ in
                throw Unavailable(reason: "a fresh session id was taken already")
            }
        }
    }

    /// Creates the session of a token that was just made. The index entry is acknowledged before the session is
    /// written, so that no REVOKEALL can miss it.
    /// - Parameter occupied: gets what stands under the key, where that is not this very session.
    func create<Answer>(
        _ token: SessionToken, _ request: SessionRequest, isRepeatable: Bool, _ done: @escaping Completion<Answer>,
        created: @escaping (SessionView) throws -> Void, occupied: @escaping (StoredCopy) throws -> Void
    ) {
        attempt(done) {
            let now = try now()
            var record = SessionRecord(
                token: try crypto.digest(token.verifier), subject: request.subject,
                idle: request.idle ?? policy.idle, absolute: request.absolute ?? policy.absolute, now: now)
            record.bindings = try stateless.bind(request.signals, now: guestSeconds)
            var change = Change(basis: .absent, set: RecordCodec.encode(record), expireAt: record.expireAt)
            change.data = request.data
            change.needsMemory = true
            change.isRepeatable = isRepeatable
            change.isFresh = true
            let view = SessionView(record, sid: token.sid, now: now, newToken: token, data: [])
            enterIndex(record, token.sid, done) { [self, record] in
                commit(change, of: token.sid, attempt: 0, done) { _ in
                    try created(view)
                } overtaken: { copy in
                    // The same candidate stands there: an earlier try of ours was carried out after all.
                    if case .live(let standing) = copy.session, standing.current == record.current {
                        return try created(view)
                    }
                    try occupied(copy)
                }
            }
        }
    }

    /// Enters a session into its subject's index, where it has a subject, and goes on.
    func enterIndex<Answer>(
        _ record: SessionRecord, _ sid: SessionID, _ done: @escaping Completion<Answer>,
        then: @escaping () throws -> Void
    ) {
        attempt(done) {
            guard !record.subject.isEmpty else { return try then() }
            let index = try SubjectIndex(subject: record.subject, crypto: crypto)
            store.addToIndex(index, sid: sid, absoluteEnd: record.absoluteEnd) { [self] result in
                attempt(done) {
                    try result.get()
                    try then()
                }
            }
        }
    }

    func audit(_ event: Logger.Message, _ view: SessionView) {
        guard !view.subject.isEmpty else { return }
        logger.info(
            event, metadata: ["sid": "\(view.sid)", "subject": "\(String(decoding: view.subject, as: UTF8.self))"])
    }
}
